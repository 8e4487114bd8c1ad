package rules

import (
	"net/netip"
	"strings"

	"postern/internal/mail"
)

// maxText is how much of one header value is matched. A longer one counts as a match: what cannot be judged is never
// read as harmless.
const maxText = 64 << 10

// message is a message while it is evaluated: its addresses and values in the forms matchers take, made once.
type message struct {
	*Facts
	client     netip.Addr // without zone, IPv4 as such
	from       addressForm
	recipients []addressForm
	fields     []string  // of the Set
	values     [][]value // header values by position in fields, nil before the first question
	lengths    []int     // of all values of a field together
	most       int       // Set.expressionText
	examined   int       // how many rules were looked at
}

// value is one header value.
type value struct {
	formed
	grams   grams // of both forms
	tooLong int   // the octets it may have where it has more, else 0
}

func (s *Set) newMessage(f *Facts) *message {
	m := &message{Facts: f, client: f.Client.Unmap().WithZone(""), from: newAddressForm(f.From),
		recipients: make([]addressForm, len(f.Recipients)), fields: s.fields, most: s.expressionText}
	for i, a := range f.Recipients {
		m.recipients[i] = newAddressForm(a)
	}
	return m
}

// local reports whether recipient i is out of reach for outbound rules.
func (m *message) local(i int) bool { return i < len(m.Local) && m.Local[i] }

// matchHeader reports whether one of the conditions holds, or there are none. A header that was too large to be read
// in full may hold anything.
func (c *compiled) matchHeader(m *message, conditions []headerCondition) bool {
	if len(conditions) == 0 || m.Header.Truncated() {
		return true
	}
	for i := range conditions {
		if m.fittingValue(&conditions[i], c.Match.Case) != nil {
			return true
		}
	}
	return false
}

// fittingValue returns a value of the field that fits, nil when there is none.
func (m *message) fittingValue(h *headerCondition, caseMatters bool) *value {
	values := m.valuesOf(h.field)
	if h.pattern.re != nil && m.lengths[h.field] > m.most {
		return &value{tooLong: m.most}
	}
	for i := range values {
		if v := &values[i]; v.tooLong > 0 || h.pattern.match(v, caseMatters) {
			return v
		}
	}
	return nil
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
	for _, f := range m.Header.Fields() {
		if i, ok := positions[strings.ToLower(f.Name)]; ok {
			m.values[i] = append(m.values[i], newValue(f))
			m.lengths[i] += f.Len()
		}
	}
}

func newValue(f mail.Field) value {
	if f.Len() > maxText {
		return value{tooLong: maxText}
	}
	v := value{formed: newFormed(f.Text())}
	v.grams.add(v.exact)
	v.grams.add(v.folded)
	return v
}
