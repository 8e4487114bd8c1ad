package mail

import (
	"bytes"
	"fmt"
	"mime"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func header(lines ...string) Header { return ParseHeader([]byte(strings.Join(lines, "\r\n"))) }

func TestHeaderScan(t *testing.T) {
	for _, tt := range []struct {
		name   string
		in     string
		fields []string // "Name=Value"
		stray  []string
		size   int // of in when -1
	}{
		{"plain", "A: 1\r\nB: 2\r\n\r\nC: 3\r\n", []string{"A=1", "B=2"}, nil, 14},
		{"no end", "A: 1\r\nB: 2", []string{"A=1", "B=2"}, nil, -1},
		{"nothing", "", nil, nil, 0},
		{"only the end", "\r\nA: body\r\n", nil, nil, 2},
		{"bare line feeds", "A: 1\n\nB: 2\n", []string{"A=1"}, nil, 6},
		{"duplicates kept in order", "R: 1\r\nr: 2\r\nR: 1\r\n", []string{"R=1", "r=2", "R=1"}, nil, -1},
		{"folded", "A: one\r\n two\r\n\tthree\r\n", []string{"A=one two\tthree"}, nil, -1},
		{"fold before the value", "A:\r\n one\r\n", []string{"A=one"}, nil, -1},
		{"obs-fold of blanks only goes on", "A: one\r\n \r\n two\r\nB: 2\r\n", []string{"A=one  two", "B=2"}, nil, -1},
		{"blank before the colon", "Subject : x\r\nB\t:2\r\n", []string{"Subject=x", "B=2"}, nil, -1},
		{"empty value", "A:\r\nB: \r\n", []string{"A=", "B="}, nil, -1},
		{"colons in the value", "A: b: c\r\n", []string{"A=b: c"}, nil, -1},
		{"a line without a colon is kept apart", "A: 1\r\nno colon here\r\nB: 2\r\n", []string{"A=1", "B=2"}, []string{"no colon here"}, -1},
		{"mbox From", "From a@b Tue Dec 1 10:00:00 2026\r\nA: 1\r\n", []string{"A=1"}, []string{"From a@b Tue Dec 1 10:00:00 2026"}, -1},
		{"a fold of nothing", " x: y\r\nA: 1\r\n", []string{"A=1"}, []string{" x: y"}, -1},
		{"a fold of a stray line is not the field's", "A: 1\r\nstray\r\n more\r\n", []string{"A=1"}, []string{"stray", " more"}, -1},
		{"no name", ": x\r\nA: 1\r\n", []string{"A=1"}, []string{": x"}, -1},
		{"a name with a blank is none", "Not a name: x\r\n", nil, []string{"Not a name: x"}, -1},
		{"a name of UTF-8 is none", "Größe: x\r\n", nil, []string{"Größe: x"}, -1},
		{"a carriage return is not the end", "A: 1\r\n\r\r\nB: 2\r\n\r\n", []string{"A=1", "B=2"}, []string{"\r"}, -1},
		{"raw octets", "A: \xff\xfe\r\n", []string{"A=\xff\xfe"}, nil, -1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := ParseHeader([]byte(tt.in))
			var fields []string
			for _, f := range h.Fields() {
				fields = append(fields, f.Name+"="+f.Value())
			}
			if !slices.Equal(fields, tt.fields) {
				t.Errorf("fields %q, want %q", fields, tt.fields)
			}
			if h.stray != len(tt.stray) {
				t.Errorf("%d lines are no fields, want %q", h.stray, tt.stray)
			}
			if want := tt.size; want < 0 && h.Size() != len(tt.in) || want >= 0 && h.Size() != want {
				t.Errorf("size %d, want %d", h.Size(), want)
			}
			if h.Truncated() {
				t.Error("truncated")
			}
		})
	}
}

func TestHeaderLookUpIgnoresCase(t *testing.T) {
	h := header("received: a", "RECEIVED: b", "Subject: s", "Received-SPF: no")
	if n := h.Count("Received"); n != 2 {
		t.Errorf("Count = %d", n)
	}
	if all := h.All("ReCeived"); len(all) != 2 || all[0].Value() != "a" || all[1].Value() != "b" {
		t.Errorf("All = %v", all)
	}
	if all := h.All("X-None"); all != nil {
		t.Errorf("All of nothing = %v", all)
	}
}

func TestHeaderIsASnapshot(t *testing.T) {
	b := []byte("A: one\r\n\r\nbody")
	h := ParseHeader(b)
	copy(b, "XXXXXXXXX")
	if h.Fields()[0].Value() != "one" {
		t.Error("the header changed with the bytes it came from")
	}
}

