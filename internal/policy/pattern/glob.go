package pattern

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxPattern is how many octets one value of a rule may have.
const maxPattern = 990

// Glob is a pattern of literal text, "*" (any run) and "?" (any one character), matched against a whole value. It is
// compiled into the pieces between the stars, and each is searched once from left to right: no backtracking.
type glob struct {
	head  []rune // before the first star
	tail  []rune // after the last star
	inner []piece
	star  bool     // there is one; without it head is the whole pattern
	needs []uint16 // grams of every match
}

// piece is text between two stars.
type piece struct {
	runes []rune // anyRune stands for "?"
	text  string // when there is no "?"
}

const anyRune = -1

// compileGlob reads a pattern; a backslash takes the meaning from *, ? and itself. The text between wildcards is
// brought to the form of the texts that it is held against; wildcards are found first, because a full-width star is no
// wildcard.
func compileGlob(source string, caseMatters bool) (*glob, error) {
	var parts [][]rune
	var part []rune
	var text strings.Builder // not yet in part
	flush := func() {
		part = append(part, []rune(form(text.String(), caseMatters))...)
		text.Reset()
	}
	for rest := source; rest != ""; {
		c, n := utf8.DecodeRuneInString(rest)
		rest = rest[n:]
		switch c {
		case '*':
			flush()
			parts, part = append(parts, part), nil
		case '?':
			flush()
			part = append(part, anyRune)
		case '\\':
			if rest == "" || !strings.ContainsRune(`*?\`, rune(rest[0])) {
				return nil, errors.New(`a backslash stands only before *, ? and \`)
			}
			text.WriteByte(rest[0])
			rest = rest[1:]
		default:
			text.WriteRune(c)
		}
	}
	flush()
	if len(parts) == 0 {
		return newGlob(&glob{head: part}), nil
	}
	g := &glob{head: parts[0], tail: part, star: true}
	for _, p := range parts[1:] {
		if len(p) > 0 {
			g.inner = append(g.inner, newPiece(p))
		}
	}
	return newGlob(g), nil
}

// newGlob completes a glob made of its pieces.
func newGlob(g *glob) *glob {
	for _, runes := range [][]rune{g.head, g.tail} {
		g.needs = appendGrams(g.needs, runes)
	}
	for _, p := range g.inner {
		g.needs = appendGrams(g.needs, p.runes)
	}
	return g
}

func newPiece(runes []rune) piece {
	p := piece{runes: runes}
	for _, r := range runes {
		if r == anyRune {
			return p
		}
	}
	p.text = string(runes)
	return p
}

// Match reports whether the whole of s fits.
func (g *glob) match(s string) bool {
	n, ok := prefix(s, g.head)
	if !ok {
		return false
	}
	if s = s[n:]; !g.star {
		return s == ""
	}
	n, ok = suffix(s, g.tail)
	if !ok {
		return false
	}
	s = s[:len(s)-n]
	for _, p := range g.inner {
		end := p.find(s)
		if end < 0 {
			return false
		}
		s = s[end:]
	}
	return true
}

// prefix reports whether s begins with pattern, and how many bytes that took.
func prefix(s string, pattern []rune) (int, bool) {
	pos := 0
	for _, want := range pattern {
		c, n := utf8.DecodeRuneInString(s[pos:])
		if n == 0 || want != anyRune && c != want {
			return 0, false
		}
		pos += n
	}
	return pos, true
}

// suffix is prefix from the other end.
func suffix(s string, pattern []rune) (int, bool) {
	pos := len(s)
	for i := len(pattern) - 1; i >= 0; i-- {
		c, n := utf8.DecodeLastRuneInString(s[:pos])
		if n == 0 || pattern[i] != anyRune && c != pattern[i] {
			return 0, false
		}
		pos -= n
	}
	return len(s) - pos, true
}

// Find returns where the first place that fits ends, -1 when there is none.
func (p piece) find(s string) int {
	if p.text != "" {
		i := strings.Index(s, p.text)
		if i < 0 {
			return -1
		}
		return i + len(p.text)
	}
	for i := range s {
		if n, ok := prefix(s[i:], p.runes); ok {
			return i + n
		}
	}
	return -1
}

// checkPattern holds what is asked of every value of a rule.
func checkPattern(source string) error {
	switch {
	case source == "" || source == "re:":
		return errors.New("an empty value")
	case len(source) > maxPattern:
		return fmt.Errorf("a value of %d octets, at most %d are allowed", len(source), maxPattern)
	case strings.ContainsFunc(source, unicode.IsControl):
		return errors.New("a control character in a value")
	}
	return nil
}
