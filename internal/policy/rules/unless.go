package rules

import (
	"fmt"
	"strings"

	"postern/internal/platform/tomlfile"
)

// What follows is about exceptions of a rule: [rule.unless], with the keys of [rule.match].
//
// An exception takes protection away, so the law of what cannot be judged is turned around here: it holds only where
// all of it surely does. A field that cannot be read, a header or text that is too large, a list that was not read, and
// a field that one program reads so and another so, are no exception. Its recipients are taken one by one: only those
// that fit are left out, and a recipient more never takes a rule from another. Who is left out of a rule that names
// others of the message is one of its unspecified recipients.

// exceptionWord is what stands before the keys of an exception.
const exceptionWord = "unless."

// withUnless returns a table of keys in which each of [rule.match] has its like in [rule.unless], after them.
func withUnless(table []Key) (out []Key) {
	var exceptions []Key
	for i, k := range table {
		if strings.HasPrefix(k.Name, "match.") {
			exceptions = append(exceptions, k.exception())
		} else if len(exceptions) > 0 && k.Section() != "" && table[i-1].Section() == "match" {
			out, exceptions = append(out, exceptions...), nil
		}
		out = append(out, k)
	}
	return append(out, exceptions...)
}

// exception is a key of [rule.match] as one of [rule.unless].
func (k *Key) exception() Key {
	out := *k
	out.Name = exceptionWord + k.Short()
	out.Doc = "as in `[rule.match]`, for what the rule is not about"
	out.Default = ""
	turned := func(r *Rule) *Rule {
		o := *r
		o.Match, o.Unless = r.Unless, r.Match
		return &o
	}
	out.read = func(p *problems, r *Rule, e tomlfile.Entry) {
		o := turned(r)
		k.read(p, o, e)
		r.Unless = o.Match
	}
	out.get = func(r *Rule) any { return k.get(turned(r)) }
	if k.toml != nil {
		out.toml = func(r *Rule) string { return k.toml(turned(r)) }
	}
	out.weaker = func(before, after *Rule) bool {
		switch {
		case !after.excepts():
			return false
		case !before.excepts():
			return true
		}
		// it holds for more where going back holds for less
		return k.weaker == nil || k.weaker(turned(after), turned(before))
	}
	return out
}

// unlessKeys are the keys of exceptions, in their order.
func unlessKeys() (out []string) {
	for i := range keys {
		if keys[i].Section() == "unless" {
			out = append(out, keys[i].Name)
		}
	}
	return out
}

// Excepts reports whether a rule has exceptions.
func (r *Rule) Excepts() bool { return r.excepts() }

// excepts reports whether a rule has exceptions: a key that narrows nothing is none.
func (r *Rule) excepts() bool { return r.Unless.narrows() }

// narrows reports whether one of the keys is a condition.
func (m *Match) narrows() bool {
	return len(m.Sender)+len(m.Recipient)+len(m.SenderIP)+len(m.Header)+len(m.Subject)+len(m.Attachment)+len(
		m.Body)+len(m.Listener) > 0 || m.SizeOver > 0 || m.RecipientsOver > 0
}

// exception makes the exceptions of a rule ready, nil for none.
func (c *compiler) exception(r *Rule) *compiled {
	if !r.excepts() {
		return nil
	}
	only := &Rule{Match: r.Unless}
	out := &compiled{Rule: only}
	c.conditions(out)
	return out
}

// excepted reports whether the exceptions of a rule surely hold for the message as far as it is not about recipients.
func (c *compiled) excepted(m *message) bool {
	u := c.unless
	return u != nil && u.matchSize(m) && u.matchCount(m) && u.matchClient(m) &&
		(u.sender == nil || u.sender.covers(&m.from)) &&
		u.surely(m, u.headers) && u.surely(m, u.subjects) && u.surely(m, u.attachments) && u.surely(m, u.bodies)
}

