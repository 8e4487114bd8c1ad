package rules

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ParseError is everything wrong with a rules file.
type ParseError struct {
	File     string    `json:"file"`
	Problems []Problem `json:"problems"` // in the order of the file, at least one
	// More is how many problems beyond those listed there are.
	More int `json:"more,omitempty"`
}

// Problem is one thing wrong, with its place and what to do.
type Problem struct {
	Line   int    `json:"line"`   // 1 for the first
	Column int    `json:"column"` // in characters, 1 for the first
	What   string `json:"what"`
	Hint   string `json:"hint,omitempty"`
	Source string `json:"source,omitempty"` // the line, escaped and cut around the place
	// Mark is where in Source the fault stands, in characters, and how many it covers.
	Mark, Width int `json:"-"`
}

// maxProblems bounds a ParseError; the first fault is often the cause of the others.
const maxProblems = 50

// Error prints every problem: place, line, a caret under the fault, and a hint.
func (e *ParseError) Error() string {
	var b strings.Builder
	for i, p := range e.Problems {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%s:%d:%d: %s", e.File, p.Line, p.Column, p.What)
		if p.Source != "" {
			gutter := fmt.Sprintf("%5d | ", p.Line)
			fmt.Fprintf(&b, "\n%s%s\n%s%s%s", gutter, p.Source, strings.Repeat(" ", len(gutter)-2)+"| ",
				strings.Repeat(" ", p.Mark), strings.Repeat("^", max(1, p.Width)))
		}
		if p.Hint != "" {
			fmt.Fprintf(&b, "\n  hint: %s", p.Hint)
		}
	}
	if e.More > 0 {
		fmt.Fprintf(&b, "\n%s: %d more problems", e.File, e.More)
	}
	return b.String()
}

// span is a piece of the source.
type span struct{ offset, length int }

// problems collects faults while a file is read.
type problems struct {
	source []byte
	list   []located
	// programs is how many instructions the "re:" expressions for header values have so far.
	programs int
}

type located struct {
	at         span
	what, hint string
}

func (p *problems) add(at span, what, hint string) {
	p.list = append(p.list, located{at, what, hint})
}

// err returns what was collected as an error, nil when it is nothing.
func (p *problems) err(file string) error {
	if len(p.list) == 0 {
		return nil
	}
	slices.SortStableFunc(p.list, func(a, b located) int { return cmp.Compare(a.at.offset, b.at.offset) })
	out := &ParseError{File: file}
	for _, l := range p.list {
		if len(out.Problems) == maxProblems {
			out.More = len(p.list) - maxProblems
			break
		}
		out.Problems = append(out.Problems, p.render(l))
	}
	return out
}

// sourceWidth bounds the line shown with a problem.
const sourceWidth = 100

func (p *problems) render(l located) Problem {
	offset := min(l.at.offset, len(p.source))
	before := p.source[:offset]
	start := bytes.LastIndexByte(before, '\n') + 1
	line := p.source[start:]
	if i := bytes.IndexByte(line, '\n'); i >= 0 {
		line = line[:i]
	}
	line = bytes.TrimSuffix(line, []byte("\r"))
	at := min(offset-start, len(line))
	mark := utf8.RuneCount(line[:at])
	width := utf8.RuneCount(line[at:min(len(line), at+l.at.length)])
	out := Problem{Line: bytes.Count(before, []byte("\n")) + 1, Column: mark + 1, What: l.what, Hint: l.hint}
	runes := []rune(string(line))
	if cut := mark - sourceWidth/2; len(runes) > sourceWidth && cut > 0 {
		runes, mark = runes[cut:], mark-cut
	}
	runes = runes[:min(len(runes), sourceWidth)]
	out.Source, out.Mark = shown(string(runes)), mark
	out.Width = min(width, max(1, len(runes)-mark))
	return out
}

// shown makes source text fit for a terminal, one column a character.
func shown(s string) string {
	return strings.Map(func(c rune) rune {
		if c == '\t' {
			return ' '
		}
		if c == utf8.RuneError || !unicode.IsPrint(c) {
			return '?'
		}
		return c
	}, s)
}

// nearest returns the word of the list that s is most likely a slip for, "" when none is near.
func nearest(s string, words []string) string {
	best, bestDistance := "", 3
	for _, w := range words {
		if d := distance(strings.ToLower(s), w); d < bestDistance && 3*d < len(w) {
			best, bestDistance = w, d
		}
	}
	return best
}

// distance is how many letters must be added, removed, changed or swapped with a neighbour to make a of b.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	previous, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], previous[j-2]+1)
			}
		}
		previous, last, row = last, row, previous
	}
	return last[len(b)]
}
