package admin

import (
	"crypto/tls"
	"fmt"
	"slices"

	"postern/internal/attempt"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/policy/certcheck"
	"postern/internal/queue"
)

// wouldBecome says what would have become of a delivery under a requirement, as far as its record tells. policy.Verdict
// judges, of evidence made from the record; what the record does not hold is open, never good and never bad: proofs of
// demands that nobody made then, what a rule remembers of mail hosts, keys that the peer did not send, and staples and
// revocation that nobody asked for.
func wouldBecome(r *queue.Record, req policy.Requirement) (PreviewOutcome, policy.Reason, string) {
	if r.State != queue.Delivered || !req.Forced() {
		return AsNow, "", ""
	}
	newest := newestAttempt(r)
	if newest == nil || newest.Used() == nil {
		return NotKnown, "", "the record does not say how it was carried"
	}
	used := newest.Used()
	session := used.TLS()
	if session == nil {
		if req.WithoutTLS == policy.WithoutTLSReject {
			return WouldReturn, policy.StartTLSNotOffered, "the server had no TLS"
		}
		return WouldWait, policy.StartTLSNotOffered, "the server had no TLS"
	}
	h := hindsight{record: r, used: used, evidence: *used.Evidence, asked: req}
	h.evidence.TLSVersion, h.evidence.Peers = versionNumber(session.Version), map[string]policy.Proof{}
	if h.evidence.TLSVersion == 0 && req.VersionFloor() > 0 {
		return NotKnown, "", "the connection used " + session.Version
	}
	if req.Channel >= policy.Authenticated {
		h.lookAtHost() // before demands are left out
		h.lookAtDemands()
		h.lookAtRevocation()
	}
	if short := policy.Verdict(h.asked, h.evidence); len(short) > 0 {
		return WouldWait, short[0].Reason, short[0].Text
	}
	if h.open != "" {
		return NotKnown, "", h.open
	}
	return AsNow, "", ""
}

// hindsight is a past connection made ready for a verdict under other demands.
type hindsight struct {
	record   *queue.Record
	used     *attempt.Try
	evidence policy.Evidence
	asked    policy.Requirement // without what is open
	open     string             // the first thing that the record does not tell
}

func (h *hindsight) leave(why string) {
	if h.open == "" {
		h.open = why
	}
}

// lookAtDemands gives a proof for each demand that the record answers, and leaves the others.
func (h *hindsight) lookAtDemands() {
	var kept []policy.PeerDemand
	for _, d := range h.asked.Demands() {
		if proof, ok := h.proof(d); ok {
			h.evidence.Peers[d.Key()] = proof
			kept = append(kept, d)
		}
	}
	if h.asked.Peer = kept; len(kept) == 0 { // no demand means the public one, which then is left too
		h.evidence.Peers[policy.PublicDemand().Key()] = policy.Proof{}
	}
}

// proof is what the record says about a demand: what was found when it was made, or what the names of a certificate tell.
func (h *hindsight) proof(d policy.PeerDemand) (policy.Proof, bool) {
	made := h.record.Requirement.Demands()
	if h.examined(made, d) {
		if h.used.Reached >= policy.Authenticated {
			return policy.Proof{}, true
		}
		faults := slices.DeleteFunc(slices.Clone(h.used.Shortfalls), func(s policy.Shortfall) bool { return !ofCertificate(s.Reason) })
		if len(made) > 1 || len(faults) == 0 { // it is not recorded which of them fell short, or what
			h.leave("the record does not say of what the certificate fell short")
			return policy.Proof{}, false
		}
		return policy.Proof{Shortfalls: faults}, true
	}
	if !d.Names.MX {
		switch accepted, known := certcheck.Kept(h.evidence.Presented, d.Names, mail.Domain{}, h.record.Recipient.Address.Domain); {
		case accepted:
		case known:
			return policy.Proof{Shortfalls: []policy.Shortfall{{Reason: policy.CertNameMismatch,
				Text: fmt.Sprintf("the certificate names %.200v", h.evidence.Presented)}}}, true
		default:
			h.leave("the record does not hold all names of the certificate")
			return policy.Proof{}, false
		}
	}
	publicly := h.used.Reached >= policy.Authenticated && h.examined(made, policy.PublicDemand())
	switch {
	case len(d.Pins) > 0:
		h.leave("the chain was not examined for the pinned keys")
	case d.Trust != policy.PublicTrust || !publicly:
		h.leave("the chain was not examined against " + d.Trust + " trust")
	default:
		return policy.Proof{}, true // the chain was good, and one of its names is wanted
	}
	return policy.Proof{}, false
}

func (h *hindsight) examined(made []policy.PeerDemand, d policy.PeerDemand) bool {
	return slices.ContainsFunc(made, func(m policy.PeerDemand) bool { return m.Key() == d.Key() })
}

// ofCertificate reports whether a reason is about a certificate and its chain.
func ofCertificate(r policy.Reason) bool {
	switch r {
	case policy.CertExpired, policy.CertNotYetValid, policy.CertSelfSigned, policy.CertUntrusted, policy.CertIncompleteChain,
		policy.CertNameMismatch, policy.CertWeak, policy.CertNameConstraint, policy.CertUsage, policy.PinMismatch:
		return true
	}
	return false
}

// lookAtHost leaves the name of the mail host where it matters and was not proven: what a rule remembers of it, and what DNS
// would have proven, is not recorded.
func (h *hindsight) lookAtHost() {
	if h.asked.MX > policy.MXAny && h.asked.TrustsMXName() && !h.evidence.MXProven {
		h.leave("whether the name of the mail host would have been trusted is not recorded")
	}
	h.asked.MX = policy.MXAny
}

// lookAtRevocation leaves revocation where nobody asked, and with it whether the certificate promises a staple.
func (h *hindsight) lookAtRevocation() {
	if h.asked.Revocation > policy.RevocationOff && h.evidence.Revocation == "" {
		h.leave("nobody asked whether the certificate was revoked, or promises a stapled answer")
		h.asked.Revocation = policy.RevocationOff
	}
}

// versionNumber is a version as records name it, as in crypto/tls; 0 for one that is not known.
func versionNumber(name string) uint16 {
	switch name {
	case "TLSv1.3":
		return tls.VersionTLS13
	case "TLSv1.2":
		return tls.VersionTLS12
	case "TLSv1.1":
		return tls.VersionTLS11
	case "TLSv1":
		return tls.VersionTLS10
	}
	return 0
}
