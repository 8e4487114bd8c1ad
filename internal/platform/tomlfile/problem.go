package tomlfile

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Error is everything wrong with a file.
type Error struct {
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

// maxProblems bounds an Error; the first fault is often the cause of the others.
const maxProblems = 50

// Error prints every problem: place, line, a caret under the fault, and a hint.
func (e *Error) Error() string {
	var b strings.Builder
	for i, p := range e.Problems {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%s:%d:%d: %s", e.File, p.Line, p.Column, p.What)
		if p.Source != "" {
			b.WriteString("\n" + Excerpt(p.Line, p.Source, "| ", strings.Repeat(" ", p.Mark), p.Width))
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

// Excerpt is a line of a file with its number and with carets below, from where lead ends; bar goes on in front of
// them.
func Excerpt(line int, source, bar, lead string, carets int) string {
	margin := fmt.Sprintf("%5d | ", line)
	below := strings.Repeat(" ", len(margin)-len(bar)) + bar + lead
	return margin + source + "\n" + below + strings.Repeat("^", max(1, carets))
}

// Span is a piece of the source, in bytes.
type Span struct{ Offset, Length int }

// Problems collects faults while a file is read.
type Problems struct {
	Source []byte
	list   []located
}

type located struct {
	at         Span
	what, hint string
}

// Add adds a fault.
func (p *Problems) Add(at Span, what, hint string) {
	p.list = append(p.list, located{at, what, hint})
}

// Len is how many there are.
func (p *Problems) Len() int { return len(p.list) }

// Err returns what was collected as an *Error, nil when it is nothing.
func (p *Problems) Err(file string) error {
	if len(p.list) == 0 {
		return nil
	}
	slices.SortStableFunc(p.list, func(a, b located) int { return cmp.Compare(a.at.Offset, b.at.Offset) })
	out := &Error{File: file}
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

// LineAt is the line in which an offset lies: its number, where it begins and its text.
func LineAt(source []byte, offset int) (number, start int, text []byte) {
	before := source[:min(offset, len(source))]
	start = bytes.LastIndexByte(before, '\n') + 1
	text, _, _ = bytes.Cut(source[start:], []byte("\n"))
	return bytes.Count(before, []byte("\n")) + 1, start, bytes.TrimSuffix(text, []byte("\r"))
}

// LineCounter turns rising offsets into line numbers with one walk over the source.
type LineCounter struct {
	Source []byte

	offset, lines int
}

// At is the number of the line in which an offset lies, which is not below the one before.
func (c *LineCounter) At(offset int) int {
	for ; c.offset < offset; c.offset++ {
		if c.Source[c.offset] == '\n' {
			c.lines++
		}
	}
	return c.lines + 1
}

func (p *Problems) render(l located) Problem {
	number, start, line := LineAt(p.Source, l.at.Offset)
	at := min(l.at.Offset-start, len(line))
	mark := utf8.RuneCount(line[:at])
	width := utf8.RuneCount(line[at:min(len(line), at+l.at.Length)])
	out := Problem{Line: number, Column: mark + 1, What: l.what, Hint: l.hint}
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
