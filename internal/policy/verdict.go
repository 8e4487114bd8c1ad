package policy

import (
	"crypto/tls"
	"fmt"
	"slices"
)

// Verdict compares a requirement with evidence and returns every shortfall, the one to act on first; none means pass.
// What is unknown is never good: a demand without a proof falls short.
func Verdict(r Requirement, e Evidence) []Shortfall {
	if r.Channel == Plaintext {
		return nil
	}
	if e.TLS == nil {
		return []Shortfall{{StartTLSNotOffered, "the connection has no TLS, and the message may only travel over TLS"}}
	}
	var out []Shortfall
	if floor := r.VersionFloor(); e.TLSVersion < floor {
		out = append(out, Shortfall{TLSVersion, fmt.Sprintf("the connection uses %s, and at least %s is required",
			tls.VersionName(e.TLSVersion), tls.VersionName(floor))})
	}
	if r.Channel < Authenticated {
		return out
	}
	mx := mxShortfalls(r, e)
	changed := slices.ContainsFunc(mx, func(s Shortfall) bool { return s.Reason == MXChanged })
	if changed { // the certificate of a host that nobody knows says nothing about the partner
		out = append(out, mx...)
	}
	for _, d := range r.Demands() {
		proof, examined := e.Peers[d.Key()]
		if !examined {
			out = append(out, Shortfall{CertUntrusted, "the certificate was not examined against " + d.Trust + " trust"})
			continue
		}
		for _, s := range proof.Shortfalls {
			if !slices.Contains(out, s) { // demands that share their roots share their faults
				out = append(out, s)
			}
		}
	}
	if !changed {
		out = append(out, mx...)
	}
	return append(out, revocationShortfall(r.Revocation, e)...)
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
			proof = Proof{[]Shortfall{{PolicyUnavailable, "what rule " + rule + " remembers of the domain's mail hosts could not be read"}}}
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
		return []Shortfall{{RevocationUnknown, because("the certificate is only valid with a stapled OCSP answer", e.RevocationDetail)}}
	case want == RevocationRequire:
		return []Shortfall{{RevocationUnknown, because("whether the certificate is revoked could not be found out", e.RevocationDetail)}}
	}
	return nil
}

func because(what, detail string) string {
	if detail == "" {
		return what
	}
	return what + ": " + detail
}
