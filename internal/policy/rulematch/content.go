package rulematch

import (
	"strings"

	"postern/internal/mail/mimewalk"
	"postern/internal/policy/pattern"
)

// What a message has besides its header is matched like the fields of a header, under names that no field has.
const (
	attachmentField = ":attachment"
	bodyField       = ":body"
)

// saidField is what people call a field.
func saidField(name string) string {
	if strings.HasPrefix(name, ":") {
		return "the message"
	}
	return name
}

// cut reports whether there may be more values of a field than were read.
func (m *Message) cut(field int) bool {
	return m.Header.Truncated() && !strings.HasPrefix(m.reader.fields[field], ":")
}

// contentValues are the values of attachments or text. Readings of one name belong together, and so do all texts: which
// of them people see depends on their program. All belong to what cannot be judged, where there is any.
func contentValues(name string, c *mimewalk.Content) (out []pattern.Value) {
	if c == nil {
		return []pattern.Value{{Doubt: "was not looked into, which counts as a match", Part: -1}}
	}
	doubt := c.TextDoubt
	if name == attachmentField {
		doubt = c.AttachmentDoubt
		for i, a := range c.Attachments {
			out = append(out, pattern.NewTextValue(a.Type, 2*i))
			for _, n := range a.Names {
				out = append(out, pattern.NewTextValue(n, 2*i+1))
			}
		}
	} else {
		for _, t := range c.Texts {
			out = append(out, pattern.NewTextValue(t, 0))
		}
	}
	if doubt != "" {
		out = append(out, pattern.Value{Doubt: doubt + ", which counts as a match"})
		for i := range out {
			out[i].Part = 0
		}
	}
	return out
}
