package rules

import (
	"strings"
	"testing"
)

// TestARuleByTextSeesWhatPeopleRead tries patterns on header fields as senders write them. why is a part of what
// Explain says; "" where no rule may match.
func TestARuleByTextSeesWhatPeopleRead(t *testing.T) {
	const secret = `subject = ["*streng geheim*"]`
	const fits = "fits"
	for _, tt := range []struct{ name, match, header, why string }{
		{"as it is", secret, "Subject: Streng geheim: Befund", fits},
		{"folded by a tab", secret, "Subject: streng\r\n\tgeheim", fits},
		{"folded by many blanks", secret, "Subject: streng \r\n    geheim", fits},
		{"two blanks", secret, "Subject: streng  geheim", fits},
		{"a no-break space", secret, "Subject: streng\u00a0geheim", fits},
		{"a no-break space of Latin-1, encoded", secret, "Subject: =?iso-8859-1?Q?streng=A0geheim?=", fits},
		{"a thin space", secret, "Subject: streng\u2009geheim", fits},
		{"an ideographic space", secret, "Subject: streng\u3000geheim", fits},
		{"a line separator", secret, "Subject: streng\u2028geheim", fits},
		{"a letter that looks like a blank", secret, "Subject: streng\u3164geheim", fits},
		{"a line end, encoded", secret, "Subject: =?utf-8?q?streng=0D=0A=09geheim?=", fits},
		{"two words without a blank between", secret, "Subject: =?utf-8?q?streng?=\r\n =?utf-8?q?geheim?=", fits},
		{"a blank in the one, and a fold", secret, "Subject: =?utf-8?q?streng_?=\r\n =?utf-8?q?geheim?=", fits},
		{"a zero width space", secret, "Subject: stre\u200bng geh\u200deim", fits},
		{"a soft hyphen", secret, "Subject: stre\u00adng geheim", fits},
		{"a soft hyphen of Latin-1", secret, "Subject: =?windows-1252?Q?stre=ADng geheim?=", fits},
		{"a byte order mark", secret, "Subject: \ufeffstreng geheim", fits},
		{"turned letters", secret, "Subject: \u202estreng\u202c geheim", fits},
		{"a variation selector", secret, "Subject: streng\ufe0f geheim", fits},
		{"control characters", secret, "Subject: =?utf-8?q?stre=00ng_ge=08heim?=", fits},
		{"full width", secret, "Subject: ｓｔｒｅｎｇ　ｇｅｈｅｉｍ", fits},
		{"full width in Japanese", secret, "Subject: =?iso-2022-jp?B?GyRCI3MjdCNyI2UjbiNnGyhCIGdlaGVpbQ==?=", fits},
		{"mathematical letters", secret, "Subject: 𝐬𝐭𝐫𝐞𝐧𝐠 𝐠𝐞𝐡𝐞𝐢𝐦", fits},
		{"UTF-7 that nobody speaks of", secret, "Subject: +AHMAdAByAGUAbgBn- geheim", fits},
		{"a typed hyphen that became another", `subject = ["VS-NfD*"]`, "Subject: VS\u2011NfD Bericht", fits},
		{"a dash", `subject = ["VS - NfD*"]`, "Subject: VS – NfD Bericht", fits},
		{"quotation marks", `subject = ['"geheim"']`, "Subject: “geheim”", fits},
		{"a full-width bracket", `subject = ["*[secure]*"]`, "Subject: ［secure］", fits},
		{"composed", `subject = ["*geprüft*"]`, "Subject: gepru\u0308ft", fits},
		{"composed around what nobody sees", `subject = ["*geprüft*"]`, "Subject: gepru\u200b\u0308ft", fits},
		{"blanks in the pattern", `subject = ["*streng \u00a0 geheim*"]`, "Subject: streng geheim ", fits},
		{"full width in the pattern", `subject = ["*ｓｅｃｕｒｅ*"]`, "Subject: [secure]", fits},
		{"a full-width star in the pattern is a star", `subject = ["＊geheim"]`, "Subject: *geheim", fits},
		{"a full-width star in the pattern is no wildcard", `subject = ["＊geheim"]`, "Subject: xgeheim", ""},
		{"upper case where it matters", "case = true\n" + secret, "Subject: Streng\u00a0Geheim", ""},
		{"case that matters", "case = true\n" + secret, "Subject: streng\u00a0geheim", fits},
		{"a blank before the colon", secret, "Subject : streng\tgeheim", fits},
		{"a name in capitals", secret, "SUBJECT\t: streng\tgeheim", fits},
		{"the second of two", secret, "Subject: hello\r\nsubject: streng\r\n\tgeheim", fits},
		{"another field", `header = [{ name = "X-Class", value = "streng geheim" }]`, "x-class: =?utf-8?q?streng=C2=A0geheim?=", fits},
		{"a file name of RFC 2231", `header = [{ name = "Content-Disposition", value = "*streng geheim*" }]`,
			"Content-Disposition: attachment; filename*=utf-8''streng%20geheim.pdf", fits},

		{"an expression over a tab", `subject = ['re:streng geheim']`, "Subject: streng\r\n\tgeheim", fits},
		{"an expression with a no-break space", `subject = ['re:streng\x{a0}geheim']`, "Subject: streng geheim", fits},
		{"an expression with a class of blanks", `subject = ['re:streng[\t]geheim']`, "Subject: streng geheim", fits},
		{"an expression of two blanks", `subject = ['re:streng  geheim']`, "Subject: streng geheim", fits},
		{"an expression that counts blanks", `subject = ['re:streng\s{2,}geheim']`, "Subject: streng \tgeheim", fits},
		{"an expression that asks for what is invisible", `subject = ['re:\x{200d}']`, "Subject: a\u200db", fits},
		{"an expression in full width", `subject = ['re:[ｓ]ecure']`, "Subject: secure", fits},
		{"an expression and a soft hyphen", `subject = ['re:\bgeheim\b']`, "Subject: ge\u00adheim", fits},
		{"an expression that excludes", `subject = ['re:^[^a]$']`, "Subject: a", ""},

		{"Latin-1 as it is", `subject = ["*vertraulich für Ärzte*"]`, "Subject: vertraulich f\xfcr \xc4rzte", "octets that are no UTF-8"},
		{"KOI8-R as it is", `subject = ["*секретно*"]`, "Subject: \xd3\xc5\xcb\xd2\xc5\xd4\xce\xcf", "octets that are no UTF-8"},
		{"Latin-1 as it is, and plain letters that fit", `subject = ["*geheim*"]`, "Subject: geheim f\xfcr", fits},
		{"Latin-1 as it is, and plain letters", `subject = ["*geheim*"]`, "Subject: ge\xadheim", "could not be read as text"},
		{"Latin-1 in another field", `subject = ["*geheim*"]`, "Subject: x\r\nX-Class: f\xfcr", ""},
		{"an expression and Latin-1", `subject = ['re:geheim']`, "Subject: f\xfcr", "octets that are no UTF-8"},
		{"an unknown charset", secret, "Subject: =?x-nobody?q?abc?=", `unknown charset "x-nobody"`},
		{"broken base64", secret, "Subject: =?utf-8?b?c3RyZW5n!?=", "base64 is broken"},
		{"broken quoted-printable", secret, "Subject: =?utf-8?q?streng=2?=", "quoted-printable is broken"},
		{"a letter that is broken off", secret, "Subject: =?utf-8?q?f=C3?=", "octets that are none"},
		{"words in words", secret, "Subject: =?utf-8?q?=3D=3Futf-8=3Fb=3FZ2Vo=3F=3D?=", "within encoded words"},
		{"UTF-7 by name", secret, "Subject: =?utf-7?q?abc?=", "could not be read as text"},
		{"UTF-16 without a mark", secret, "Subject: =?utf-16?b?AGEAYg==?=", "in which order"},
		{"switches of ISO 2022", secret, "Subject: \x1b$BF|K\\\x1b(B", "ISO 2022"},
		{"case that matters and what cannot be read", "case = true\n" + secret, "Subject: =?x-nobody?q?abc?=", "could not be read as text"},
		{"a text that grows too long in its form", secret, "Subject: " + strings.Repeat("\ufdfa", 5000), "more than 65536 bytes"},

		{"ordinary mail", secret, "Subject: =?iso-8859-1?Q?Gr=FC=DFe?=", ""},
		{"ordinary mail in Windows-1252", secret, "Subject: =?windows-1252?Q?=93Gr=FC=DFe=94?=", ""},
		{"ordinary mail in Japanese", secret, "Subject: =?ISO-2022-JP?B?GyRCRnwbKEI=?=\r\n =?ISO-2022-JP?B?GyRCS1wbKEI=?=", ""},
		{"ordinary mail in Chinese", secret, "Subject: =?Big5?B?pKSk5Q==?=", ""},
		{"ordinary mail in Korean", secret, "Subject: =?ks_c_5601-1987?B?tOvAzrHi?=", ""},
		{"ordinary mail in UTF-8", secret, "Subject: Grüße 😀", ""},
		{"ordinary mail with a letter broken between words", secret, "Subject: =?utf-8?b?b2LD?=\r\n =?utf-8?b?pHI=?=", ""},
		{"a blank that is none", secret, "Subject: strenggeheim", ""},
		{"letters of another script", secret, "Subject: streng gehеim", ""}, // documented
		{"an absent field", secret, "X: \xff", ""},
		{"an empty field", secret, "Subject:", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, f := mustParse(t, ruleWith(tt.match)), facts(header(tt.header))
			if got := matches(t, s, f); got != (tt.why != "") {
				t.Errorf("matches: %v", got)
			}
			for _, field := range s.Explain(f).Rules[0].Fields {
				if strings.Contains("match.subject match.header", field.Field) && !strings.Contains(field.Why, tt.why) {
					t.Errorf("%s: %s; want %q", field.Field, field.Why, tt.why)
				}
			}
		})
	}
}

