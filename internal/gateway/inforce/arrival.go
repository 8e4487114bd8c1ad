package inforce

import (
	"time"

	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/policy/rule"
	"postern/internal/policy/rules"
	"postern/internal/queue"
)

// ArrivalDemand is what rules about incoming mail that are enforced demand of a message, as it came, for one of its
// recipients.
type ArrivalDemand struct {
	policy.Requirement
	Rules []string
	// Reject says that all of them refuse for good.
	Reject bool
}

// Arrival is what is demanded of a message that others bring, or brought, for a recipient; nothing of one from our own
// side, or for a domain that is not ours.
func (v *View) Arrival(m *queue.Message, to mail.Address, now time.Time) (out ArrivalDemand) {
	if m.Inbound.Relayed || !v.Rules.HasInbound() || !v.Serves(to.Domain) {
		return out
	}
	var all []policy.Requirement
	out.Reject = true
	for _, t := range v.Rules.Terms(&rules.Arrival{From: m.Envelope.From, To: []mail.Address{to},
		Client: m.Inbound.Client, Listener: m.Inbound.Listener, Now: now}) {
		if !t.Test {
			all, out.Rules = append(all, t.Requirement), append(out.Rules, t.Rule)
			out.Reject = out.Reject && t.Refuse == rule.RefuseReject
		}
	}
	out.Requirement = policy.Combine(all...)
	return out
}

// Passed is what rules about incoming mail of these names demand together: what a message satisfied that passed them.
func (v *View) Passed(names []string) policy.Requirement {
	var all []policy.Requirement
	for i, list := 0, v.Rules.Rules(); i < len(list); i++ {
		for _, name := range names {
			if list[i].Name == name && list[i].Scope == rule.Inbound {
				all = append(all, list[i].Requirement())
			}
		}
	}
	return policy.Combine(all...)
}
