package check

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Features are what is compared when a target is checked again: few short texts by name, whatever a report holds.
type Features map[string]string

// Change is one difference between two checks of a target.
type Change struct {
	Kind   string    `json:"kind"` // "change"
	Target string    `json:"target"`
	At     time.Time `json:"at"`
	What   string    `json:"what"` // a question, or "mx1.clinic.test [192.0.2.1] certificate" and the like
	Before string    `json:"before"`
	After  string    `json:"after"`
}

// Features returns what of a report would be a change if it were different. Times are not.
func (r *Report) Features() Features {
	f := Features{}
	for i := range r.Verdicts {
		v := &r.Verdicts[i]
		f[v.Question] = strings.TrimSpace(strings.Join([]string{string(v.Outcome), v.Reached, string(v.Reason)}, " "))
	}
	for _, finding := range r.Findings {
		if finding.Severity != Note {
			f["finding "+finding.Code+" "+finding.IP.String()] = finding.Text
		}
	}
	for i := range r.Hosts {
		h := &r.Hosts[i]
		for j := range h.Published {
			p := &h.Published[j]
			f[strings.TrimSpace(h.Name+" published "+p.Kind)] = p.Said()
		}
	}
	r.Each(func(h *Host, a *Address) {
		name := place(h.Name, a.IP)
		f[name] = "there"
		if v := a.Verdicts[0]; !v.Answered {
			f[name] = string(v.Reason)
		}
		if a.Look == nil {
			return
		}
		f[name+" starttls"] = "not offered"
		if a.Look.StartTLS {
			f[name+" starttls"] = "offered"
		}
		if a.Look.TLS != nil {
			f[name+" version"] = a.Look.TLS.Version
			f[name+" requiretls"] = map[bool]string{true: "offered", false: "not offered"}[a.Look.RequireTLS()]
		}
		if len(a.Look.Chain) > 0 {
			c := a.Look.Chain[0]
			f[name+" certificate"] = fmt.Sprintf("%s until %s, issued by %s (SHA-256 %.16s)", c.Subject,
				c.NotAfter.Format(time.DateOnly), c.Issuer, c.SHA256)
		}
	})
	return f
}

// Changes lists how now differs from before, in a fixed order.
func (before Features) Changes(now Features) (out []Change) {
	for what, was := range before {
		if is := now[what]; is != was {
			out = append(out, Change{Kind: "change", What: what, Before: was, After: is})
		}
	}
	for what, is := range now {
		if _, known := before[what]; !known {
			out = append(out, Change{Kind: "change", What: what, After: is})
		}
	}
	slices.SortFunc(out, func(a, b Change) int { return strings.Compare(a.What, b.What) })
	return out
}
