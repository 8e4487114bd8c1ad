package deliver

import (
	"context"
	"crypto/x509"
	"time"

	"postern/internal/policy"
	"postern/internal/policy/certcheck"
)

// Revocation finds out whether certificates were revoked. *revoke.Checker is one.
type Revocation interface {
	// Check is about chains, each verified, leaf first and root last, of which one without a revoked certificate is
	// enough; staple is the OCSP answer of the handshake. It returns when ctx ends at the latest.
	Check(ctx context.Context, chains [][]*x509.Certificate, staple []byte) policy.RevocationAnswer
}

// recheckTime bounds the look-up before each message on a connection that is open: time enough for what is known.
const recheckTime = 500 * time.Millisecond

// lookUp asks whether the certificates that prove r's demands were revoked, and writes the answer into the evidence. It
// asks only where r wants to know and everything else passes: never for opportunistic mail, and never for a peer that
// falls short anyway.
func (d *Deliverer) lookUp(ctx context.Context, k *link, r policy.Requirement, limit time.Duration) {
	if d.cfg.Revocation == nil || k.state == nil || r.Channel < policy.Authenticated ||
		r.Revocation == policy.RevocationOff {
		return
	}
	rest := r
	// that it is not offered is final only where the rest passes
	rest.Revocation, rest.RequireTLS = policy.RevocationOff, false
	if len(policy.Verdict(rest, k.evidence)) > 0 || !k.evidence.RestsOnChain(r) {
		return
	}
	if end, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(end)/2) // the connection must be of use afterwards
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	in := d.input(k, r)
	var said policy.RevocationAnswer
	for _, demand := range r.ChainDemands() {
		said = said.And(d.cfg.Revocation.Check(ctx, certcheck.Chains(in, demand), k.state.OCSPResponse))
	}
	if said.Status != policy.RevocationNotSaid || said.Unstapled || !k.revocation.Until.After(k.examined) {
		k.revocation = said // else what was said before still counts
	}
	k.evidence.SetRevocation(k.revocation, k.examined)
}
