package smtp_test

import (
	"errors"
	"testing"

	"postern/internal/smtp"
)

func TestXtext(t *testing.T) {
	for plain, encoded := range map[string]string{
		"":              "",
		"a@b.test":      "a@b.test",
		"a+b=c":         "a+2Bb+3Dc",
		"with blank":    "with+20blank",
		"\x00\x7f\xc3ü": "+00+7F+C3+C3+BC",
	} {
		if got := smtp.EncodeXtext(plain); got != encoded {
			t.Errorf("EncodeXtext(%q) = %q, want %q", plain, got, encoded)
		}
		if got, err := smtp.DecodeXtext(encoded); err != nil || got != plain {
			t.Errorf("DecodeXtext(%q) = %q, %v", encoded, got, err)
		}
	}
}

func TestBrokenXtextIsRefused(t *testing.T) {
	for _, s := range []string{"a b", "a=b", "+", "+2", "+2b", "+GG", "a\r\n", "ü", "\x7f"} {
		if got, err := smtp.DecodeXtext(s); !errors.Is(err, smtp.ErrXtext) {
			t.Errorf("DecodeXtext(%q) = %q, %v", s, got, err)
		}
	}
}

func FuzzXtext(f *testing.F) {
	f.Add("a+b=c d")
	f.Add("+2B")
	f.Fuzz(func(t *testing.T, s string) {
		if got, err := smtp.DecodeXtext(smtp.EncodeXtext(s)); err != nil || got != s {
			t.Fatalf("%q came back as %q, %v", s, got, err)
		}
		if plain, err := smtp.DecodeXtext(s); err == nil {
			if again, err := smtp.DecodeXtext(smtp.EncodeXtext(plain)); err != nil || again != plain {
				t.Fatalf("%q decodes to %q, which came back as %q, %v", s, plain, again, err)
			}
		}
	})
}
