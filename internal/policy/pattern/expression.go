package pattern

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"

	"golang.org/x/text/unicode/norm"
)

// maxProgram bounds a compiled "re:" expression, in instructions: a short text such as (.{99}){9} can be a long
// program.
const maxProgram = 10_000

// expression is an "re:" value. It is searched in a text in the form of form, and in the text as it was sent: an
// expression may ask for what form takes away, such as two blanks, and nobody should lose a match by that.
type expression struct {
	legible *regexp.Regexp // its letters in the form of form
	plain   *regexp.Regexp // its letters composed (Unicode NFC)
	size    int            // of the programs, in instructions
}

// Match reports whether the expression is found in a text: in its form, or as it was sent.
func (e *expression) match(exact, plain string) bool {
	return e.legible.MatchString(exact) || (plain != exact || e.legible != e.plain) && e.plain.MatchString(plain)
}

// compileExpression compiles RE2 syntax. It is searched anywhere in the value; "." covers line ends too.
func compileExpression(expr string, caseMatters bool) (*expression, error) {
	expr = norm.NFC.String(expr)
	if _, err := syntax.Parse(expr, syntax.Perl); err != nil {
		var fault *syntax.Error
		if errors.As(err, &fault) {
			return nil, fmt.Errorf("the expression is not RE2: %s in %q", fault.Code, fault.Expr)
		}
		return nil, errors.New("the expression is not RE2")
	}
	flags := "(?is:"
	if caseMatters {
		flags = "(?s:"
	}
	tree, err := syntax.Parse(flags+expr+")", syntax.Perl)
	if err != nil {
		return nil, errors.New("the expression is nested too deeply")
	}
	e := &expression{}
	if e.plain, err = e.compile(tree); err != nil {
		return nil, err
	}
	e.legible = e.plain
	if legibleTree(tree) {
		e.legible, err = e.compile(tree)
	}
	return e, err
}

// compile adds a program.
func (e *expression) compile(tree *syntax.Regexp) (*regexp.Regexp, error) {
	source := tree.String()
	program, err := syntax.Compile(tree.Simplify())
	if err != nil || len(program.Inst) > maxProgram {
		return nil, errors.New("the expression is too large when compiled")
	}
	e.size += len(program.Inst)
	return regexp.Compile(source)
}

// legibleTree brings the letters of an expression to the form of the texts, and reports whether any changed.
func legibleTree(re *syntax.Regexp) (changed bool) {
	switch re.Op {
	case syntax.OpLiteral:
		if s := form(string(re.Rune), true); s != string(re.Rune) {
			re.Rune, changed = []rune(s), true
			if s == "" {
				re.Op = syntax.OpEmptyMatch
			}
		}
	case syntax.OpCharClass:
		changed = legibleClass(re)
	}
	for _, sub := range re.Sub {
		changed = legibleTree(sub) || changed
	}
	return changed
}

// maxClass is how many characters a class may have to be looked at. Larger ones say what is not meant, or hold what
// their characters stand for anyway.
const maxClass = 500

// legibleClass adds to a class what its characters stand for, as far as that is one character.
func legibleClass(re *syntax.Regexp) (changed bool) {
	has := func(c rune) bool {
		for i := 0; i < len(re.Rune); i += 2 {
			if re.Rune[i] <= c && c <= re.Rune[i+1] {
				return true
			}
		}
		return false
	}
	count, end := 0, len(re.Rune)
	for i := 0; i < end; i += 2 {
		count += int(re.Rune[i+1]-re.Rune[i]) + 1
	}
	if count > maxClass {
		return false
	}
	for i := 0; i < end; i += 2 {
		for c := re.Rune[i]; c <= re.Rune[i+1]; c++ {
			if s := []rune(form(string(c), true)); len(s) == 1 && !has(s[0]) {
				re.Rune, changed = append(re.Rune, s[0], s[0]), true
			}
		}
	}
	if changed {
		sortClass(re)
	}
	return changed
}

// sortClass puts the pairs of a class in order.
func sortClass(re *syntax.Regexp) {
	pairs := make([][2]rune, 0, len(re.Rune)/2)
	for i := 0; i < len(re.Rune); i += 2 {
		pairs = append(pairs, [2]rune{re.Rune[i], re.Rune[i+1]})
	}
	slices.SortFunc(pairs, func(a, b [2]rune) int { return int(a[0] - b[0]) })
	re.Rune = re.Rune[:0]
	for _, p := range pairs {
		re.Rune = append(re.Rune, p[0], p[1])
	}
}
