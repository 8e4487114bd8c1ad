package received

import (
	"strings"
	"testing"
)

// FuzzParse holds what is true of every line, however broken.
func FuzzParse(f *testing.F) {
	for _, c := range formCases() {
		f.Add(c.line)
	}
	for _, s := range samples() {
		f.Add(s.line)
	}
	for _, s := range []string{"", ";", "(", "from (by) by", `from "a by b; Tue, 1 Dec 2026 10:00:00 +0000`, "from a by b with ESMTPS tls", "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l := Parse(s)
		if l.Bits < 0 || l.BitsTotal < 0 {
			t.Errorf("%d/%d bits", l.Bits, l.BitsTotal)
		}
		if l.SameHost && !l.Inside {
			t.Error("on the same host, but not inside")
		}
		if l.TLS == Silent && l.Cipher+l.Version != "" {
			t.Errorf("silent with %q %q", l.Version, l.Cipher)
		}
		if l.TLS == Encrypted && l.Cipher+l.Version == "" && !strings.ContainsAny(strings.ToUpper(l.With), "S") &&
			!strings.ContainsAny(strings.ToUpper(s), "SE") {
			t.Errorf("encrypted, and nothing says so: %+v", l)
		}
		if l.Form == "" {
			t.Error("no form")
		}
		again := Parse(strings.NewReplacer("\r", " ", "\n", " ", "\t", " ").Replace(s))
		if facts(again) != facts(l) {
			t.Errorf("folding changes the facts:\n%s\n%s", facts(l), facts(again))
		}
	})
}

// FuzzExtract holds that any text is read, and that what it holds can be traced.
func FuzzExtract(f *testing.F) {
	f.Add([]byte(twoHops))
	f.Add([]byte(eachLine(twoHops, strings.TrimSpace)))
	f.Add([]byte(eachLine(twoHops, func(s string) string { return "> " + s })))
	f.Add([]byte(eachLine(twoHops, func(s string) string { return s + "\n" })))
	f.Add([]byte("\ufeffReceived:\r\n\r\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		found := Extract(text)
		last := 0
		for _, field := range found.Received {
			if field.Line <= last {
				t.Errorf("line %d after line %d", field.Line, last)
			}
			last = field.Line
			if strings.ContainsRune(field.Value, '\n') {
				t.Errorf("a line end in %q", field.Value)
			}
		}
		report := Trace(found.Received, Trust{})
		if len(report.Hops) != len(found.Received) || len(report.Hops) > 0 && !report.Hops[len(report.Hops)-1].Trusted {
			t.Errorf("%d hops of %d lines", len(report.Hops), len(found.Received))
		}
	})
}
