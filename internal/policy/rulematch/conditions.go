package rulematch

import (
	"net/netip"
	"slices"

	"postern/internal/policy/authorship"
	"postern/internal/policy/pattern"
	"postern/internal/policy/rule"
)

// Conditions is what a rule asks of a message, made ready: domain, [rule.match] and [rule.unless]. What most rules are
// dismissed by stands in it, because following a pointer for each of 10,000 rules costs more than all comparisons. The
// zero value asks for nothing.
type Conditions struct {
	sizeOver          int64
	recipientsOver    int
	networks          []netip.Prefix
	domain            *authorship.Condition
	Sender, Recipient *Addresses // nil: no condition
	headers, subjects []textCondition
	attachments       []textCondition
	bodies            []textCondition
	unless            *Conditions // nil: no exception
	match             *rule.Match
}

// textCondition is a pattern for the values of one field, a position in Reader.fields, which may be one of the content
// (content.go), or asks for the field alone.
type textCondition struct {
	field   int
	pattern pattern.Text
	exists  bool // any value will do, and pattern is none
}

// Holds reports whether all holds that is not about recipients. The cheap conditions come first.
func (c *Conditions) Holds(m *Message) bool {
	return c.matchSize(m) && c.matchCount(m) && c.matchClient(m) && (c.domain == nil || c.domain.Match(m.ties())) &&
		(c.Sender == nil || c.Sender.Match(&m.from)) &&
		c.matchText(m, c.headers) && c.matchText(m, c.subjects) && c.matchText(m, c.attachments) &&
		c.matchText(m, c.bodies)
}

// Names reports whether the rule is about recipient i, except being what Excepted says.
func (c *Conditions) Names(m *Message, i int, except bool) bool {
	p := &m.recipients[i]
	return !m.Ours(i) && (c.Recipient == nil || c.Recipient.Match(p)) && !(except && c.leaves(p))
}

func (c *Conditions) matchSize(m *Message) bool {
	return c.sizeOver == 0 || m.Size > c.sizeOver
}

func (c *Conditions) matchCount(m *Message) bool {
	return c.recipientsOver == 0 || len(m.recipients) > c.recipientsOver
}

func (c *Conditions) matchClient(m *Message) bool {
	if len(c.networks) == 0 || m.Somebody {
		return true
	}
	for _, network := range c.networks {
		if network.Contains(m.client) {
			return true
		}
	}
	return false
}

// Admits reports whether a rule about incoming mail is about what arrives at a listener.
func (c *Conditions) Admits(m *Message, listener string) bool {
	return c.matchClient(m) && c.matchListener(listener) && (c.Sender == nil || c.Sender.Match(&m.from)) &&
		(c.Recipient == nil || c.matchAnyRecipient(m)) && !c.leavesOut(m, listener)
}

// leavesOut reports whether the exceptions surely hold for what arrives, and for all recipients that are known of it.
func (c *Conditions) leavesOut(m *Message, listener string) bool {
	if !c.Excepted(m) || !c.unless.matchListener(listener) ||
		listener == AnyListener && len(c.unless.match.Listener) > 0 {
		return false
	}
	for i := range m.recipients {
		if !c.leaves(&m.recipients[i]) {
			return false
		}
	}
	return true
}

// AnyListener stands for a listener that nobody knows: whatever rules ask of it counts as a match.
const AnyListener = "*"

func (c *Conditions) matchListener(listener string) bool {
	return len(c.match.Listener) == 0 || listener == AnyListener || slices.Contains(c.match.Listener, listener)
}

func (c *Conditions) matchAnyRecipient(m *Message) bool {
	for i := range m.recipients {
		if c.Recipient.Match(&m.recipients[i]) {
			return true
		}
	}
	return false
}

// matchText reports whether one of the conditions holds, or there are none. A header that was too large to be read in
// full may hold anything.
func (c *Conditions) matchText(m *Message, texts []textCondition) bool {
	if len(texts) == 0 || m.cut(texts[0].field) {
		return true
	}
	for i := range texts {
		if m.fittingValue(&texts[i], c.match.Case) != nil {
			return true
		}
	}
	return false
}
