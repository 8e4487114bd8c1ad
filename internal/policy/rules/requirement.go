package rules

import (
	"time"

	"postern/internal/policy"
)

// Requirement is what the rule demands, for a recipient it names or of a client, whatever its scope, mode and expiry
// say.
func (r *Rule) Requirement() policy.Requirement {
	if r.Action == RequireTLSAction {
		return r.RequireTLS.requirement()
	}
	return r.requirement(named)
}

// Demanded is what the rule of a name demands for a recipient it names; ok is false when no such rule is in force at
// now.
func (s *Set) Demanded(name string, now time.Time) (r policy.Requirement, ok bool) {
	i, ok := s.byName[name]
	if !ok {
		return policy.Requirement{}, false
	}
	c := &s.live[i]
	return c.effect(named).requirement, c.demands() && c.Mode == Enforce &&
		(c.expires.IsZero() || now.Before(c.expires))
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
		if s.live[i].demands() {
			add(s.live[i].ForceTLS.Trust)
		}
	}
	for i := range s.inbound.list {
		add(s.inbound.list[i].RequireTLS.Trust)
	}
	return out
}

// withoutTLS is what becomes of a recipient whose server offers no TLS, by whether the rule names it (design.md §3).
func (r *Rule) withoutTLS(named bool) policy.WithoutTLS {
	switch {
	case r.ForceTLS.WithoutTLS == WithoutTLSReject, r.ForceTLS.WithoutTLS == WithoutTLSUnsaid && !named:
		return policy.WithoutTLSReject
	}
	return policy.WithoutTLSDefer
}
