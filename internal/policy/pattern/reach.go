package pattern

import (
	"fmt"
	"slices"
	"strings"

	"postern/internal/mail"
	"postern/internal/platform/tomlfile"
)

// Probe is some address of a domain, which may be longer than one that exists.
func Probe(domain string) *Address {
	whole := "probe@" + domain
	f := &Address{domain: domain, local: newFormed("probe"), whole: newFormed(whole), plain: whole}
	f.grams.add(domain)
	return f
}

// OwnDomains are the domains of our own servers, made ready for many rules.
type OwnDomains struct {
	list  []mail.Domain
	named map[string]bool
	below map[string][]string // by what they lie below
}

// NewOwnDomains makes them ready; the list is kept.
func NewOwnDomains(list []mail.Domain) *OwnDomains {
	o := &OwnDomains{list: list, named: map[string]bool{}, below: map[string][]string{}}
	for _, d := range list {
		o.named[d.String()] = true
		for parent := range Parents(d.String()) {
			o.below[parent] = append(o.below[parent], d.String())
		}
	}
	return o
}

// Empty reports whether there are none.
func (o *OwnDomains) Empty() bool { return len(o.list) == 0 }

// Own returns the domains of our own that a list of recipients reaches, sorted, and whether it may reach others.
func (l *Addresses) Own(o *OwnDomains) (found []string, others bool) {
	add := func(domain string, known bool) {
		if known {
			found = append(found, domain)
		}
		others = others || !known
	}
	for _, d := range l.Domains {
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
		f := NewAddress(mail.Address{Local: local, Domain: d})
		if p.match(&f, f.local.Folded) {
			return true
		}
	}
	return false
}

// ByDomain reports whether a list names more than literals: domains, what is below them, or patterns.
func (l *Addresses) ByDomain() bool {
	isName := func(d string) bool { return !strings.HasPrefix(d, "[") }
	return len(l.below)+len(l.patterns) > 0 || slices.ContainsFunc(l.Domains, isName)
}

// NearMiss says why an address that people may think covered is not, "" when nothing is known: it is the null sender,
// at an address literal, or below a domain of the list.
func (l *Addresses) NearMiss(a *Address) string {
	if a.null {
		if len(l.Domains)+len(l.below)+len(l.patterns) > 0 {
			return `; only the value "<>" covers the null sender`
		}
		return ""
	}
	if strings.HasPrefix(a.domain, "[") && l.ByDomain() {
		return "; it is at an address literal, which no domain covers: literals = true would"
	}
	for parent := range Parents(a.domain) {
		if has(l.Domains, parent) {
			return fmt.Sprintf("; %s is that domain alone, %s would cover it", tomlfile.Quote(parent),
				tomlfile.Quote("*."+parent))
		}
	}
	return ""
}