func TestARuleByAddressSeesWhatPeopleRead(t *testing.T) {
	for _, tt := range []struct {
		pattern, to string
		want        bool
	}{
		{`"müller@x.test"`, "mu\u0308ller@x.test", true},
		{`"mu\u0308ll*@x.test"`, "müller@x.test", true},
		{`'re:^müller@'`, "mu\u0308ller@x.test", true},
		{`"dr@x.test"`, "ｄｒ@x.test", true},
		{`"dr@x.test"`, "d\u200br@x.test", true},
		{`"d*@x.test"`, "ｄr@x.test", true},
		{`'re:^dr@'`, "d\u00adr@x.test", true},
		{`'"dr x"@x.test'`, `"dr  x"@x.test`, true},
		{`"dr*@x.test"`, `"dr x"@x.test`, true}, // quotes are how an address is written, and no part of it
		{`"dr?x@x.test"`, `"dr x"@x.test`, true},
		{`"*x@x.test"`, `"dr x"@x.test`, true},
		{`"*x@*.test"`, `"dr x"@x.test`, true},
		{`"*@x.test"`, `"dr x"@x.test`, true},
		{`"dr*x*@x.test"`, `"dr\\ (x)"@x.test`, true},
		{`'re:^dr'`, `"dr x"@x.test`, true},
		{`'re:^dr x@x\.test$'`, `"dr x"@x.test`, true},
		{`'re:^"dr x"@'`, `"dr x"@x.test`, true},
		{`'re:^dr x@bücher'`, `"dr x"@xn--bcher-kva.test`, true},
		{`'"dr x"@*.test'`, `"dr x"@x.test`, true},
		{`'"*x"@*.test'`, `"dr x"@x.test`, false},
		{`"dr*@x.test"`, `"dr@x.test"@y.test`, false},
		{`"dr*@x.test"`, `"a dr"@x.test`, false},
		{`"x.test"`, "dr@ｘ．ｔｅｓｔ", true},
		{`"bücher.test"`, "dr@bu\u0308cher.test", true},
		{`"xn--bcher-kva.test"`, "dr@BÜCHER。test", true},
		{`'re:@bücher\.test$'`, "dr@xn--bcher-kva.test", true},
		{`'re:@xn--bcher-kva\.test$'`, "dr@bücher.test", true},
		{`"x.test"`, `"a@y.test"@x.test`, true},
		{`"y.test"`, `"a@y.test"@x.test`, false},
		{`"a@y.test"`, "a＠y.test@x.test", false},
		{`"dr@x.test"`, "dr@y.test", false},
	} {
		t.Run(tt.pattern+" "+tt.to, func(t *testing.T) {
			s := mustParse(t, ruleWith("recipient = ["+tt.pattern+"]"))
			if got := matches(t, s, facts(to(tt.to))); got != tt.want {
				t.Errorf("got %v", got)
			}
		})
	}
}
