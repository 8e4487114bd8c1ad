package rules

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"postern/internal/mail"
	"postern/internal/policy"
)

// Facts is what a message shows the rules.
type Facts struct {
	From       mail.Address // envelope sender, the zero address for "<>"
	Recipients []mail.Address
	// Local may say of each recipient, in the same order, that it belongs to a domain of our own servers: rules of
	// outbound scope neither match nor taint it. nil means that none does.
	Local  []bool
	Client netip.Addr
	Header mail.Header
	Size   int64 // of the content in bytes
	Now    time.Time
}

// Decision is what the rules demand for one message.
type Decision struct {
	Recipients []Outcome // in the order of Facts.Recipients
}

// Outcome is what the rules demand for one recipient. Outcomes share memory with each other and with the Set: treat
// them as read-only.
type Outcome struct {
	Requirement policy.Requirement `json:"requirement"`
	// Rules are the names of the rules that shaped the requirement, in the order of the file.
	Rules []string `json:"rules,omitempty"`
	// Matched says that one of Rules names this very recipient; false for one that is only tainted or unspecified.
	Matched bool `json:"matched,omitempty"`
	// Window is how long the delivery may wait for the requirement; 0 means the ordinary lifetime.
	Window time.Duration `json:"-"`
	// Tested are the rules under test that would have shaped the requirement, and TestedRequirement what it would
	// have been with them; the zero Requirement when Tested is empty.
	Tested            []string           `json:"tested,omitempty"`
	TestedRequirement policy.Requirement `json:"tested_requirement,omitzero"`
}

// maxText is how much of one header value is matched. A longer one counts as a match: what cannot be judged is never
// read as harmless.
const maxText = 64 << 10

// message is a message while it is evaluated: its addresses and values in the forms matchers take, made once.
type message struct {
	*Facts
	from       addressForm
	recipients []addressForm
	values     map[string][]value // header values by lower-case name
	examined   int                // how many rules were looked at
}

// value is one header value.
type value struct {
	formed
	tooLong bool
}

func newMessage(f *Facts) *message {
	m := &message{Facts: f, from: newAddressForm(f.From), recipients: make([]addressForm, len(f.Recipients))}
	for i, a := range f.Recipients {
		m.recipients[i] = newAddressForm(a)
	}
	return m
}

// local reports whether recipient i is out of reach for outbound rules.
func (m *message) local(i int) bool { return i < len(m.Local) && m.Local[i] }

// hit is a rule that matches the message, and its role for every recipient.
type hit struct {
	rule  *compiled
	roles []role
}

// Evaluate decides for one message. It is safe for concurrent use.
func (s *Set) Evaluate(f *Facts) Decision { return s.evaluate(newMessage(f)) }

func (s *Set) evaluate(m *message) Decision {
	d := Decision{Recipients: make([]Outcome, len(m.recipients))}
	var hits []hit
	for _, i := range s.candidates(m) {
		if h, ok := s.live[i].match(m); ok {
			hits = append(hits, h)
		}
	}
	if len(hits) == 0 {
		return d
	}
	joined := map[string]Outcome{} // by the roles of all hits: most recipients of a message are alike
	roles := make([]byte, len(hits))
	for i := range d.Recipients {
		for j, h := range hits {
			roles[j] = byte(h.roles[i])
		}
		out, known := joined[string(roles)]
		if !known {
			out = join(hits, i)
			joined[string(roles)] = out
		}
		d.Recipients[i] = out
	}
	return d
}

