package rulematch

import "strings"

// What follows is about exceptions of a rule: [rule.unless], with the keys of [rule.match].
//
// An exception takes protection away, so the law of what cannot be judged is turned around here: it holds only where
// all of it surely does. A field that cannot be read, a header or text that is too large, a list that was not read, a
// field that one program reads so and another so, one of two where a message has one, and what stands beside something
// that nobody can look into, are no exception. Its recipients are taken one by one: only those that fit are left out,
// and a recipient more never takes a rule from another. Who is left out of a rule that names others of the message is
// one of its unspecified recipients.

// Excepted reports whether the exceptions surely hold for a message as far as they are not about recipients.
func (c *Conditions) Excepted(m *Message) bool {
	u := c.unless
	return u != nil && u.matchSize(m) && u.matchCount(m) && u.matchClient(m) && !(m.Somebody && len(u.networks) > 0) &&
		(u.Sender == nil || u.Sender.covers(&m.from)) &&
		u.surely(m, u.headers) && u.surely(m, u.subjects) && u.surely(m, u.attachments) && u.surely(m, u.bodies)
}

// leaves reports whether the exceptions, which hold for the message, hold for a recipient.
func (c *Conditions) leaves(p *Party) bool {
	return c.unless.Recipient == nil || c.unless.Recipient.covers(p)
}

// surely reports whether one of the conditions holds whatever a program makes of the message, or there are none.
func (c *Conditions) surely(m *Message, texts []textCondition) bool {
	for i := range texts {
		if m.surely(&texts[i], c.match.Case) {
			return true
		}
	}
	return len(texts) == 0
}

// surely reports whether a field fits a condition in all of its readings.
func (m *Message) surely(h *textCondition, caseMatters bool) bool {
	values := m.valuesOf(h.field)
	if h.exists {
		return len(values) > 0
	}
	if h.pattern.Expression() && m.lengths[h.field] > m.reader.most {
		return false
	}
	for i := 0; i < len(values); {
		all := true
		part := values[i].Part
		for ; i < len(values) && values[i].Part == part; i++ {
			v := &values[i]
			all = all && v.Doubt == "" && h.pattern.Match(v, caseMatters)
		}
		if all {
			return true
		}
	}
	return false
}

// onceOnly reports whether a message has at most one field of a name (RFC 5322 §3.6). Of two that stand there some
// programs show the first and others the last, so that only what fits both is sure.
func onceOnly(name string) bool {
	switch strings.ToLower(name) {
	case "date", "from", "sender", "reply-to", "to", "cc", "bcc", "message-id", "in-reply-to", "references", "subject":
		return true
	}
	return false
}

// surelyField is surely for the conditions of a key.
func (c *Conditions) surelyField(m *Message, key string) bool {
	switch key {
	case "match.header":
		return c.surely(m, c.headers)
	case "match.subject":
		return c.surely(m, c.subjects)
	case "match.attachment":
		return c.surely(m, c.attachments)
	case "match.body":
		return c.surely(m, c.bodies)
	case "match.sender_ip":
		return !m.Somebody
	}
	return true
}