func TestHeaderWorkIsBounded(t *testing.T) {
	long := "A: 1\r\nB: " + strings.Repeat("x", MaxHeaderSize) + "\r\nC: 3\r\n\r\n"
	h := ParseHeader([]byte(long))
	if !h.Truncated() || h.Size() != 6 || len(h.Fields()) != 1 {
		t.Errorf("long line: truncated %v, size %d, %d fields", h.Truncated(), h.Size(), len(h.Fields()))
	}
	h = ParseHeader([]byte(strings.Repeat("a:\r\n", 50_000) + "\r\n"))
	if !h.Truncated() || len(h.Fields()) != MaxHeaderFields {
		t.Errorf("many fields: truncated %v, %d fields", h.Truncated(), len(h.Fields()))
	}
	h = ParseHeader([]byte(strings.Repeat("stray\r\n", 30_000)))
	if !h.Truncated() || h.stray != MaxHeaderFields {
		t.Errorf("many stray lines: truncated %v, %d", h.Truncated(), h.stray)
	}
	exact := "A: " + strings.Repeat("x", MaxHeaderSize-7) + "\r\n\r\n"
	if h := ParseHeader([]byte(exact + "body")); h.Truncated() || h.Size() != MaxHeaderSize {
		t.Errorf("a header of the very limit: truncated %v, size %d", h.Truncated(), h.Size())
	}
}

func TestFieldTextDecodesEncodedWords(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"plain", "hello", "hello"},
		{"Q", "=?utf-8?q?Gr=C3=BC=C3=9Fe_an_alle?=", "Grüße an alle"},
		{"B", "=?UTF-8?B?R3LDvMOfZQ==?=", "Grüße"},
		{"B without padding", "=?UTF-8?b?R3LDvMOfZQ?=", "Grüße"},
		{"latin 1", "=?iso-8859-1?Q?Gr=FC=DFe?=", "Grüße"},
		{"latin 9", "=?iso-8859-15?q?=A4?=", "€"},
		{"koi8-r", "=?koi8-r?B?8NLJ18XU?=", "Привет"},
		{"shift_jis", "=?Shift_JIS?B?k/qWew==?=", "日本"},
		{"iso-2022-jp", "=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "日本"},
		{"gb18030", "=?gb18030?B?1tC5+g==?=", "中国"},
		{"language of RFC 2231", "=?utf-8*de?q?=C3=BC?=", "ü"},
		{"text around", "Re: =?utf-8?q?=C3=BC?= x", "Re: ü x"},
		{"neighbours lose the blank", "=?utf-8?q?a?= =?utf-8?q?b?=", "ab"},
		{"neighbours lose a fold", "=?utf-8?q?a?=\r\n =?utf-8?q?b?=", "ab"},
		{"neighbours of two charsets", "=?utf-8?q?=C3=BC?= =?iso-8859-1?q?=FC?=", "üü"},
		{"a character split between neighbours", "=?utf-8?q?=C3?= =?utf-8?q?=BC?=", "ü"},
		{"a character split between B and Q", "=?utf-8?b?w?= =?utf-8?b?ww==?= =?UTF-8?Q?=BC?=", "=?utf-8?b?w?= ü"},
		{"text between keeps its blanks", "=?utf-8?q?a?= x =?utf-8?q?b?=", "a x b"},
		{"an unknown charset stays", "=?x-nobody?q?a?= b", "=?x-nobody?q?a?= b"},
		{"unknown neighbours stay", "=?x-nobody?q?a?=  =?x-nobody?q?b?=", "=?x-nobody?q?a?= =?x-nobody?q?b?="},
		{"utf-7 is read, and doubted", "=?utf-7?q?+AOQ-?=", "ä"},
		{"utf-7 that is none stays", "=?utf-7?q?+A-?=", "=?utf-7?q?+A-?="},
		{"iso-2022-kr stays", "=?iso-2022-kr?q?a?=", "=?iso-2022-kr?q?a?="},
		{"bad base64 stays", "=?utf-8?b?!!?= x", "=?utf-8?b?!!?= x"},
		{"unknown encoding stays", "=?utf-8?z?abc?=", "=?utf-8?z?abc?="},
		{"never ends", "=?utf-8?q?abc", "=?utf-8?q?abc"},
		{"one that never ends hides no other", "=?utf-8?q?abc =?utf-8?q?secret?=", "=?utf-8?q?abc secret"},
		{"no charset", "=??q?abc?=", "=??q?abc?="},
		{"inside a word", "a=?utf-8?q?b?=c", "abc"},
		{"blanks inside, against the rule", "=?utf-8?q?a b?=", "a b"},
		{"question mark inside, against the rule", "=?utf-8?q?what??=", "what?"},
		{"bad escape stands for itself", "=?utf-8?q?a=GG=?=", "a=GG="},
		{"not UTF-8", "=?utf-8?q?=FF?=", "\uFFFD"},
		{"raw octets", "caf\xe9", "caf\uFFFD"},
		{"raw UTF-8", "café", "café"},
		{"line ends are data", "=?utf-8?q?a=0D=0Ab?=", "a\r\nb"},
		{"empty word", "=?utf-8?q??=", ""},
		{"just a mark", "=?", "=?"},
		{"trailing blanks of words", "=?utf-8?q?a?= \t", "a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := header("S: "+tt.in, "", "")
			if got := h.Fields()[0].Text().String(); got != tt.want {
				t.Errorf("%q gives %q, want %q", tt.in, got, tt.want)
			}
		})
	}
}

