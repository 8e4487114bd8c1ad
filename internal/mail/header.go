package mail

import (
	"bytes"
	"strings"
)

// What ParseHeader looks at. A message with more is not malformed, but nobody writes one in good faith.
const (
	MaxHeaderSize   = 256 << 10 // bytes
	MaxHeaderFields = 10_000
)

// Header is the header section of a message (RFC 5322 §2.2): its fields in order, duplicates kept. The zero value is
// an empty section. A Header is never changed after ParseHeader and is safe for concurrent use.
type Header struct {
	fields    []Field
	stray     int // lines that are no field
	size      int
	truncated bool
}

// Field is one header field as it stands in the message.
type Field struct {
	// Name is the field's name as written, without blanks before the colon.
	Name string
	raw  string // what follows the colon, folds included, the last line end not
}

// ParseHeader scans the header section at the start of content: everything up to the first empty line, or all of it
// where there is none. It never fails: lines that are no field are passed over. It copies what it keeps, looks at no
// more than MaxHeaderSize bytes and at MaxHeaderFields fields and such lines together, and its work is linear.
func ParseHeader(content []byte) Header {
	end, truncated := headerEnd(content)
	h := Header{size: end, truncated: truncated}
	h.scan(string(content[:end]))
	return h
}

// headerEnd returns the length of the header section, its ending empty line included.
func headerEnd(content []byte) (end int, truncated bool) {
	for end < len(content) {
		line := content[end:]
		if i := bytes.IndexByte(line, '\n'); i >= 0 {
			line = line[:i+1]
		}
		if end+len(line) > MaxHeaderSize {
			return end, true
		}
		end += len(line)
		if len(bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))) == 0 {
			return end, false
		}
	}
	return end, false
}

// scan splits a section into fields. A field's text grows line by line without copying: the lines are neighbours.
func (h *Header) scan(section string) {
	open := false       // the last line was part of a field
	var start, stop int // its value, from after the colon to before the last line end
	name := ""
	flush := func() {
		if open {
			h.fields = append(h.fields, Field{Name: name, raw: section[start:stop]})
		}
		open = false
	}
	for pos := 0; pos < len(section); {
		if len(h.fields)+h.stray >= MaxHeaderFields {
			h.truncated = true
			return
		}
		line, next := cutLine(section, pos)
		switch colon := strings.IndexByte(line, ':'); {
		case line == "":
			// the end of the section
		case line[0] == ' ' || line[0] == '\t':
			if open {
				stop = pos + len(line)
			} else {
				h.stray++
			}
		case colon < 0 || !isFieldName(strings.TrimRight(line[:colon], " \t")):
			flush()
			h.stray++
		default:
			flush()
			open, name = true, strings.TrimRight(line[:colon], " \t")
			start, stop = pos+colon+1, pos+len(line)
		}
		pos = next
	}
	flush()
}

// cutLine returns the line at pos without its end, and where the next one begins.
func cutLine(s string, pos int) (line string, next int) {
	i := strings.IndexByte(s[pos:], '\n')
	if i < 0 {
		return s[pos:], len(s)
	}
	return strings.TrimSuffix(s[pos:pos+i], "\r"), pos + i + 1
}

// isFieldName is field-name of RFC 5322 §3.6.8.
func isFieldName(name string) bool {
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c > '~' || c == ':' {
			return false
		}
	}
	return name != ""
}

// Fields returns the fields in order. The slice belongs to h.
func (h Header) Fields() []Field { return h.fields }

// Size is the length in bytes of what was looked at: the section with the empty line that ends it, unless Truncated.
func (h Header) Size() int { return h.size }

// Truncated reports whether the section is larger than what ParseHeader looks at, so that a field may be missing here.
func (h Header) Truncated() bool { return h.truncated }

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

// Value returns the field's value unfolded (RFC 5322 §2.2.3), without surrounding blanks, not decoded.
func (f Field) Value() string {
	v := f.raw
	if strings.ContainsRune(v, '\n') {
		v = unfolder.Replace(v)
	}
	return strings.Trim(v, " \t")
}

var unfolder = strings.NewReplacer("\r\n", "", "\n", "")

// Len is the length of the value in bytes as it stands in the message, folds included.
func (f Field) Len() int { return len(f.raw) }

// maxMessageID bounds what is kept of a Message-ID: a line of RFC 5322 §2.1.1.
const maxMessageID = 998

// MessageID returns the identifier of the first Message-ID field, in its angle brackets where it has them and without
// blanks; "" if there is none. It is cut at 998 octets and may still be hostile text.
func (h Header) MessageID() string {
	for _, f := range h.fields {
		if !strings.EqualFold(f.Name, "Message-ID") {
			continue
		}
		id := f.Value()
		if i := strings.IndexByte(id, '<'); i >= 0 {
			if n := strings.IndexByte(id[i:], '>'); n >= 0 {
				id = id[i : i+n+1]
			}
		}
		id = strings.Join(strings.Fields(id), "")
		return strings.ToValidUTF8(id[:min(len(id), maxMessageID)], "")
	}
	return ""
}

// AutoSubmitted reports whether the message says that no person sent it: an Auto-Submitted field other than "no"
// (RFC 3834 §5).
func (h Header) AutoSubmitted() bool {
	for _, f := range h.All("Auto-Submitted") {
		keyword, _, _ := strings.Cut(f.Value(), ";")
		keyword, _, _ = strings.Cut(keyword, "(")
		if !strings.EqualFold(strings.TrimSpace(keyword), "no") {
			return true
		}
	}
	return false
}
