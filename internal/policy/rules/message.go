package rules

import (
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/text/unicode/norm"

	"postern/internal/mail"
)

// maxText is how much of one header value is matched, in octets, as it stands and in its form. A longer one counts as a
// match: what cannot be judged is never read as harmless.
const maxText = 64 << 10

// message is a message while it is evaluated: its addresses and values in the forms matchers take, made once.
type message struct {
	*Facts
	client     netip.Addr // without zone, IPv4 as such
	from       party
	recipients []party
	fields     []string  // of the Set
	values     [][]value // header values by position in fields, nil before the first question
	lengths    []int     // of all texts of a field that expressions are held against
	most       int       // Set.expressionText
	authors    []int     // of the Set
	whose      *kin      // nil before the first question
	examined   int       // how many rules were looked at
}

// value is one reading of a header field, or what keeps a field from being judged.
type value struct {
	formed
	plain string // as it was sent, composed
	grams grams  // of both forms
	part  int    // which of the fields of one name it is a reading of
	doubt string // why it cannot be judged, as the end of a sentence about the field; it counts as a match
}

// tooLong is the value of a field that has more text than is looked at.
func tooLong(most int) value {
	return value{doubt: fmt.Sprintf("has more than %d bytes, which counts as a match", most)}
}

func (s *Set) newMessage(f *Facts) *message {
	m := &message{Facts: f, client: f.Client.Unmap().WithZone(""), from: s.newParty(f.From),
		recipients: make([]party, len(f.Recipients)), fields: s.fields, authors: s.authors, most: s.expressionText}
	for i, a := range f.Recipients {
		m.recipients[i] = s.newParty(a)
	}
	return m
}

func (s *Set) newParty(a mail.Address) party {
	p := party{addressForm: newAddressForm(a)}
	p.lists = s.book.of(&p.addressForm)
	return p
}

// local reports whether recipient i is out of reach for outbound rules.
func (m *message) local(i int) bool { return i < len(m.Local) && m.Local[i] }

// matchHeader reports whether one of the conditions holds, or there are none. A header that was too large to be read
// in full may hold anything.
func (c *compiled) matchHeader(m *message, conditions []headerCondition) bool {
	if len(conditions) == 0 || m.cut(conditions[0].field) {
		return true
	}
	for i := range conditions {
		if m.fittingValue(&conditions[i], c.Match.Case) != nil {
			return true
		}
	}
	return false
}

// fittingValue returns a value of the field that fits, else one that cannot be judged, nil when there is none.
func (m *message) fittingValue(h *headerCondition, caseMatters bool) *value {
	values := m.valuesOf(h.field)
	if h.exists && len(values) > 0 {
		return &values[0]
	}
	if h.pattern.re != nil && m.lengths[h.field] > m.most {
		v := tooLong(m.most)
		return &v
	}
	var doubtful *value
	for i := range values {
		switch v := &values[i]; {
		case v.doubt != "":
			doubtful = v
		case h.pattern.match(v, caseMatters):
			return v
		}
	}
	return doubtful
}

// valuesOf returns the values of a field by its position.
func (m *message) valuesOf(field int) []value {
	if m.values == nil {
		m.readValues()
	}
	return m.values[field]
}

// readValues decodes the fields that rules look at.
func (m *message) readValues() {
	m.values, m.lengths = make([][]value, len(m.fields)), make([]int, len(m.fields))
	positions := make(map[string]int, len(m.fields))
	for i, name := range m.fields {
		positions[name] = i
	}
	for _, name := range []string{attachmentField, bodyField} {
		if i, ok := positions[name]; ok {
			m.values[i] = contentValues(name, m.Content)
			for _, v := range m.values[i] {
				m.lengths[i] += len(v.exact)
			}
		}
	}
	for n, f := range m.Header.Fields() {
		if i, ok := positions[strings.ToLower(f.Name)]; ok {
			for _, v := range newValues(f) {
				v.part = n
				m.values[i] = append(m.values[i], v)
				if m.lengths[i] += len(v.exact); v.plain != v.exact {
					m.lengths[i] += len(v.plain)
				}
			}
		}
	}
}

// newValues returns every reading of a field, and what keeps it from being judged.
func newValues(f mail.Field) (out []value) {
	if f.Len() > maxText {
		return []value{tooLong(maxText)}
	}
	text := f.Text()
	for _, reading := range text.Readings() {
		v := newTextValue(reading, 0)
		if len(v.exact) > maxText {
			v = tooLong(maxText)
		}
		out = append(out, v)
	}
	if why := text.Unread(); why != "" {
		out = append(out, value{doubt: "could not be read as text: " + why + "; counts as a match"})
	}
	return out
}

// newTextValue is a text that was read, as the value of a part.
func newTextValue(text string, part int) value {
	v := value{plain: norm.NFC.String(text), formed: newFormed(text), part: part}
	v.exact, v.folded = strings.Trim(v.exact, " "), strings.Trim(v.folded, " ")
	v.grams.add(v.exact)
	v.grams.add(v.folded)
	return v
}
