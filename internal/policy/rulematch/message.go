package rulematch

import (
	"net/netip"
	"strings"

	"postern/internal/policy/authorship"
	"postern/internal/policy/pattern"
)

// Message is a message while it is evaluated: its addresses and values in the forms matchers take, made once.
type Message struct {
	*Facts
	client     netip.Addr // without zone, IPv4 as such
	from       Party
	recipients []Party
	reader     *Reader
	values     [][]pattern.Value // header values by position in Reader.fields, nil before the first question
	lengths    []int             // of all texts of a field that expressions are held against
	whose      *authorship.Ties  // nil before the first question
}

// Message makes a message ready to be asked.
func (r *Reader) Message(f *Facts) *Message {
	m := &Message{Facts: f, reader: r, client: f.Client.Unmap().WithZone(""), from: r.Party(f.From),
		recipients: make([]Party, len(f.Recipients))}
	for i, a := range f.Recipients {
		m.recipients[i] = r.Party(a)
	}
	return m
}

// Ours reports whether recipient i is in a domain of our own servers, out of reach for outbound rules.
func (m *Message) Ours(i int) bool { return i < len(m.Local) && m.Local[i] }

// fittingValue returns a value of the field that fits, else one that cannot be judged, nil when there is none.
func (m *Message) fittingValue(h *textCondition, caseMatters bool) *pattern.Value {
	values := m.valuesOf(h.field)
	if h.exists && len(values) > 0 {
		return &values[0]
	}
	if h.pattern.Expression() && m.lengths[h.field] > m.reader.most {
		v := pattern.TooLong(m.reader.most)
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
func (m *Message) valuesOf(field int) []pattern.Value {
	if m.values == nil {
		m.readValues()
	}
	return m.values[field]
}

// readValues decodes the fields that rules look at.
func (m *Message) readValues() {
	m.values, m.lengths = make([][]pattern.Value, len(m.reader.fields)), make([]int, len(m.reader.fields))
	positions := make(map[string]int, len(m.reader.fields))
	for i, name := range m.reader.fields {
		positions[name] = i
	}
	for _, name := range []string{attachmentField, bodyField} {
		if i, ok := positions[name]; ok {
			m.values[i] = contentValues(name, m.Content)
			for _, v := range m.values[i] {
				m.lengths[i] += len(v.Exact)
			}
		}
	}
	for n, f := range m.Header.Fields() {
		if i, ok := positions[strings.ToLower(f.Name)]; ok {
			for _, v := range pattern.NewValues(f) {
				if v.Part = n; onceOnly(f.Name) {
					v.Part = -1
				}
				m.values[i] = append(m.values[i], v)
				if m.lengths[i] += len(v.Exact); v.Plain != v.Exact {
					m.lengths[i] += len(v.Plain)
				}
			}
		}
	}
}

// ties are found out once for a message.
func (m *Message) ties() *authorship.Ties {
	if m.whose == nil {
		m.whose = authorship.Of(m.From, &m.Origin)
		for _, field := range m.reader.authors {
			m.whose.Field(m.reader.fields[field], m.valuesOf(field))
		}
		if m.Header.Truncated() {
			m.whose.Doubt("the header is too large to be read in full, which counts as a match")
		}
	}
	return m.whose
}
