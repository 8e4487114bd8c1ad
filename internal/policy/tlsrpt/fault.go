package tlsrpt

import (
	"fmt"
	"strings"

	"postern/internal/smtp"
)

// Bounds of what is read from strangers, and of what is written.
const (
	// MaxSize is how large a document may be in bytes, compressed or not.
	MaxSize = 10 << 20
	// MaxEntries is how many policies, failures, policy lines and mail hosts a document may have together.
	MaxEntries = 100_000
	// MaxSessions is the largest count: the sum of as many as there can be in ten thousand documents still fits.
	MaxSessions = 4_000_000_000
	maxText     = 1024 // octets of a text
	maxSaid     = 60   // octets of a stranger's text in a sentence
	maxOddities = 10
)

// Fault says in one sentence of our own why a record or a document cannot be used.
type Fault struct{ Text string }

// Error is the sentence, without a full stop.
func (f *Fault) Error() string { return f.Text }

func faultf(format string, args ...any) *Fault { return &Fault{fmt.Sprintf(format, args...)} }

// said quotes what a stranger wrote.
func said(s string) string { return `"` + smtp.Printable(s, maxSaid) + `"` }

// clean is a stranger's text: one line, bounded, escaped, without blanks around it.
func clean(s string) string { return smtp.Printable(strings.TrimSpace(s), maxText) }

// oddities are the sentences about what was odd, each once.
type oddities []string

func (o *oddities) add(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if len(*o) >= maxOddities {
		return
	}
	for _, before := range *o {
		if before == text {
			return
		}
	}
	*o = append(*o, text)
}
