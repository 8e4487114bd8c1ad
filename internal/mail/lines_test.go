package mail

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestClip(t *testing.T) {
	for _, c := range []struct {
		text string
		most int
		want string
	}{
		{"", 0, ""},
		{"clinic.test", 11, "clinic.test"},
		{"clinic.test", 6, "clinic..."},
		{"Grüße", 3, "Gr..."}, // the ü has two octets
		{"Grüße", 4, "Grü..."},
		{"a\xff\xffb", 3, "a..."},
	} {
		if got := Clip(c.text, c.most); got != c.want {
			t.Errorf("Clip(%q, %d) = %q, want %q", c.text, c.most, got, c.want)
		}
	}
}

func TestWrap(t *testing.T) {
	long := strings.Repeat("ü", 1000)
	for _, c := range []struct {
		first, rest, text string
		width             int
		want              []string
	}{
		{"* ", "  ", "", 20, []string{"*"}},
		{"* ", "  ", "one", 20, []string{"* one"}},
		{"* ", "  ", "one two  three\nfour", 9, []string{"* one two", "  three", "  four"}},
		{"", "", "überall schön", 13, []string{"überall schön"}}, // characters count, not octets
		{"> ", "> ", "unbreakable", 5, []string{"> unbreakable"}},
		{"", "", long, 76, []string{long[:900], long[900:1800], long[1800:]}},
	} {
		if got := Wrap(c.first, c.rest, c.text, c.width); !slices.Equal(got, c.want) {
			t.Errorf("Wrap(%q, %d) = %q, want %q", c.text, c.width, got, c.want)
		}
	}
	for _, line := range Wrap("", "", strings.Repeat("\xff", 5000), 76) {
		if len(line) > maxWord {
			t.Errorf("a line has %d octets (%d characters)", len(line), utf8.RuneCountInString(line))
		}
	}
}
