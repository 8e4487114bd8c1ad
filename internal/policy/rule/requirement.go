package rule

import "postern/internal/policy"

// Role is what a rule that matches a message does to one of the recipients.
type Role uint8

// The roles, and how many there are.
const (
	Untouched Role = iota
	Unforced       // not named, the box ticked: the ladder begins at authenticated TLS
	Named          // the rule names it
	Tainted        // not named, the box unticked
	Roles     = iota
)

// Demand is what the rule demands for a recipient in that role (design.md §3).
func (r *Rule) Demand(as Role) policy.Requirement {
	f := r.ForceTLS
	if !r.Demands() {
		return policy.Requirement{}
	}
	if as == Unforced {
		return policy.Requirement{Aim: policy.Authenticated}
	}
	out := policy.Requirement{
		Channel:    policy.Authenticated,
		Peer:       []policy.PeerDemand{{Trust: f.Trust, Names: f.Names, Pins: f.Pins, By: f.Proof}},
		Revocation: f.Revocation,
		MinTLS:     f.MinTLS,

		KeyExchange: f.KeyExchange,
		MinBits:     f.MinBits,
		WithoutTLS:  r.withoutTLS(as == Named),
	}
	// else the administrator named the host, or the certificate proves the domain, whatever DNS says
	if f.Names.MX && f.Proof != policy.ByTLSA {
		out.MX = f.MX
	}
	if r.PinsHosts() {
		out.PinnedBy = []string{r.Name}
	}
	return policy.Combine(out)
}

// PinsHosts reports whether the rule remembers the names of mail hosts.
func (r *Rule) PinsHosts() bool {
	return r.Demands() && r.ForceTLS.Proof != policy.ByTLSA && r.ForceTLS.Names.MX && r.ForceTLS.MX == policy.MXPinned
}

// Requirement is what the rule demands, for a recipient it names or of a client, whatever its scope, mode and expiry
// say.
func (r *Rule) Requirement() policy.Requirement {
	if r.Action == RequireTLSAction {
		return r.RequireTLS.Requirement()
	}
	return r.Demand(Named)
}

// withoutTLS is what becomes of a recipient whose server offers no TLS, by whether the rule names it (design.md §3).
func (r *Rule) withoutTLS(named bool) policy.WithoutTLS {
	switch {
	case r.ForceTLS.WithoutTLS == WithoutTLSReject, r.ForceTLS.WithoutTLS == WithoutTLSUnsaid && !named:
		return policy.WithoutTLSReject
	}
	return policy.WithoutTLSDefer
}
