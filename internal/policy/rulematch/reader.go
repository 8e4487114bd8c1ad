package rulematch

import (
	"slices"
	"strings"

	"postern/internal/mail"
	"postern/internal/policy/authorship"
	"postern/internal/policy/pattern"
	"postern/internal/policy/rule"
	"postern/internal/policy/rulelist"
)

// The time an expression takes grows with its own length times that of the text. What the expressions of a set of rules
// may take for one message is bounded, in instructions times octets: the more they have in all, the shorter a text may
// be. The least it may be is more than people write, so it is the instructions that are bounded in the end.
const (
	maxSteps       = 1 << 26
	leastFieldText = 512
)

// Reader makes messages ready for the conditions of one set of rules. It never changes and is safe for concurrent use.
type Reader struct {
	book   rulelist.Book // the lists, ready
	fields []string      // lower-case names of the header fields that rules look at
	// authors are the positions in fields of those that say whose mail a message is.
	authors []int
	// most is how many octets of one field "re:" expressions are held against.
	most int
}

// HeaderFields are the header fields that the conditions look at, in lower case.
func (r *Reader) HeaderFields() []string {
	return slices.DeleteFunc(slices.Clone(r.fields), func(name string) bool { return strings.HasPrefix(name, ":") })
}

// NeedsHeader reports whether a condition looks at the header.
func (r *Reader) NeedsHeader() bool { return len(r.fields) > 0 }

// NeedsContent reports whether a condition looks at attachments or text.
func (r *Reader) NeedsContent() bool {
	return slices.Contains(r.fields, attachmentField) || slices.Contains(r.fields, bodyField)
}

// List returns the list of a name, in any case; nil for none.
func (r *Reader) List(name string) *rulelist.List { return r.book.Find(name) }

// Party makes an address ready.
func (r *Reader) Party(a mail.Address) Party {
	p := Party{Address: pattern.NewAddress(a)}
	p.lists = r.book.Of(&p.Address)
	return p
}

// Probe is some address of a domain, which may be longer than one that exists.
func (r *Reader) Probe(domain string) Party {
	p := Party{Address: *pattern.Probe(domain)}
	p.lists = r.book.Of(&p.Address)
	return p
}

// Compiler makes conditions ready, and then the Reader for them.
type Compiler struct {
	fields   map[string]int
	programs int // instructions of all expressions for header values
	book     rulelist.Book
	authors  []int // see reader
}

// NewCompiler is a Compiler of conditions that may name the lists.
func NewCompiler(lists []rulelist.List) *Compiler {
	return &Compiler{book: rulelist.NewBook(lists), fields: map[string]int{}}
}

// Reader is the reader for all conditions that were made ready.
func (c *Compiler) Reader() Reader {
	c.book.Make()
	out := Reader{book: c.book, fields: make([]string, len(c.fields)), authors: c.authors,
		most: min(max(maxSteps/max(c.programs, 1), leastFieldText), pattern.MaxText)}
	for name, i := range c.fields {
		out.fields[i] = name
	}
	return out
}

// Rule makes the conditions and exceptions of a rule ready.
func (c *Compiler) Rule(r *rule.Rule) Conditions {
	out := c.conditions(&r.Match)
	if len(r.Domain) > 0 {
		out.domain = authorship.NewCondition(r.Domain, r.Below)
		for _, name := range authorship.Fields() {
			c.authors = append(c.authors, number(c.fields, strings.ToLower(name)))
		}
		slices.Sort(c.authors)
		c.authors = slices.Compact(c.authors)
	}
	if r.Excepts() {
		unless := c.conditions(&r.Unless)
		out.unless = &unless
	}
	return out
}

func (c *Compiler) conditions(m *rule.Match) Conditions {
	out := Conditions{sizeOver: m.SizeOver, recipientsOver: m.RecipientsOver, networks: m.SenderIP, match: m,
		Sender: c.addresses(m.Sender, m.Case), Recipient: c.addresses(m.Recipient, m.Case)}
	if out.Recipient != nil {
		out.Recipient.Literals = m.Literals
	}
	for _, h := range m.Header {
		out.headers = append(out.headers, c.text(h.Name, h.Value, m.Case))
	}
	for _, value := range m.Subject {
		out.subjects = append(out.subjects, c.text("Subject", value, m.Case))
	}
	for _, value := range m.Attachment {
		out.attachments = append(out.attachments, c.text(attachmentField, value, m.Case))
	}
	for _, value := range m.Body {
		out.bodies = append(out.bodies, c.text(bodyField, value, m.Case))
	}
	return out
}

func (c *Compiler) text(field, value string, caseMatters bool) textCondition {
	position := number(c.fields, strings.ToLower(field))
	if value == "" {
		return textCondition{field: position, exists: true}
	}
	p, _ := pattern.CompileText(value, caseMatters) // Parse compiled it before
	c.programs += p.Size()
	return textCondition{field: position, pattern: p}
}

// number returns the number of a key, the next one for a new key.
func number(m map[string]int, key string) int {
	n, ok := m[key]
	if !ok {
		n = len(m)
		m[key] = n
	}
	return n
}
