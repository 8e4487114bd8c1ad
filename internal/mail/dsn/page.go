package dsn

import (
	"strings"

	"postern/internal/mail"
	"postern/internal/smtp"
)

// Bounds of what one fact may take in a notice, in bytes.
const (
	maxText  = 400 // a sentence, a reply
	maxName  = 260 // a host, a rule, an address
	maxNames = 12  // of a certificate
	maxTries = 16  // connections of one attempt
)

const pageWidth = 76

// page is a text for people, wrapped at pageWidth columns, lines ended with CRLF.
type page struct{ b strings.Builder }

// line writes s as it is; s has no line breaks.
func (p *page) line(s string) { p.b.WriteString(s + "\r\n") }

// blank writes an empty line.
func (p *page) blank() { p.line("") }

// para writes text as a paragraph, each line after indent.
func (p *page) para(indent, text string) { p.wrap(indent, indent, text) }

// labelWidth is the column, after the indent, where the text of a field begins.
const labelWidth = 18

// field writes "label: text" with the text aligned and wrapped; nothing when text is empty.
func (p *page) field(indent, label, text string) {
	if text == "" {
		return
	}
	head := indent + label + ":"
	pad := max(1, len(indent)+labelWidth-len(head))
	p.wrap(head+strings.Repeat(" ", pad), indent+strings.Repeat(" ", labelWidth), text)
}

// theirs writes what a peer wrote, marked so that nobody takes it for our words.
func (p *page) theirs(indent, text string) { p.wrap(indent+"> ", indent+"> ", text) }

func (p *page) wrap(first, rest, text string) {
	for _, line := range mail.Wrap(first, rest, text, pageWidth) {
		p.line(line)
	}
}

// safe makes one line of hostile text: bounded, nothing in it that a terminal or a mail reader acts on.
func safe(s string) string { return smtp.Printable(s, maxText) }

// safeName is safe with the bound of names.
func safeName(s string) string { return smtp.Printable(s, maxName) }

// list joins hostile names, at most maxNames of them.
func list(names []string) string {
	var out []string
	for i, n := range names {
		if i == maxNames {
			out = append(out, "...")
			break
		}
		out = append(out, safeName(n))
	}
	return strings.Join(out, ", ")
}
