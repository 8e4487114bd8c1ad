package mail

import (
	"slices"
	"strings"
	"testing"
)

// TestWhatPeopleReadInAField retells what senders put into header fields: reads is a part of some reading, and unread a
// part of what is said of the field, "" where nothing may be doubted.
func TestWhatPeopleReadInAField(t *testing.T) {
	for _, tt := range []struct{ name, in, reads, unread string }{
		// ordinary mail, of which nothing may be doubted
		{"a utility's greeting, a letter broken between words", "=?UTF-8?Q?pasi=C5=BEad=C4?=\r\n =?UTF-8?Q?=97jim=C5=B3?=", "pasižadėjimų", ""},
		{"a phone's Thai, broken when it folds", "=?utf-8?Q?=E0=B9=84=E0=B8=A1=E0=B9?=\r\n =?utf-8?Q?=88=E0=B8=82?=", "ไม่ข", ""},
		{"base64 broken between words", "=?utf-8?B?b2LD?=\r\n =?utf-8?B?pHI=?=", "obär", ""},
		{"GB2312 broken, folded by a tab, without padding", "=?gb2312?B?1tC5?=\r\n\t =?gb2312?B?+g?=", "中国", ""},
		{"GB2312 that is GB18030", "=?gb2312?B?gTCBMA==?=", "\u0080", ""},
		{"Japanese, words that end in Kanji", "=?iso-2022-jp?Q?=1B=24B0F7o?=\r\n =?iso-2022-jp?Q?=3EpJs=1B=28B?=", "案件情報", ""},
		{"Japanese, each word by itself", "=?ISO-2022-JP?B?GyRCRnwbKEI=?=\r\n\t=?ISO-2022-JP?B?GyRCS1wbKEI=?=", "日本", ""},
		{"Windows Japanese by its code page", "=?cp932?B?h0CTlA==?=", "①灯", ""},
		{"Korean of an office suite", "=?ks_c_5601-1987?B?tOvAzrHi?=", "대인기", ""},
		{"Big5", "=?big5?B?pKSk5Q==?=", "中文", ""},
		{"Latin-1 with letters of Windows", "=?iso-8859-1?Q?=93geheim=94?=", "“geheim”", ""},
		{"a name of UTF-8 without hyphen", "=?UTF8?B?UmU6IHRlc3QgZW52w61v?=", "Re: test envío", ""},
		{"a DOS code page", "=?cp850?Q?Gr=81=E1e?=", "Grüße", ""},
		{"a charset with an underscore", "=?iso_8859_15?Q?=A4?=", "€", ""},
		{"a mark put before a word without blank", "[SUSPECTED SPAM]=?utf-8?B?Z2VoZWlt?=", "[SUSPECTED SPAM]geheim", ""},
		{"an empty word", "Some text here =?utf-8?Q??=", "Some text here ", ""},
		{"a percent sign in Q", "=?utf-8?Q?10%=20off?=", "10% off", ""},
		{"blanks inside Q", "=?UTF-8?Q?Sicherheitsl=C3=BCcke in praktisch allen?=", "lücke in praktisch", ""},
		{"a word far longer than allowed", "=?utf-8?Q?" + strings.Repeat("=C3=BC", 200) + "?=", strings.Repeat("ü", 200), ""},
		{"a list's mark", "[Postern-users] =?utf-8?q?=C3=BC?=", "[Postern-users] ü", ""},
		{"words inside quotes", `"=?utf-8?q?M=C3=BCller?=" <m@x.test>`, `"Müller" <m@x.test>`, ""},
		{"two words that a sender took for one text", "=?utf-8?q?streng?= =?utf-8?q?geheim?=", "streng geheim", ""},
		{"the same, as the standard says", "=?utf-8?q?streng?= =?utf-8?q?geheim?=", "strenggeheim", ""},
		{"UTF-8 as it is", "Káva tento týden?", "Káva tento týden?", ""},
		{"UTF-16 that says its order", "=?utf-16le?B?ZwBlAGgA?=", "geh", ""},
		{"UTF-16 with a mark", "=?utf-16?B?/v8AZwBlAGg=?=", "geh", ""},
		{"a letter nobody has, sent as such", "=?utf-8?q?=EF=BF=BD?=", "\uFFFD", ""},
		{"what only looks a little like a word", "is 1+1=? or 2=?x", "is 1+1=? or 2=?x", ""},
		{"a telephone number", "+49-30-1234 and C++", "+49-30-1234 and C++", ""},
		{"a product", "a*b=c; 5*x=3", "a*b=c; 5*x=3", ""},
		{"a file name with its charset", "attachment; filename*=UTF-8''streng%20geh%65im.pdf", "streng geheim.pdf", ""},
		{"a file name in sections", "attachment; filename*0*=utf-8''streng%20; filename*1=geh; filename*2*=%65im", "streng geheim", ""},
		{"UTF-7 of which nobody speaks", "+AGcAZQBoAGUAaQBt-", "geheim", ""},
		{"a lead octet that another word completes, or not", "=?shift_jis?Q?=89?= =?shift_jis?Q?geheim?=", "geheim", ""},

		// what may hold anything
		{"Latin-1 as it is", "Andr\xe9 Pirard", "Andr\uFFFD Pirard", "octets that are no UTF-8"},
		{"KOI8-R as it is, after a mark", "[SPAM 85%]\xf5\xd3\xcc\xd5\xc7\xc9", "[SPAM 85%]", "octets that are no UTF-8"},
		{"UTF-8 longer than it may be", "g\xc1\xa5heim", "heim", "octets that are no UTF-8"},
		{"Japanese as it is, seven bits", "\x1b$BF|K\\\x1b(B", "", "ISO 2022"},
		{"Korean as it is, seven bits", "\x0eGQ\x0f", "", "ISO 2022"},
		{"UTF-16 as it is", "g\x00e\x00h\x00", "", "NUL"},
		{"an unknown charset", "En el =?unknown-8bit?q?R=EDo?=", "En el ", `unknown charset "unknown-8bit"`},
		{"a charset that is half a name", "=?utf-?B?xI0=?=", "", `unknown charset "utf-"`},
		{"no charset", "=??B?PT9VVEYtOD9RPz0=?=", "", "malformed beginning"},
		{"blanks in the beginning", "=? ISO-2022-JP? B? GyRCRnwbKEI=?=", "", "malformed beginning"},
		{"a charset longer than any", "=?" + strings.Repeat("x", 70) + "?q?geheim?=", "geheim", "malformed beginning"},
		{"UTF-7", "=?UTF-7?Q?+AGcAZQBoAGUAaQBt-?=", "geheim", "UTF-7"},
		{"UTF-7 by its old name", "=?unicode-1-1-utf-7?Q?+AGc-?=", "g", "UTF-7"},
		{"UTF-16 that does not say its order", "=?utf-16?B?AGcAZQBo?=", "", "in which order"},
		{"half a letter of UTF-16", "=?utf-16le?B?ZwBl?=", "g", "UTF-16 with octets that are none"},
		{"UTF-32", "=?UTF-32LE?B?ZwAAAA==?=", "", "unknown charset"},
		{"ISO 2022 of Korea", "=?iso-2022-kr?B?GyQpQw4=?=", "", "unknown charset"},
		{"US-ASCII with more", "=?us-ascii?Q?Gr=FC=DFe?=", "Gr", "US-ASCII with octets above 127"},
		{"UTF-8 that is Latin-1", "=?utf-8?Q?Gr=FC=DFe?=", "Gr", "UTF-8 with octets that are none"},
		{"a letter broken off", "=?utf-8?Q?gehe=C3?=", "gehe", "UTF-8 with octets that are none"},
		{"a letter broken between two names of a charset", "=?utf-8?Q?=C3?= =?utf8?Q?=BC?=", "", "UTF-8 with octets that are none"},
		{"a letter broken between words with text", "=?utf-8?Q?=C3?= x =?utf-8?Q?=BC?=", " x ", "UTF-8 with octets that are none"},
		{"half a Kanji", "=?shift_jis?B?k/qW?=", "日", "no \"shift_jis\""},
		{"an octet that the charset has not", "=?windows-1252?Q?=81?=", "", "no \"windows-1252\""},
		{"broken base64", "=?utf-8?b?!!?= x", "=?utf-8?b?!!?= x", "base64 is broken"},
		{"base64 cut short", "=?utf-8?b?Z2VoZ?=", "", "base64 is broken"},
		{"broken quoted-printable", "=?utf-8?q?a=GG?=", "a=GG", "quoted-printable is broken"},
		{"raw octets in a word", "=?iso-8859-1?Q?Gr\xc3\xbc\xc3\x9fe?=", "", "octets above 127 inside"},
		{"an unknown encoding", "=?utf-8?z?abc?=", "", "unknown encoding"},
		{"cut off by a list", "=?utf-8?q?abc", "", "does not end"},
		{"encoded twice", "=?utf-8?Q?=3D=3Futf-8=3FB=3FZ2VoZWlt=3F=3D?=", "", "within encoded words"},
		{"a word that one completes", "=?utf-8?Q?=3D?=?utf-8?q?geheim?=", "", "within encoded words"},
		{"a parameter in an unknown charset", "x; name*=x-nobody''a", "", "a parameter in the unknown charset"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := header("S: "+tt.in, "", "").Fields()[0].Text()
			if !slices.ContainsFunc(text.Readings(), func(s string) bool { return strings.Contains(s, tt.reads) }) {
				t.Errorf("read as %q, want %q in it", text.Readings(), tt.reads)
			}
			if (tt.unread == "") != (text.Unread() == "") || !strings.Contains(text.Unread(), tt.unread) || len(text.Unread()) > 250 {
				t.Errorf("unread %q, want %q", text.Unread(), tt.unread)
			}
		})
	}
}

func TestTheZeroTextIsEmpty(t *testing.T) {
	if text := (Text{}); text.String() != "" || len(text.Readings()) != 1 || text.Unread() != "" {
		t.Errorf("%+v", text)
	}
}