// leaves reports whether the exceptions, which hold for the message, hold for a recipient.
func (c *compiled) leaves(p *party) bool {
	return c.unless.recipient == nil || c.unless.recipient.covers(p)
}

// surely reports whether one of the conditions holds whatever a program makes of the message, or there are none.
func (c *compiled) surely(m *message, conditions []headerCondition) bool {
	for i := range conditions {
		if m.surely(&conditions[i], c.Match.Case) {
			return true
		}
	}
	return len(conditions) == 0
}

// surely reports whether a field fits a condition in all of its readings.
func (m *message) surely(h *headerCondition, caseMatters bool) bool {
	values := m.valuesOf(h.field)
	if h.exists {
		return len(values) > 0
	}
	if h.pattern.Expression() && m.lengths[h.field] > m.most {
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

// explainException says whether exceptions take a rule away, and from whom. ok is that it stays for somebody.
func (s *Set) explainException(c *compiled, m *message) (ok bool, why string) {
	if !c.excepted(m) {
		return true, "no exception holds: " + strings.Join(s.failing(c.unless, m), "; ")
	}
	var left []string
	others := false
	for i := range m.recipients {
		if m.local(i) || c.recipient != nil && !c.recipient.match(&m.recipients[i]) {
			continue
		}
		if c.leaves(&m.recipients[i]) {
			left = append(left, m.Recipients[i].String())
		} else {
			others = true
		}
	}
	reasons := strings.Join(s.holding(c.unless, m), "; ")
	switch {
	case len(left) == 0 && (others || c.unless.recipient != nil):
		return true, "the exception holds for no recipient that the rule is about"
	case others:
		return true, fmt.Sprintf("an exception leaves out %s: %s", strings.Join(left, ", "), reasons)
	case c.unless.recipient != nil:
		return false, fmt.Sprintf("an exception leaves out %s, and with them all that the rule is about: %s",
			strings.Join(left, ", "), reasons)
	}
	return false, "an exception takes the rule away: " + reasons
}

// failing are the conditions of an exception that do not surely hold, as explained.
func (s *Set) failing(u *compiled, m *message) (out []string) {
	for _, f := range s.explainConditions(u, m) {
		switch {
		case !f.Matched:
			out = append(out, exceptionOf(f))
		case !u.surelyField(m, f.Field):
			out = append(out, exceptionOf(f)+"; not every program reads it so, or it cannot be judged, which is no "+
				"exception")
		case f.Field == "match.sender" && !u.sender.covers(&m.from):
			out = append(out, exceptionOf(f)+"; what was not read is no exception")
		}
	}
	return out
}

// holding are the conditions of an exception, as explained.
func (s *Set) holding(u *compiled, m *message) (out []string) {
	for _, f := range s.explainConditions(u, m) {
		out = append(out, exceptionOf(f))
	}
	return out
}

func exceptionOf(f FieldExplanation) string {
	return exceptionWord + strings.TrimPrefix(f.Field, "match.") + ": " + f.Why
}

// surelyField is surely for the conditions of a key.
func (c *compiled) surelyField(m *message, key string) bool {
	switch key {
	case "match.header":
		return c.surely(m, c.headers)
	case "match.subject":
		return c.surely(m, c.subjects)
	case "match.attachment":
		return c.surely(m, c.attachments)
	case "match.body":
		return c.surely(m, c.bodies)
	}
	return true
}

// unlessWarnings are about exceptions that a user or a stranger can bring about by what he writes.
func (r *Rule) unlessWarnings() []Warning {
	if !r.excepts() {
		return nil
	}
	for _, set := range r.conditionsIn(exceptionWord) {
		switch strings.TrimPrefix(set.Key, exceptionWord) {
		case "header", "subject", "attachment", "body", "size_over", "recipients_over":
		default:
			return nil
		}
	}
	return []Warning{{Text: "an exception asks for nothing but what stands in the message: whoever writes it can " +
		"take the rule away",
		Hint: "add sender, sender_ip or recipient to [rule.unless], or leave it out"}}
}
