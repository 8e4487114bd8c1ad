// Package addresslist reads a list of mail addresses from a file's text: which mailboxes there are.
//
//	# a comment, on a line of its own or behind an address
//	anna@example.com
//	"front desk"@example.com
//	@branch.example.com        every mailbox of that domain
//
// One address a line. A line that is neither empty, nor a comment, nor an address is an error with its line: a slip
// must not become "nobody". Local parts are compared without regard to case, and an address with a detail
// (anna+shop@example.com) is there when it is listed itself or without the detail: whoever is asked errs on the side of
// taking mail.
//
// Ground room.
package addresslist

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"postern/internal/mail"
)

// MaxSize bounds the text of a list, in octets.
const MaxSize = 64 << 20

// maxLine bounds a line: a path has 256 octets (RFC 5321 §4.5.3.1.3), a comment some more.
const maxLine = 2000

// List is a list that was read. It never changes. The zero List has nobody.
type List struct {
	mailboxes map[string]bool
	domains   map[mail.Domain]bool // whole ones
	named     map[mail.Domain]bool // of which anything is listed
}

// Error says which line is wrong.
type Error struct {
	Line int // counts from 1
	Err  error
}

// Error begins with the line.
func (e *Error) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }

// Unwrap returns what is wrong with the line.
func (e *Error) Unwrap() error { return e.Err }

var (
	errSize = fmt.Errorf("the list is larger than %d bytes", MaxSize)
	errLine = errors.New("it is too long for an address")
	errRest = errors.New("there is more than one address on it; a comment begins with #")
)

// Parse reads the text. A byte order mark and CRLF are taken. Errors are *Error, but for a text that is too large.
func Parse(text []byte) (*List, error) {
	if len(text) > MaxSize {
		return nil, errSize
	}
	l := &List{mailboxes: map[string]bool{}, domains: map[mail.Domain]bool{}, named: map[mail.Domain]bool{}}
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	n := 0
	for line := range bytes.Lines(text) {
		n++
		if err := l.add(string(bytes.TrimSpace(line))); err != nil {
			return nil, &Error{n, err}
		}
	}
	return l, nil
}

// For is Parse of a list that some domains use: one of which it has nothing is an error, for all mail there would be
// refused.
func For(text []byte, domains ...mail.Domain) (*List, error) {
	l, err := Parse(text)
	if err != nil {
		return nil, err
	}
	for _, d := range domains {
		if !l.Names(d) {
			return nil, fmt.Errorf("it has no address of %s, so all mail for that domain would be refused", d)
		}
	}
	return l, nil
}

// add takes one line without the blanks around it.
func (l *List) add(line string) error {
	if line == "" || line[0] == '#' {
		return nil
	}
	if len(line) > maxLine {
		return errLine
	}
	word, rest := cut(line)
	if rest = strings.TrimSpace(rest); rest != "" && rest[0] != '#' {
		return errRest
	}
	if name, whole := strings.CutPrefix(word, "@"); whole {
		d, err := mail.ParseDomain(name)
		if err == nil {
			l.domains[d], l.named[d] = true, true
		}
		return err
	}
	a, err := mail.ParseAddress(word)
	if err == nil {
		l.mailboxes[a.Folded()], l.named[a.Domain] = true, true
	}
	return err
}

// cut splits off the first word of a line; blanks inside quotes belong to it.
func cut(line string) (word, rest string) {
	quoted := false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case (c == ' ' || c == '\t') && !quoted:
			return line[:i], line[i:]
		}
	}
	return line, ""
}

// Has reports whether a mailbox is listed, or its whole domain.
func (l *List) Has(a mail.Address) bool {
	k := a.Folded()
	if l.domains[a.Domain] || l.mailboxes[k] {
		return true
	}
	plus, at := strings.IndexByte(k, '+'), strings.LastIndexByte(k, '@')
	return plus > 0 && plus < at && k[0] != '"' && l.mailboxes[k[:plus]+k[at:]]
}

// Names reports whether anything of a domain is listed.
func (l *List) Names(d mail.Domain) bool { return l.named[d] }

// Len is how many mailboxes and whole domains are listed.
func (l *List) Len() int { return len(l.mailboxes) + len(l.domains) }
