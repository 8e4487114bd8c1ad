package config

import (
	"fmt"
	"strings"
)

// Problem is one thing wrong with a configuration file.
type Problem struct {
	File string
	// Line and Column count from 1; Line 0 is the file as a whole.
	Line, Column int
	// Key is what it is about, as far as that is known: "listen[0].address"; "" otherwise.
	Key string
	// Text is the line of the file, without its end and not more of it than can be read; "" when there is nothing to show.
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
	margin := fmt.Sprintf("%5d | ", p.Line)
	// Tabs before the mark are kept, so that it stands under what it points at wherever tabs stop.
	lead := strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, p.Text[:min(p.Column-1, len(p.Text))])
	return fmt.Sprintf("%s:%d:%d: %s\n%s%s\n%s%s^%s", p.File, p.Line, p.Column, p.What,
		margin, p.Text, strings.Repeat(" ", len(margin)), lead, p.hint())
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
	if len(word) > 64 {
		return "" // no slip for a key, and costly to compare
	}
	best, bestCost := "", len(word)/3+1
	for _, c := range candidates {
		if cost := editDistance(word, c); cost <= bestCost {
			if cost < bestCost || best == "" {
				best, bestCost = c, cost
			}
		}
	}
	return best
}

// editDistance counts the insertions, deletions and replacements of bytes that turn a into b.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
