package deliver

import (
	"context"
	"crypto/tls"
	"net/netip"
	"time"

	"postern/internal/gateway/route"
	"postern/internal/policy"
	"postern/internal/policy/certcheck"
	"postern/internal/policy/mxpins"
	"postern/internal/smtp"
	"postern/internal/smtp/smtpclient"
)

// A parked or idle connection older than this is asked whether it lives before it is used; evidence older than
// freshness is made anew before a message is sent.
const (
	parkedFor = 5 * time.Second
	freshness = time.Second
)

// link is one open connection with what it proved.
type link struct {
	conn     *smtpclient.Conn
	hop      *route.Hop
	addr     netip.Addr
	plan     *route.Plan
	state    *tls.ConnectionState // nil: no TLS
	evidence policy.Evidence
	name     mxpins.Opinion // what the rules of the requirement make of the host's name
	examined time.Time
	// revocation is what was said last about the peer's certificates; zero when nobody asked.
	revocation policy.RevocationAnswer
	used       time.Time // when the peer last answered
	try        int       // index of its try in the ladder
}

func (k *link) stale() bool { return time.Since(k.used) > parkedFor }

// quit says goodbye and closes.
func (k *link) quit() { k.conn.Quit(context.Background()) }

// examine judges the peer's chain at the present time against every demand of r.
func (d *Deliverer) examine(ctx context.Context, k *link, r policy.Requirement) {
	k.examined = time.Now()
	if k.state == nil {
		k.evidence, k.name = policy.Evidence{}, mxpins.Opinion{}
		return
	}
	k.evidence = certcheck.Examine(d.input(k, r))
	k.evidence.TLS = smtp.Facts(k.state, "")
	k.evidence.TLSVersion = k.state.Version
	d.judgeName(ctx, k, r)
	k.evidence.SetRevocation(k.revocation, k.examined)
}

// input is what the examination of k under r depends on.
func (d *Deliverer) input(k *link, r policy.Requirement) certcheck.Input {
	demands := r.Demands()
	var trusts []string
	for _, demand := range demands {
		trusts = append(trusts, demand.Trust)
	}
	roots, _ := d.cfg.Roots(trusts...) // a trust that cannot be read is missing in the map, and proves nothing
	return certcheck.Input{
		Chain: k.state.PeerCertificates, Host: k.hop.Host, Domain: k.plan.Domain, Demands: demands, Roots: roots, Now: k.examined,
	}
}

// notes are facts worth recording about a connection that serves forced mail.
func (k *link) notes(r policy.Requirement) []string {
	if r.Channel < policy.Authenticated {
		return nil
	}
	var out []string
	if note := k.mxNote(r); note != "" {
		out = append(out, note)
	}
	switch {
	case r.Revocation == policy.RevocationOff:
		out = append(out, "revocation-not-checked")
	case k.evidence.Revocation != policy.NotRevoked:
		out = append(out, string(policy.RevocationUnknown))
	}
	return out
}
