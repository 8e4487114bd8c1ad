package rule

import (
	"strings"
)

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
