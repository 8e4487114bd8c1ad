package config

import (
	"fmt"
	"strings"

	"postern/internal/platform/tomlfile"
)

// Problem is one thing wrong with a configuration file.
type Problem struct {
	File string
	// Line and Column count from 1; Line 0 is the file as a whole.
	Line, Column int
	// Key is what it is about, as far as that is known: "listen[0].address"; "" otherwise.
	Key string
	// Text is the line of the file, without its end and not more of it than can be read; "" when there is nothing to
	// show.
	Text string
	// What is wrong, and what to write instead; Hint may be "".
	What, Hint string
}

// Error is the problem in full, several lines.
func (p Problem) Error() string {
	if p.Line == 0 {
		return fmt.Sprintf("%s: %s%s", p.File, p.What, p.hint())
	}
	if p.Text == "" {
		return fmt.Sprintf("%s:%d:%d: %s%s", p.File, p.Line, p.Column, p.What, p.hint())
	}
	// Tabs before the mark are kept, so that it stands under what it points at wherever tabs stop.
	lead := strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, p.Text[:min(p.Column-1, len(p.Text))])
	return fmt.Sprintf("%s:%d:%d: %s\n%s%s", p.File, p.Line, p.Column, p.What,
		tomlfile.Excerpt(p.Line, p.Text, "", lead, 1), p.hint())
}

func (p Problem) hint() string {
	if p.Hint == "" {
		return ""
	}
	return "\n      hint: " + p.Hint
}

// Problems is everything wrong with a file, in the order of its lines. It is never empty.
type Problems struct{ List []Problem }

// Error lists all problems.
func (p *Problems) Error() string {
	texts := make([]string, len(p.List))
	for i, one := range p.List {
		texts[i] = one.Error()
	}
	return strings.Join(texts, "\n")
}

// nearest returns the candidate that differs from word by the fewest edits, "" when none is near.
func nearest(word string, candidates []string) string {
	return tomlfile.Nearest(word, candidates, func(string) int { return len(word)/3 + 1 })
}
