package deliver

import (
	"context"
	"crypto/tls"
	"net/netip"
	"slices"
	"time"

	"postern/internal/gateway/route"
	"postern/internal/policy"
	"postern/internal/policy/certcheck"
	"postern/internal/policy/dane"
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
	k.evidence.DANE = k.records()
	k.heard()
	d.judgeName(ctx, k, r)
	k.evidence.SetRevocation(k.revocation, k.examined)
}

// heard takes the promise of the newest EHLO inside TLS into the evidence, each time that is made anew.
func (k *link) heard() { k.evidence.RequireTLS = k.conn.Extensions().RequireTLS }

// records is what the host's TLSA records make of the peer's certificates, nil where it has none that can be used.
func (k *link) records() *policy.DANE {
	if len(k.hop.TLSA) == 0 {
		return nil
	}
	proof := dane.Examine(dane.Input{Chain: k.state.PeerCertificates, Records: k.hop.TLSA, Names: k.hop.Bases,
		Now: k.examined})
	return &proof
}

// input is what the examination of k under r depends on.
func (d *Deliverer) input(k *link, r policy.Requirement) certcheck.Input {
	demands := r.ChainDemands()
	for i := range k.hop.Published { // what is only observed is examined too
		if published := k.hop.Published[i].Demand; published.Channel == policy.Authenticated {
			demands = append(demands, published.ChainDemands()...)
		}
	}
	var trusts []string
	for _, demand := range demands {
		trusts = append(trusts, demand.Trust)
	}
	roots, _ := d.cfg.Roots(trusts...) // a trust that cannot be read is missing in the map, and proves nothing
	return certcheck.Input{
		Chain: k.state.PeerCertificates, Host: k.hop.Host, Domain: k.plan.Domain, Demands: demands, Roots: roots,
		Now: k.examined,
	}
}

// unusable reports whether TLSA records were found of which none can be used.
func unusable(p policy.Published) bool {
	return p.Kind == policy.PublishedDANE && p.Unusable > 0 && p.Demand.Channel == policy.Encrypted
}

// notes are facts worth recording about a connection that serves mail with requirement r.
func (k *link) notes(r policy.Requirement) []string {
	var out []string
	if slices.ContainsFunc(k.hop.Published, unusable) {
		out = append(out, string(policy.DANEUnusable))
	}
	if r.Channel < policy.Authenticated {
		return out
	}
	if note := k.mxNote(r); note != "" {
		out = append(out, note)
	}
	switch {
	case r.Revocation == policy.RevocationOff:
		out = append(out, "revocation-not-checked")
	case k.evidence.Revocation != policy.NotRevoked && k.evidence.RestsOnChain(r):
		out = append(out, string(policy.RevocationUnknown))
	}
	return out
}
