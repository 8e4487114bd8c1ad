package sts

import (
	"fmt"

	"postern/internal/smtp"
)

// maxSaid is how many octets of a stranger's text stand in a sentence, and maxOddities how many sentences are kept.
const (
	maxSaid     = 60
	maxOddities = 10
)

// Fault says in one sentence of our own why a record or a policy cannot be used.
type Fault struct {
	// Line is the line of the policy, from 1; 0 where it is no single one.
	Line int
	Text string
	// Oddities are what else was noticed; often one of them is the cause.
	Oddities []string
}

// Error is the sentence, with the line and the first oddity where there are any.
func (f *Fault) Error() string {
	text := f.Text
	if f.Line > 0 {
		text = atLine(f.Line, text)
	}
	if len(f.Oddities) > 0 {
		text += " (" + f.Oddities[0] + ")"
	}
	return text
}

func atLine(n int, text string) string { return fmt.Sprintf("line %d: %s", n, text) }

// said quotes what a stranger wrote.
func said(s string) string { return `"` + smtp.Printable(s, maxSaid) + `"` }
