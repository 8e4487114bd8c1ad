package pattern

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// formed is a text in the two forms patterns are matched against: Folded is without case.
type formed struct{ Exact, Folded string }

func newFormed(s string) formed {
	exact := form(s, true)
	return formed{exact, strings.Map(foldRune, exact)}
}

// form brings text, of a message or of a rule, to the form in which texts are equal that people read alike: see the law
// in the package comment. Unless case matters it is folded too. It does not trim.
func form(s string, caseMatters bool) string {
	if !simple(s) {
		s = legible(s)
	}
	if caseMatters {
		return s
	}
	return strings.Map(foldRune, s)
}

// simple reports whether a text is in form as it stands, as most are.
func simple(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == ' ' && i > 0 && s[i-1] == ' ' {
			return false
		}
	}
	return true
}

// legible is form for the texts that need it. What is taken out may have kept letters from being composed, and what is
// composed may be a blank or invisible again, so it is done twice.
func legible(s string) string {
	s = composed(strings.Map(legibleRune, s))
	s = composed(strings.Map(legibleRune, s))
	var out strings.Builder
	blank := false
	for _, c := range s {
		if c == ' ' && blank {
			continue
		}
		blank = c == ' '
		out.WriteRune(c)
	}
	return out.String()
}

// composed replaces compatibility forms by what they stand for, and composes letters with their marks (Unicode NFKC).
func composed(s string) string {
	if norm.NFKC.IsNormalString(s) {
		return s
	}
	return norm.NFKC.String(s)
}

// legibleRune returns what people take a character for, and -1 for what they do not see. Editors turn hyphens and
// quotation marks into others as one types.
func legibleRune(r rune) rune {
	switch {
	case r < utf8.RuneSelf && r > ' ' && r != 0x7f:
		return r
	case isBlank(r):
		return ' '
	case unicode.IsControl(r), invisible(r):
		return -1
	case unicode.Is(unicode.Pd, r), r == '\u2212':
		return '-'
	case r >= '\u2018' && r <= '\u201b':
		return '\''
	case r >= '\u201c' && r <= '\u201f':
		return '"'
	}
	return r
}

// isBlank reports whether people see a blank: white space of any kind, and three characters that look so.
func isBlank(r rune) bool {
	return unicode.IsSpace(r) || r == '\u2800' || r == '\u3164' || r == '\uffa0'
}

// invisible reports whether a character has no look of its own: joiners, marks of direction, variation selectors, soft
// hyphens, byte order marks and the like (Default_Ignorable_Code_Point and format characters).
func invisible(r rune) bool {
	return unicode.In(r, unicode.Cf, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point)
}

// foldRune returns one letter for all that differ only in case, so that patterns and "re:" expressions, which fold by
// Unicode's simple rule, agree: K and the Kelvin sign are k.
func foldRune(r rune) rune {
	if r < utf8.RuneSelf {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}
	least := r
	for c := unicode.SimpleFold(r); c != r; c = unicode.SimpleFold(c) {
		least = min(least, c)
	}
	if 'A' <= least && least <= 'Z' {
		least += 'a' - 'A'
	}
	return least
}
