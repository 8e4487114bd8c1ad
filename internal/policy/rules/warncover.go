package rules

import (
	"fmt"
	"strings"

	"postern/internal/mail"
	"postern/internal/platform/tomlfile"
	"postern/internal/policy/pattern"
	"postern/internal/policy/rule"
)

// What follows says what a rule does not cover and its author may think it does.

// senderWarnings are about rules by the domain of a sender: mail that belongs to the domain and has another envelope
// sender goes without the rule.
func (s *Set) senderWarnings(c *compiled) []Warning {
	if len(c.Domain) > 0 || c.when.Sender == nil || len(c.when.Sender.Domains) == 0 ||
		s.covers(c, "unrelated.invalid") {
		return nil
	}
	var below, all []string // domains without what is below them, and all
	for _, d := range c.when.Sender.Domains {
		if strings.HasPrefix(d, "[") {
			continue
		}
		all = append(all, tomlfile.Quote(d))
		if !s.covers(c, "below."+d) {
			below = append(below, tomlfile.Quote("*."+d))
		}
	}
	var misses, write []string
	if len(below) > 0 {
		misses, write = append(misses, "sub-domains"), append(write, below...)
	}
	if len(all) > 0 && !c.when.Sender.Null {
		misses, write = append(misses, "the null sender of bounces"), append(write, `"<>"`)
	}
	if len(misses) == 0 {
		return nil
	}
	return []Warning{{
		Text: fmt.Sprintf(
			"sender %s is not the whole domain: it leaves out %s, and senders that a forwarder or a list rewrote",
			mail.AtMost(all, 3, ", "), strings.Join(misses, ", ")),
		Hint: fmt.Sprintf(`write %s too; or domain = [%s] directly below [[rule]] instead of sender, for all mail of the domain`,
			mail.AtMost(write, 3, ", "), all[0]),
		Narrow: "ask an administrator of the whole gateway for a rule about all mail of the domain",
	}}
}

// covers reports whether the rule is about some sender in a domain.
func (s *Set) covers(c *compiled, domain string) bool {
	sender := s.reader.Probe(domain)
	return c.when.Sender.Match(&sender)
}

// OwnWarnings lists the rules that speak about recipients in domains of our own servers: outbound rules are not about
// those, and never force their mail. own are these domains.
func (s *Set) OwnWarnings(own []mail.Domain) []Warning {
	o := pattern.NewOwnDomains(own)
	var out []Warning
	for i := range s.live {
		c := &s.live[i]
		for _, w := range c.ownWarnings(o) {
			w.Rule, w.Line = c.Name, c.Line
			out = append(out, w)
		}
	}
	return out
}

func (c *compiled) ownWarnings(o *pattern.OwnDomains) []Warning {
	if c.when.Recipient == nil || o.Empty() {
		return nil
	}
	found, others := c.when.Recipient.Own(o)
	if len(found) == 0 {
		return nil
	}
	effect := "does nothing about"
	if !others {
		effect = "does nothing: all it speaks about is"
	}
	return []Warning{{
		Text: fmt.Sprintf("%s our own %s: outbound rules are not about domains of our own servers", effect,
			mail.AtMost(found, 3, ", ")),
		Hint: "to demand TLS on the way to your own servers, set require in [[domain]]; else take the domain out " +
			"of recipient",
		Narrow: "take the domain out of recipient, or ask an administrator of the whole gateway to demand TLS there",
	}}
}

// literalWarnings say, once for all rules, that recipients at address literals go around rules by domain. A rule in
// force that covers them all protects them, and is enough.
func (s *Set) literalWarnings() []Warning {
	literal := s.reader.Party(mail.Address{Local: "probe", Domain: mail.MustDomain("[192.0.2.1]")})
	var around []*compiled
	for i := range s.live {
		switch c := &s.live[i]; {
		case c.Mode != rule.Enforce || c.when.Recipient == nil || !c.Demands():
		case c.when.Recipient.Match(&literal):
			return nil
		case c.when.Recipient.ByDomain():
			around = append(around, c)
		}
	}
	if len(around) == 0 {
		return nil
	}
	text := "does not cover the same people at address literals, such as dr@[192.0.2.1]"
	if more := len(around) - 1; more > 0 {
		text += fmt.Sprintf("; nor do %d more rules by recipient", more)
	}
	return []Warning{{Rule: around[0].Name, Line: around[0].Line, Text: text,
		Hint: "write literals = true in [rule.match]: every recipient at an address literal is then named by the rule"}}
}
