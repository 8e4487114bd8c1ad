package rules

import (
	"time"

	"postern/internal/policy"
	"postern/internal/policy/rule"
)

// Demanded is what the rule of a name demands for a recipient it names; ok is false when no such rule is in force at
// now.
func (s *Set) Demanded(name string, now time.Time) (r policy.Requirement, ok bool) {
	i, ok := s.byName[name]
	if !ok {
		return policy.Requirement{}, false
	}
	c := &s.live[i]
	return c.effect(rule.Named).requirement, c.Demands() && c.Mode == rule.Enforce && !c.over(now)
}

// Trusts lists the trusts that the rules name, each once, in the order of the file.
func (s *Set) Trusts() (out []string) {
	seen := map[string]bool{}
	add := func(t string) {
		if !seen[t] {
			seen[t] = true
			out = append(out, t)
		}
	}
	for i := range s.live {
		if s.live[i].Demands() {
			add(s.live[i].ForceTLS.Trust)
		}
	}
	for i := range s.inbound.list {
		add(s.inbound.list[i].RequireTLS.Trust)
	}
	return out
}

// Routes lists the routes that the rules send mail to, each once, with the first rule that does, in the order of the
// file.
func (s *Set) Routes() (out []RouteUse) {
	seen := map[string]bool{}
	for i := range s.live {
		r := s.live[i].Rule
		names := r.Ways()
		if r.Action == rule.RedirectAction {
			names = []string{r.Redirect.Route}
		}
		for _, name := range names {
			if !seen[name] {
				seen[name] = true
				out = append(out, RouteUse{name, r.Name, r.Line})
			}
		}
	}
	return out
}

// RouteUse is a route of the configuration that a rule names.
type RouteUse struct {
	Route, Rule string
	Line        int
}