func TestFieldTextReadsWhatTheStandardLibraryWrites(t *testing.T) {
	for _, text := range []string{"Grüße", strings.Repeat("日本", 60), "a", strings.Repeat("ü ", 100), "[secure] Ä"} {
		for _, enc := range []mime.WordEncoder{mime.QEncoding, mime.BEncoding} {
			in := enc.Encode("utf-8", text)
			if got := header("S: " + in).Fields()[0].Text().String(); got != strings.Trim(text, " \t") && got != text {
				t.Errorf("%q gives %q, want %q", in, got, text)
			}
		}
	}
}

func TestMessageID(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"Message-ID: <a@b>", "<a@b>"},
		{"message-id:\r\n <a@b>", "<a@b>"},
		{"Message-Id: comment <a @ b> (x)", "<a@b>"},
		{"Message-ID: naked", "naked"},
		{"Message-ID: <open", "<open"},
		{"Message-ID: <1>\r\nMessage-ID: <2>", "<1>"},
		{"X: y", ""},
		{"Message-ID:", ""},
		{"Message-ID: " + strings.Repeat("x", 2000), strings.Repeat("x", 998)},
		{"Message-ID: <\xff@b>", "<@b>"},
	} {
		if got := header(tt.in).MessageID(); got != tt.want {
			t.Errorf("%q gives %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestAutoSubmitted(t *testing.T) {
	for in, want := range map[string]bool{
		"":                                  false,
		"Auto-Submitted: no":                false,
		"Auto-Submitted: NO (really)":       false,
		"Auto-Submitted: no; x=y":           false,
		"Auto-Submitted: auto-replied":      true,
		"auto-submitted: auto-generated; x": true,
		"Auto-Submitted: no\r\nAuto-Submitted: auto-replied": true,
	} {
		if got := header(in).AutoSubmitted(); got != want {
			t.Errorf("%q gives %v", in, got)
		}
	}
}

func FuzzParseHeader(f *testing.F) {
	for _, s := range []string{
		"A: 1\r\nB: 2\r\n\r\nbody", "Subject : =?utf-8?q?=C3?=\r\n =?utf-8?b?vA==?=\r\n", "x\n y\n:z\n\n", "\r\r\n",
		strings.Repeat("=?a?q?", 50) + "?=", "S: =?iso-2022-jp?B?GyRC?= =?utf-16?q?=00?=\r\n",
		"S: +AGcAZQBoAGUAaQBt- \x1b$B\xff\u00a0\u200b\r\n", "S: x; f*0*=utf-8''%C3; f*1*=%BC; g*=x''y\r\n", "S: =? utf-8 ? q ?a?= =?us-ascii?q?=FC?=\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h := ParseHeader(b)
		if h.Size() > len(b) || h.Size() > MaxHeaderSize {
			t.Fatalf("size %d of %d", h.Size(), len(b))
		}
		if again := ParseHeader(b[:h.Size()]); len(again.Fields()) != len(h.Fields()) {
			t.Error("the section alone scans differently")
		}
		for _, f := range h.Fields() {
			if !isFieldName(f.Name) {
				t.Errorf("name %q", f.Name)
			}
			if v := f.Value(); strings.Contains(v, "\n") {
				t.Errorf("value %q is not unfolded", v)
			}
			for _, text := range f.Text().Readings() {
				if !utf8.ValidString(text) {
					t.Errorf("text %q is not UTF-8", text)
				}
			}
		}
		if id := h.MessageID(); len(id) > 998 || strings.ContainsAny(id, "\n ") {
			t.Errorf("message id %q", id)
		}
		h.AutoSubmitted()
	})
}

// BenchmarkHostileHeader shows that the worst headers known cost no more per byte than an honest one: compare ns/op of
// the cases, all of one size.
func BenchmarkHostileHeader(b *testing.B) {
	for name, unit := range map[string]string{
		"honest": "word ", "beginnings": "=?a?q?", "bad-base64": "=?a?b?!?=", "endings": "?=", "unknown": "=?x?q?a?= ",
		"neighbours": "=?utf-8?q?a?= ", "shifts": "+", "parameters": "a*1*=%;", "heads": "=?a?",
	} {
		b.Run(name, func(b *testing.B) {
			text := append([]byte("S: "), bytes.Repeat([]byte(unit), (MaxHeaderSize-10)/len(unit))...)
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				for _, f := range ParseHeader(text).Fields() {
					f.Text()
				}
			}
		})
	}
}

func ExampleHeader() {
	h := ParseHeader([]byte("Subject: =?utf-8?q?Befund_f=C3=BCr?=\r\n =?utf-8?q?_Dr._M=C3=BCller?=\r\nReceived: x\r\n\r\n"))
	fmt.Println(h.All("subject")[0].Text().String(), h.Count("Received"))
	// Output: Befund für Dr. Müller 1
}
