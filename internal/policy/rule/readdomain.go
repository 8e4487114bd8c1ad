package rule

import (
	"fmt"
	"slices"
	"strings"

	"postern/internal/mail"
	"postern/internal/platform/tomlfile"
)

// readDomains reads the key domain.
func readDomains(p *Problems, r *Rule, e tomlfile.Entry) {
	p.Strings(e, func(value string, at tomlfile.Span) {
		d, err := mail.ParseDomain(value)
		_, literal := d.Literal()
		switch {
		case strings.HasPrefix(value, "*."):
			p.Add(at, tomlfile.Quote(tomlfile.Clip(value))+" in domain: the domain is written alone",
				fmt.Sprintf("write domain = [%s] and below = true", tomlfile.Quote(tomlfile.Clip(value[2:]))))
		case err != nil || literal || strings.ContainsAny(value, "*?@:"):
			p.Add(at, tomlfile.Quote(tomlfile.Clip(value))+" in domain is no domain",
				`write domains: domain = ["example.com"]`)
		case !slices.Contains(r.Domain, d):
			r.Domain = append(r.Domain, d)
		}
	})
}

// domainTexts is domain as it is printed.
func domainTexts(r *Rule) any {
	var out []string
	for _, d := range r.Domain {
		out = append(out, d.String())
	}
	return out
}

// DomainText names the domains whose mail the rule is about, "" for everybody's: "a.test, b.test and below".
func (r *Rule) DomainText() string {
	names, _ := domainTexts(r).([]string)
	out := strings.Join(names, ", ")
	if out != "" && r.Below {
		out += " and below"
	}
	return out
}

// domainWeaker reports whether a rule is about the mail of less than before.
func domainWeaker(before, after *Rule) bool { return narrower(before.Domain, after.Domain) }

// belowWeaker reports whether a rule leaves out what is below its domains.
func belowWeaker(_, after *Rule) bool { return len(after.Domain) > 0 && !after.Below }
