package pattern

import "strings"

// Text is a pattern of a header value: a glob or an "re:" expression. It is safe for concurrent use.
type Text struct {
	Source string // as it stands in the rule
	glob   *glob
	re     *expression
}

// CompileText reads the pattern of a header value or subject.
func CompileText(source string, caseMatters bool) (Text, error) {
	p := Text{Source: source}
	if err := checkPattern(source); err != nil {
		return p, err
	}
	var err error
	if expr, ok := strings.CutPrefix(source, "re:"); ok {
		p.re, err = compileExpression(expr, caseMatters)
		return p, err
	}
	p.glob, err = compileGlob(strings.TrimFunc(source, isBlank), caseMatters)
	return p, err
}

// Size is that of the expression, in instructions.
func (p *Text) Size() int {
	if p.re == nil {
		return 0
	}
	return p.re.size
}

// Expression reports whether it is an "re:" expression.
func (p *Text) Expression() bool { return p.re != nil }

// Match takes a value in all its forms.
func (p *Text) Match(v *Value, caseMatters bool) bool {
	switch {
	case p.re != nil:
		return p.re.match(v.Exact, v.Plain)
	case caseMatters:
		return v.grams.hold(p.glob.needs) && p.glob.match(v.Exact)
	}
	return v.grams.hold(p.glob.needs) && p.glob.match(v.Folded)
}
