package rulematch

import (
	"fmt"
	"slices"
	"strings"

	"postern/internal/mail"
	"postern/internal/platform/tomlfile"
	"postern/internal/policy/rule"
)

// FieldExplanation says of one condition whether it holds and why. Why may quote the message.
type FieldExplanation struct {
	Field   string `json:"field"` // the key, as in the rules file
	Matched bool   `json:"matched"`
	Why     string `json:"why"`
}

// Explain judges the conditions of a rule about outgoing mail one by one.
func (c *Conditions) Explain(m *Message) []FieldExplanation {
	out := c.explainMatch(m)
	if c.unless != nil {
		ok, why := c.explainException(m)
		out = append(out, FieldExplanation{"unless", ok, why})
	}
	return out
}

// explainMatch judges the keys of [rule.match] and domain.
func (c *Conditions) explainMatch(m *Message) []FieldExplanation {
	var out []FieldExplanation
	say := func(field string, set, matched bool, why string) {
		if set {
			out = append(out, FieldExplanation{"match." + field, matched, why})
		}
	}
	match := c.match
	if c.domain != nil {
		out = append(out, FieldExplanation{"domain", c.domain.Match(m.ties()), c.domain.Explain(m.ties())})
	}
	if c.Sender != nil {
		which, ok := m.reader.covering(match.Sender, match.Case, &m.from)
		why := because(m.From.String(), which, ok)
		if !ok {
			why += c.Sender.NearMiss(&m.from.Address)
		}
		say("sender", true, ok, why)
	}
	named, why := c.explainRecipients(m)
	say("recipient", c.Recipient != nil || !named, named, why)
	say("sender_ip", len(match.SenderIP) > 0, c.matchClient(m), c.explainClient(m))
	say("header", len(c.headers) > 0, c.matchText(m, c.headers), c.explainText(m, c.headers))
	say("subject", len(c.subjects) > 0, c.matchText(m, c.subjects), c.explainText(m, c.subjects))
	say("attachment", len(c.attachments) > 0, c.matchText(m, c.attachments), c.explainText(m, c.attachments))
	say("body", len(c.bodies) > 0, c.matchText(m, c.bodies), c.explainText(m, c.bodies))
	say("size_over", match.SizeOver > 0, c.matchSize(m),
		fmt.Sprintf("the message has %d bytes, the limit is %d", m.Size, match.SizeOver))
	say("recipients_over", match.RecipientsOver > 0, c.matchCount(m),
		fmt.Sprintf("the message has %d recipients, the limit is %d", len(m.recipients), match.RecipientsOver))
	return out
}

func (c *Conditions) explainRecipients(m *Message) (ok bool, why string) {
	var covered, own, missed []string
	local := 0
	for i := range m.recipients {
		to := m.Recipients[i].String()
		value, fits := "", c.Recipient == nil
		if !fits {
			value, fits = c.coveringValue(m, i)
		}
		switch {
		case m.Ours(i):
			if local++; fits && c.Recipient != nil {
				own = append(own, value+" covers "+to+", but its domain is our own, which outbound rules are not about")
			}
		case fits && c.Recipient == nil:
			covered = append(covered, to)
		case fits:
			covered = append(covered, because(to, value, true))
		default:
			if near := c.Recipient.NearMiss(&m.recipients[i].Address); near != "" {
				missed = append(missed, because(to, "", false)+near)
			}
		}
	}
	why = strings.Join(slices.Concat(covered, own, missed), "; ")
	switch {
	case len(covered) > 0:
		return true, why
	case len(m.recipients) == local:
		return false, strings.Join(append([]string{"no recipient is outside our own domains"}, own...), "; ")
	case why != "":
		return false, why
	}
	return false, "no value covers any recipient"
}

// coveringValue returns the first value of recipient that covers recipient i, or the key literals.
func (c *Conditions) coveringValue(m *Message, i int) (value string, ok bool) {
	p := &m.recipients[i]
	if value, ok = m.reader.covering(c.match.Recipient, c.match.Case, p); !ok && c.Recipient.Match(p) {
		return `"literals = true"`, true
	}
	return value, ok
}

func (c *Conditions) explainClient(m *Message) string {
	for _, network := range c.match.SenderIP {
		if network.Contains(m.client) {
			return fmt.Sprintf("%s lies in %s", m.Client, network)
		}
	}
	switch {
	case m.Somebody:
		return "the client's address is not given, which counts as a match: name it to know"
	case !m.Client.IsValid():
		return "the client's address is not known"
	}
	return fmt.Sprintf("%s lies in none of the networks", m.Client)
}

func (c *Conditions) explainText(m *Message, texts []textCondition) string {
	if len(texts) > 0 && m.cut(texts[0].field) {
		return "the header is too large to be read in full, which counts as a match"
	}
	for i := range texts {
		h := &texts[i]
		switch v := m.fittingValue(h, c.match.Case); {
		case v == nil:
		case h.exists:
			return "there is a field " + m.reader.fields[h.field]
		case v.Doubt != "":
			return saidField(m.reader.fields[h.field]) + " " + v.Doubt
		default:
			return fmt.Sprintf("%s: %s fits %s", strings.TrimPrefix(m.reader.fields[h.field], ":"),
				tomlfile.Quote(tomlfile.Clip(v.Exact)), tomlfile.Quote(h.pattern.Source))
		}
	}
	return m.unfit(texts)
}

