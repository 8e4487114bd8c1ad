package rules

import (
	"fmt"
	"slices"
	"strings"

	"postern/internal/mail"
	"postern/internal/platform/tomlfile"
)

// What follows says what a rule does not cover and its author may think it does.

// senderWarnings are about rules by the domain of a sender: mail that belongs to the domain and has another envelope
// sender goes without the rule.
func (s *Set) senderWarnings(c *compiled) []Warning {
	if c.domain != nil || c.sender == nil || len(c.sender.domains) == 0 || c.sender.match(s.probe("unrelated.invalid")) {
		return nil
	}
	var below, all []string // domains without what is below them, and all
	for _, d := range c.sender.domains {
		if strings.HasPrefix(d, "[") {
			continue
		}
		all = append(all, tomlfile.Quote(d))
		if !c.sender.match(s.probe("below." + d)) {
			below = append(below, tomlfile.Quote("*."+d))
		}
	}
	var misses, write []string
	if len(below) > 0 {
		misses, write = append(misses, "sub-domains"), append(write, below...)
	}
	if len(all) > 0 && !c.sender.null {
		misses, write = append(misses, "the null sender of bounces"), append(write, `"<>"`)
	}
	if len(misses) == 0 {
		return nil
	}
	return []Warning{{
		Text: fmt.Sprintf("sender %s is not the whole domain: it leaves out %s, and senders that a forwarder or a list rewrote",
			mail.AtMost(all, 3, ", "), strings.Join(misses, ", ")),
		Hint: fmt.Sprintf(`write %s too; or domain = [%s] directly below [[rule]] instead of sender, for all mail of the domain`,
			mail.AtMost(write, 3, ", "), all[0]),
	}}
}

// probe is some address of a domain, which may be longer than one that exists.
func (s *Set) probe(domain string) *party {
	f := probeForm(domain)
	return &party{*f, s.book.of(f)}
}

// probeForm is some address of a domain, which may be longer than one that exists.
func probeForm(domain string) *addressForm {
	whole := "probe@" + domain
	f := &addressForm{domain: domain, local: newFormed("probe"), whole: newFormed(whole), plain: whole}
	f.grams.add(domain)
	return f
}

// ownDomains are the domains of our own servers, made ready for many rules.
type ownDomains struct {
	list  []mail.Domain
	named map[string]bool
	below map[string][]string // by what they lie below
}

func newOwnDomains(list []mail.Domain) *ownDomains {
	o := &ownDomains{list: list, named: map[string]bool{}, below: map[string][]string{}}
	for _, d := range list {
		o.named[d.String()] = true
		for parent := range parents(d.String()) {
			o.below[parent] = append(o.below[parent], d.String())
		}
	}
	return o
}

// OwnWarnings lists the rules that speak about recipients in domains of our own servers: outbound rules are not about
// those, and never force their mail. own are these domains.
func (s *Set) OwnWarnings(own []mail.Domain) []Warning {
	o := newOwnDomains(own)
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

func (c *compiled) ownWarnings(o *ownDomains) []Warning {
	if c.recipient == nil || len(o.list) == 0 {
		return nil
	}
	found, others := c.recipient.own(o)
	if len(found) == 0 {
		return nil
	}
	effect := "does nothing about"
	if !others {
		effect = "does nothing: all it speaks about is"
	}
	return []Warning{{
		Text: fmt.Sprintf("%s our own %s: outbound rules are not about domains of our own servers", effect, mail.AtMost(found, 3, ", ")),
		Hint: "to demand TLS on the way to your own servers, set require in [[domain]]; else take the domain out of recipient",
	}}
}

// own returns the domains of our own that a list of recipients reaches, sorted, and whether it may reach others.
func (l *addressList) own(o *ownDomains) (found []string, others bool) {
	add := func(domain string, known bool) {
		if known {
			found = append(found, domain)
		}
		others = others || !known
	}
	for _, d := range l.domains {
		add(d, o.named[d])
	}
	for _, a := range l.addresses {
		d := strings.ToLower(a[strings.LastIndexByte(a, '@')+1:])
		add(d, o.named[d])
	}
	for _, d := range l.below {
		found, others = append(found, o.below[d]...), true
	}
	for i := range l.patterns {
		others = true
		for _, d := range o.list {
			if l.patterns[i].reaches(d) {
				found = append(found, d.String())
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found), others
}

// reaches reports whether a pattern may cover an address of a domain; of an expression it is only tried.
func (p *addressPattern) reaches(d mail.Domain) bool {
	if p.re == nil {
		return p.domain.match(d.String())
	}
	for _, local := range []string{"probe", "postmaster", "info"} {
		f := newAddressForm(mail.Address{Local: local, Domain: d})
		if p.match(&f, f.local.folded) {
			return true
		}
	}
	return false
}

// literalWarnings say, once for all rules, that recipients at address literals go around rules by domain. A rule in
// force that covers them all protects them, and is enough.
func (s *Set) literalWarnings() []Warning {
	literal := s.newParty(mail.Address{Local: "probe", Domain: mail.MustDomain("[192.0.2.1]")})
	var around []*compiled
	for i := range s.live {
		switch c := &s.live[i]; {
		case c.Mode != Enforce || c.recipient == nil || !c.demands():
		case c.recipient.match(&literal):
			return nil
		case c.recipient.byDomain():
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

// byDomain reports whether a list names more than literals: domains, what is below them, or patterns.
func (l *addressList) byDomain() bool {
	isName := func(d string) bool { return !strings.HasPrefix(d, "[") }
	return len(l.below)+len(l.patterns) > 0 || slices.ContainsFunc(l.domains, isName)
}

// nearMiss says why an address that people may think covered is not, "" when nothing is known: it is the null sender,
// at an address literal, or below a domain of the list.
func (l *addressList) nearMiss(a *addressForm) string {
	if a.null {
		if len(l.domains)+len(l.below)+len(l.patterns) > 0 {
			return `; only the value "<>" covers the null sender`
		}
		return ""
	}
	if strings.HasPrefix(a.domain, "[") && l.byDomain() {
		return "; it is at an address literal, which no domain covers: literals = true would"
	}
	for parent := range parents(a.domain) {
		if has(l.domains, parent) {
			return fmt.Sprintf("; %s is that domain alone, %s would cover it", tomlfile.Quote(parent), tomlfile.Quote("*."+parent))
		}
	}
	return ""
}