// candidates returns the rules that may match, in the order of the file.
func (s *Set) candidates(m *message) []int32 {
	found := slices.Clone(s.index.always)
	found = s.index.senders.find(found, &m.from)
	found = s.index.senders.findDomain(found, m.from.domain)
	seen := map[string]bool{}
	for i := range m.recipients {
		a := &m.recipients[i]
		found = s.index.recipients.find(found, a)
		if !seen[a.domain] {
			seen[a.domain] = true
			found = s.index.recipients.findDomain(found, a.domain)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// match reports whether the rule matches, and what it does to whom. The cheap conditions come first.
func (c *compiled) match(m *message) (h hit, ok bool) {
	m.examined++
	if c.Expires.Over(m.Now) || !c.matchSize(m) || !c.matchCount(m) || !c.matchClient(m) ||
		c.sender != nil && !c.sender.match(&m.from) {
		return h, false
	}
	as, ok := c.assign(m)
	if !ok || !c.matchHeaders(m) || !c.matchSubject(m) {
		return h, false
	}
	return hit{c, as}, true
}

func (c *compiled) matchSize(m *message) bool {
	return c.Match.SizeOver == 0 || m.Size > c.Match.SizeOver
}

func (c *compiled) matchCount(m *message) bool {
	return c.Match.RecipientsOver == 0 || len(m.recipients) > c.Match.RecipientsOver
}

func (c *compiled) matchClient(m *message) bool {
	return len(c.Match.SenderIP) == 0 || slices.ContainsFunc(c.Match.SenderIP, m.fromNetwork)
}

func (m *message) fromNetwork(network netip.Prefix) bool {
	return network.Contains(m.Client.Unmap().WithZone(""))
}

func (c *compiled) matchHeaders(m *message) bool {
	return len(c.headers) == 0 || slices.ContainsFunc(c.headers, func(h headerCondition) bool {
		return m.hasValue(h.name, h.pattern, c.Match.Case)
	})
}

func (c *compiled) matchSubject(m *message) bool {
	return len(c.subjects) == 0 || slices.ContainsFunc(c.subjects, func(p textPattern) bool {
		return m.hasValue("subject", p, c.Match.Case)
	})
}

// hasValue reports whether a field of that name fits. A header that was too large to be read in full may hold one.
func (m *message) hasValue(name string, p textPattern, caseMatters bool) bool {
	return m.Header.Truncated() || slices.ContainsFunc(m.headerValues(name), func(v value) bool {
		return v.tooLong || p.match(v.formed, caseMatters)
	})
}

// headerValues returns the decoded values of a field, decoding them at the first question.
func (m *message) headerValues(name string) []value {
	if m.values == nil {
		m.values = map[string][]value{}
		for _, f := range m.Header.Fields() {
			key := strings.ToLower(f.Name)
			m.values[key] = append(m.values[key], newValue(f))
		}
	}
	return m.values[name]
}

func newValue(f mail.Field) value {
	if f.Len() > maxText {
		return value{tooLong: true}
	}
	return value{formed: newFormed(f.Text())}
}

// assign says what the rule does to each recipient; ok is false when it names none.
func (c *compiled) assign(m *message) (as []role, ok bool) {
	others := tainted
	if c.ForceTLS.Unspecified == UnspecifiedOpportunistic {
		others = unforced
	}
	as = make([]role, len(m.recipients))
	for i := range m.recipients {
		switch {
		case m.local(i):
		case c.recipient == nil || c.recipient.match(&m.recipients[i]):
			as[i], ok = named, true
		default:
			as[i] = others
		}
	}
	return as, ok
}

// join adds up what the hits demand for recipient i: requirements by policy.Combine, the shortest window.
func join(hits []hit, i int) Outcome {
	var out Outcome
	var enforced, all sum
	for _, h := range hits {
		as := h.roles[i]
		if as == untouched {
			continue
		}
		all.add(h.rule.effects[as])
		if h.rule.Mode == Test {
			out.Tested = append(out.Tested, h.rule.Name)
			continue
		}
		enforced.add(h.rule.effects[as])
		out.Rules = append(out.Rules, h.rule.Name)
		out.Matched = out.Matched || as == named
		if w := h.rule.ForceTLS.Defer; as != unforced && (out.Window == 0 || w < out.Window) {
			out.Window = w
		}
	}
	out.Requirement = enforced.combine()
	if len(out.Tested) > 0 {
		out.TestedRequirement = all.combine()
	}
	return out
}

// sum collects different effects; most rules demand the same.
type sum struct {
	seen  map[string]bool
	parts []policy.Requirement
}

func (s *sum) add(e effect) {
	if s.seen == nil {
		s.seen = map[string]bool{}
	}
	if !s.seen[e.key] {
		s.seen[e.key] = true
		s.parts = append(s.parts, e.requirement)
	}
}

func (s *sum) combine() policy.Requirement {
	if len(s.parts) == 1 {
		return s.parts[0]
	}
	return policy.Combine(s.parts...)
}
