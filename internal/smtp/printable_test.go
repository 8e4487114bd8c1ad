package smtp_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"postern/internal/smtp"
)

func TestPrintable(t *testing.T) {
	for _, c := range []struct {
		in   string
		max  int
		want string
	}{
		{"", 10, ""},
		{"plain", 10, "plain"},
		{"plain", 5, "plain"},
		{"plainer", 6, "pla..."},
		{"plainer", 2, ".."},
		{"plainer", 0, ""},
		{"Zürich 東京", 40, "Zürich 東京"},
		{"a\r\nb\tc", 40, `a\x0d\x0ab\x09c`},
		{"\x1b[31mred", 40, `\x1b[31mred`},
		{"\xff\xfe", 40, `\xff\xfe`},
		{"\x00\x7f", 40, `\x00\x7f`},
		{"a\u202eb\u2066c\u200bd\ufeff", 60, `a\u202eb\u2066c\u200bd\ufeff`},
		{"\u2028\u2029\u0085", 40, `\u2028\u2029\u0085`},
		{"\U000e0041", 40, `\U000e0041`},
		{`already \x1b escaped`, 40, `already \x1b escaped`},
		{"ab\x1bcd", 6, `ab...`},
		{"üüüü", 7, "üü..."},
	} {
		if got := smtp.Printable(c.in, c.max); got != c.want {
			t.Errorf("Printable(%q, %d) = %q, want %q", c.in, c.max, got, c.want)
		}
	}
}

func FuzzPrintable(f *testing.F) {
	f.Add("plain", 3)
	f.Add("\x1b[2J\u202e\xff", 20)
	f.Add(strings.Repeat("ü", 50), 33)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		limit = max(0, min(limit, 1000))
		got := smtp.Printable(s, limit)
		if len(got) > limit || !utf8.ValidString(got) {
			t.Fatalf("Printable(%q, %d) = %q", s, limit, got)
		}
		for _, r := range got {
			if !unicode.IsPrint(r) {
				t.Fatalf("Printable(%q, %d) = %q, which has %U", s, limit, got, r)
			}
		}
		if again := smtp.Printable(got, limit); again != got {
			t.Fatalf("Printable is not idempotent: %q, %q", got, again)
		}
	})
}
