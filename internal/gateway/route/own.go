package route

import "postern/internal/policy"

// Requirement is what the configuration of an own domain demands on the leg to its servers. Without require, trust or
// pins it is the zero Requirement, the opportunistic ladder. The hosts were named by the administrator, so either the
// host's name or the domain's own will do.
func (o Own) Requirement() policy.Requirement {
	r := policy.Requirement{Channel: o.Require}
	if o.Trust == "" && len(o.Pins) == 0 && o.Require < policy.Authenticated {
		return r
	}
	trust := o.Trust
	if trust == "" {
		trust = policy.PublicTrust
	}
	r.Peer = []policy.PeerDemand{{Trust: trust, Names: policy.Names{MX: true, Domain: true}, Pins: o.Pins}}
	return policy.Combine(r)
}