// mostUnfit bounds how many values of a message are quoted that fit nothing.
const mostUnfit = 3

// unfit says what a message has where none of the conditions holds.
func (m *Message) unfit(texts []textCondition) string {
	var out []string
	for i := range texts {
		name := strings.TrimPrefix(m.reader.fields[texts[i].field], ":")
		said := "the message has no " + name
		if values := m.valuesOf(texts[i].field); len(values) > 0 {
			var quoted []string
			for _, v := range values {
				quoted = append(quoted, tomlfile.Quote(tomlfile.Clip(v.Exact)))
			}
			said = "no value fits " + name + ": " + mail.AtMost(slices.Compact(quoted), mostUnfit, ", ")
		}
		if !slices.Contains(out, said) {
			out = append(out, said)
		}
	}
	return mail.AtMost(out, mostUnfit, "; ")
}

// ExplainArrival judges the conditions of a rule about incoming mail one by one.
func (c *Conditions) ExplainArrival(m *Message, listener string) (out []FieldExplanation) {
	say := func(field string, matched bool, why string) {
		out = append(out, FieldExplanation{"match." + field, matched, why})
	}
	if c.Sender != nil {
		which, ok := m.reader.covering(c.match.Sender, c.match.Case, &m.from)
		why := because(m.From.String(), which, ok)
		if !ok {
			why += c.Sender.NearMiss(&m.from.Address)
		}
		say("sender", ok, why+"; the header is not looked at")
	}
	if len(c.match.SenderIP) > 0 {
		say("sender_ip", c.matchClient(m), c.explainClient(m))
	}
	if len(c.match.Listener) > 0 {
		ok := c.matchListener(listener)
		why := "the client came to " + listener
		if listener == AnyListener {
			why = "which listener the client came to is not given, which counts as a match: name it to know"
		}
		say("listener", ok, why)
	}
	if c.Recipient != nil {
		ok, why := c.matchAnyRecipient(m), "no value covers any recipient"
		for i := range m.recipients {
			if value, fits := m.reader.covering(c.match.Recipient, c.match.Case, &m.recipients[i]); fits {
				why = because(m.Recipients[i].String(), value, true)
				break
			}
		}
		say("recipient", ok, why)
	}
	if c.unless != nil {
		left, why := c.leavesOut(m, listener), "no exception holds"
		if left {
			why = "an exception takes the rule away"
		}
		out = append(out, FieldExplanation{"unless", !left, why})
	}
	return out
}

// explainException says whether exceptions take a rule away, and from whom. ok is that it stays for somebody.
func (c *Conditions) explainException(m *Message) (ok bool, why string) {
	if !c.Excepted(m) {
		return true, "no exception holds: " + strings.Join(c.unless.failing(m), "; ")
	}
	var left []string
	others := false
	for i := range m.recipients {
		if m.Ours(i) || c.Recipient != nil && !c.Recipient.Match(&m.recipients[i]) {
			continue
		}
		if c.leaves(&m.recipients[i]) {
			left = append(left, m.Recipients[i].String())
		} else {
			others = true
		}
	}
	reasons := strings.Join(c.unless.holding(m), "; ")
	switch {
	case len(left) == 0 && (others || c.unless.Recipient != nil):
		return true, "the exception holds for no recipient that the rule is about"
	case others:
		return true, fmt.Sprintf("an exception leaves out %s: %s", strings.Join(left, ", "), reasons)
	case c.unless.Recipient != nil:
		return false, fmt.Sprintf("an exception leaves out %s, and with them all that the rule is about: %s",
			strings.Join(left, ", "), reasons)
	}
	return false, "an exception takes the rule away: " + reasons
}

// failing are the conditions of an exception that do not surely hold, as explained.
func (c *Conditions) failing(m *Message) (out []string) {
	for _, f := range c.explainMatch(m) {
		switch {
		case !f.Matched:
			out = append(out, exceptionOf(f))
		case !c.surelyField(m, f.Field):
			out = append(out, exceptionOf(f)+
				"; not every program reads it so, or it cannot be judged, which is no exception")
		case f.Field == "match.sender" && !c.Sender.covers(&m.from):
			out = append(out, exceptionOf(f)+"; what was not read is no exception")
		}
	}
	return out
}

// holding are the conditions of an exception, as explained.
func (c *Conditions) holding(m *Message) (out []string) {
	for _, f := range c.explainMatch(m) {
		out = append(out, exceptionOf(f))
	}
	return out
}

func exceptionOf(f FieldExplanation) string {
	return rule.ExceptionWord + strings.TrimPrefix(f.Field, "match.") + ": " + f.Why
}
