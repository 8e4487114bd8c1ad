package policy

import (
	"crypto/tls"
	"fmt"
	"slices"
)

// Verdict compares a requirement with evidence and returns every shortfall, the one to act on first; none means pass.
// What is unknown is never good: a demand without a proof falls short. That REQUIRETLS is not offered comes last, so
// that it comes first only where nothing else falls short.
func Verdict(r Requirement, e Evidence) []Shortfall {
	if !r.Forced() {
		return nil
	}
	if e.TLS == nil {
		return []Shortfall{{StartTLSNotOffered, "the connection has no TLS, and the message may only travel over TLS"}}
	}
	out := channelShortfalls(r, e)
	if r.RequireTLS && !e.RequireTLS {
		out = append(out, Shortfall{RequireTLSNotOffered,
			"the sender asked for REQUIRETLS, and the server does not offer it inside TLS"})
	}
	return out
}

// channelShortfalls judges a channel with TLS.
func channelShortfalls(r Requirement, e Evidence) (out []Shortfall) {
	if floor := r.VersionFloor(); e.TLSVersion < floor {
		out = append(out, Shortfall{TLSVersion, fmt.Sprintf("the connection uses %s, and at least %s is required",
			tls.VersionName(e.TLSVersion), tls.VersionName(floor))})
	}
	out = append(out, strengthShortfalls(r, e)...)
	if r.Channel < Authenticated {
		return out
	}
	mx := mxShortfalls(r, e)
	changed := slices.ContainsFunc(mx, func(s Shortfall) bool { return s.Reason == MXChanged })
	if changed { // the certificate of a host that nobody knows says nothing about the partner
		out = append(out, mx...)
	}
	for _, d := range r.Demands() {
		for _, s := range e.proof(d) {
			if !slices.Contains(out, s) { // demands that share their roots share their faults
				out = append(out, s)
			}
		}
	}
	if !changed {
		out = append(out, mx...)
	}
	if !e.RestsOnChain(r) {
		return out
	}
	return append(out, revocationShortfall(r.Revocation, e)...)
}

// proof is what falls short of one peer demand.
func (e Evidence) proof(d PeerDemand) []Shortfall {
	switch d.By {
	case ByHost:
		return e.records()
	case ByTLSA:
		return e.provenRecords()
	case ByEither:
		chain := e.chain(d)
		if len(chain) == 0 || len(e.provenRecords()) == 0 {
			return nil
		}
		if e.DANE != nil {
			return append(slices.Clone(chain), e.provenRecords()...)
		}
		return chain
	}
	return e.chain(d)
}

// chain is what falls short of a demand that a chain is to prove.
func (e Evidence) chain(d PeerDemand) []Shortfall {
	proof, examined := e.Peers[d.Key()]
	if !examined {
		return []Shortfall{{CertUntrusted, "the certificate was not examined against " + d.Trust + " trust"}}
	}
	return proof.Shortfalls
}

// records is what falls short where a TLSA record of the host is to prove the peer.
func (e Evidence) records() []Shortfall {
	switch {
	case e.DANE == nil:
		return []Shortfall{{DANEUnusable, "DANE is demanded, and the host has no TLSA records that can be used"}}
	case !e.DANE.Proven() && len(e.DANE.Shortfalls) == 0:
		return []Shortfall{{DANEMismatch, "the certificate was not examined against the host's TLSA records"}}
	}
	return e.DANE.Shortfalls
}

// provenRecords is records, where the host must be one that DNS did not choose unsigned.
func (e Evidence) provenRecords() []Shortfall {
	short := e.records()
	if !e.MXProven && len(short) == 0 {
		return []Shortfall{{MXUnproven, "the name of the mail host, whose TLSA records match, comes from unsigned DNS"}}
	}
	return short
}

// RestsOnChain reports whether a demand of r is met by a chain, so that it matters whether the chain was revoked.
func (e Evidence) RestsOnChain(r Requirement) bool {
	return slices.ContainsFunc(r.Demands(), func(d PeerDemand) bool {
		return d.By == ByChain || d.By == ByEither && len(e.provenRecords()) > 0
	})
}

// mxShortfalls judges the name of the mail host.
func mxShortfalls(r Requirement, e Evidence) (out []Shortfall) {
	if r.MX == MXAny || e.MXProven || !r.TrustsMXName() {
		return nil
	}
	unproven := Shortfall{MXUnproven, "the name of the mail host comes from unsigned DNS"}
	if r.MX == MXProven || len(r.PinnedBy) == 0 {
		return []Shortfall{unproven}
	}
	for _, rule := range r.PinnedBy {
		proof, asked := e.MXPins[rule]
		switch {
		case rule == Nobody:
			proof = Proof{[]Shortfall{unproven}}
		case !asked:
			proof = Proof{[]Shortfall{{PolicyUnavailable,
				"what rule " + rule + " remembers of the domain's mail hosts could not be read"}}}
		}
		for _, s := range proof.Shortfalls {
			if !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
	}
	return out
}

// VersionFloor is the lowest version r allows on its channel, as in crypto/tls; 0 is no floor.
func (r Requirement) VersionFloor() uint16 {
	if r.Channel == Authenticated {
		return r.Floor()
	}
	return r.MinTLS
}

func revocationShortfall(want Revocation, e Evidence) []Shortfall {
	switch {
	case want == RevocationOff || e.Revocation == NotRevoked:
		return nil
	case e.Revocation == Revoked:
		return []Shortfall{{CertRevoked, because("the certificate was revoked by its issuer", e.RevocationDetail)}}
	case e.Unstapled:
		return []Shortfall{{RevocationUnknown, because("the certificate is only valid with a stapled OCSP answer",
			e.RevocationDetail)}}
	case want == RevocationRequire:
		return []Shortfall{{RevocationUnknown, because("whether the certificate is revoked could not be found out",
			e.RevocationDetail)}}
	}
	return nil
}

func because(what, detail string) string {
	if detail == "" {
		return what
	}
	return what + ": " + detail
}
