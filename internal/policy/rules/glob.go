package rules

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// maxPattern is how many octets one value of a rule may have.
const maxPattern = 990

// maxProgram bounds a compiled "re:" expression, in instructions: a short text such as (.{99}){9} can be a long program.
const maxProgram = 10_000

// glob is a pattern of literal text, "*" (any run) and "?" (any one character), matched against a whole value. It is
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

// compileGlob reads a pattern; a backslash takes the meaning from *, ? and itself.
func compileGlob(source string) (*glob, error) {
	var parts [][]rune
	var part []rune
	for rest := source; rest != ""; {
		c, n := utf8.DecodeRuneInString(rest)
		rest = rest[n:]
		switch c {
		case '*':
			parts, part = append(parts, part), nil
		case '?':
			part = append(part, anyRune)
		case '\\':
			if rest == "" || !strings.ContainsRune(`*?\`, rune(rest[0])) {
				return nil, errors.New(`a backslash stands only before *, ? and \`)
			}
			part, rest = append(part, rune(rest[0])), rest[1:]
		default:
			part = append(part, c)
		}
	}
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

// match reports whether the whole of s fits.
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

// find returns where the first place that fits ends, -1 when there is none.
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

// textPattern matches a header value: a glob or an "re:" expression.
type textPattern struct {
	source string
	glob   *glob
	re     *regexp.Regexp
	size   int // of the compiled expression, in instructions
}

// compileText reads the pattern of a header value or subject.
func compileText(source string, caseMatters bool) (textPattern, error) {
	p := textPattern{source: source}
	if err := checkPattern(source); err != nil {
		return p, err
	}
	var err error
	if expr, ok := strings.CutPrefix(source, "re:"); ok {
		p.re, p.size, err = compileExpression(expr, caseMatters)
		return p, err
	}
	p.glob, err = compileGlob(form(source, caseMatters))
	return p, err
}

// match takes a value in both its forms: as normalised, and with case folded.
func (p *textPattern) match(v *value, caseMatters bool) bool {
	switch {
	case p.re != nil:
		return p.re.MatchString(v.exact)
	case caseMatters:
		return v.grams.hold(p.glob.needs) && p.glob.match(v.exact)
	}
	return v.grams.hold(p.glob.needs) && p.glob.match(v.folded)
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

// compileExpression compiles RE2 syntax. It is searched anywhere in the value; "." covers line ends too. size is that of
// the program, in instructions.
func compileExpression(expr string, caseMatters bool) (re *regexp.Regexp, size int, err error) {
	expr = norm.NFC.String(expr)
	if _, err := syntax.Parse(expr, syntax.Perl); err != nil {
		var fault *syntax.Error
		if errors.As(err, &fault) {
			return nil, 0, fmt.Errorf("the expression is not RE2: %s in %q", fault.Code, fault.Expr)
		}
		return nil, 0, errors.New("the expression is not RE2")
	}
	flags := "(?is:"
	if caseMatters {
		flags = "(?s:"
	}
	tree, err := syntax.Parse(flags+expr+")", syntax.Perl)
	if err != nil {
		return nil, 0, errors.New("the expression is nested too deeply")
	}
	program, err := syntax.Compile(tree.Simplify())
	if err != nil || len(program.Inst) > maxProgram {
		return nil, 0, errors.New("the expression is too large when compiled")
	}
	re, err = regexp.Compile(flags + expr + ")")
	return re, len(program.Inst), err
}

// formed is a text in the two forms patterns are matched against.
type formed struct{ exact, folded string }

func newFormed(s string) formed { return formed{form(s, true), form(s, false)} }

// form brings text to the form in which equal texts are equal: composed (Unicode NFC), and, unless case matters, folded.
func form(s string, caseMatters bool) string {
	if !norm.NFC.IsNormalString(s) {
		s = norm.NFC.String(s)
	}
	if caseMatters {
		return s
	}
	return strings.Map(foldRune, s)
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
