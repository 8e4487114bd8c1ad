package rules

import (
	"net/netip"
	"strings"

	"postern/internal/policy/pattern"
)

// message is a message while it is evaluated: its addresses and values in the forms matchers take, made once.
type message struct {
	*Facts
	client     netip.Addr // without zone, IPv4 as such
	from       pattern.Address
	recipients []pattern.Address
	fields     []string          // of the Set
	values     [][]pattern.Value // header values by position in fields, nil before the first question
	lengths    []int             // of all texts of a field that expressions are held against
	most       int               // Set.expressionText
	examined   int               // how many rules were looked at
}

func (s *Set) newMessage(f *Facts) *message {
	m := &message{Facts: f, client: f.Client.Unmap().WithZone(""), from: pattern.NewAddress(f.From),
		recipients: make([]pattern.Address, len(f.Recipients)), fields: s.fields, most: s.expressionText}
	for i, a := range f.Recipients {
		m.recipients[i] = pattern.NewAddress(a)
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

// fittingValue returns a value of the field that fits, else one that cannot be judged, nil when there is none.
func (m *message) fittingValue(h *headerCondition, caseMatters bool) *pattern.Value {
	values := m.valuesOf(h.field)
	if h.pattern.Expression() && m.lengths[h.field] > m.most {
		v := pattern.TooLong(m.most)
		return &v
	}
	var doubtful *pattern.Value
	for i := range values {
		switch v := &values[i]; {
		case v.Doubt != "":
			doubtful = v
		case h.pattern.Match(v, caseMatters):
			return v
		}
	}
	return doubtful
}

// valuesOf returns the values of a field by its position.
func (m *message) valuesOf(field int) []pattern.Value {
	if m.values == nil {
		m.readValues()
	}
	return m.values[field]
}

// readValues decodes the fields that rules look at.
func (m *message) readValues() {
	m.values, m.lengths = make([][]pattern.Value, len(m.fields)), make([]int, len(m.fields))
	positions := make(map[string]int, len(m.fields))
	for i, name := range m.fields {
		positions[name] = i
	}
	for _, f := range m.Header.Fields() {
		if i, ok := positions[strings.ToLower(f.Name)]; ok {
			for _, v := range pattern.NewValues(f) {
				m.values[i] = append(m.values[i], v)
				if m.lengths[i] += len(v.Exact); v.Plain != v.Exact {
					m.lengths[i] += len(v.Plain)
				}
			}
		}
	}
}
