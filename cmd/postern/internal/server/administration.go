package server

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"time"

	"postern/cmd/postern/internal/cli"
	"postern/cmd/postern/internal/rooms"
	"postern/internal/check"
	"postern/internal/config"
	"postern/internal/dns/resolver"
	"postern/internal/event/metrics"
	"postern/internal/gateway/dispatch"
	"postern/internal/gateway/stscache"
	"postern/internal/history/traffic"
	"postern/internal/mail"
	"postern/internal/operator/admin"
	"postern/internal/operator/hindsight"
	"postern/internal/operator/live"
	"postern/internal/operator/mailhosts"
	"postern/internal/policy"
	"postern/internal/policy/revoke"
	"postern/internal/queue"
)

func (g *Gateway) administration() admin.Config {
	out := admin.Config{
		Settings: g.settings, Certificates: g.ownChains,
		Store: g.store, Ledger: g.store, Rules: g.rules, Nodes: g.nodes, Peers: g.memory,
		Dispatcher: afresh{g.dispatch, g.resolver, g.revoke, g.policies}, Sink: g.sink,
		Policies: asked{g.policies, g.resolver}, Reporting: g.reporting(), Received: g.receivedReports(), Pins: g.pins,
		MailHosts: g.mailHosts, Checker: &g.checking, Pulse: &g.pulse, Traffic: traffic.NewBook(g.store),
		Certs:       g.shown,
		Hindsight:   hindsight.Sources{Certificates: g.shown.Certificates, Roots: g.roots.Pools, Pins: g.pins.Pins},
		Refusals:    g.accounts.Refusals,
		Unprotected: g.unprotected, Trust: rooms.TrustIn(g.roots), ListFile: rooms.ListsIn(rooms.ConfigDir(g.cfg)),
		Lifetime: g.cfg.Delivery.Lifetime.Duration,
		Streams:  g.cfg.Admin.Connections / 2, StreamsOfOne: g.cfg.Admin.Streams,
		Hostname: g.cfg.Hostname.String(), Version: cli.ThisBuild().Version, StartedAt: time.Now(), Problem: g.problem,
	}
	if g.cfg.Path() != "" {
		out.Reload, out.ConfigFile = g.readAgain, g.cfg.Path()
	}
	return out
}

// unprotected lists the own clients that handed in without TLS what rules force onward.
func (g *Gateway) unprotected(since time.Time) (out []live.Unprotected) {
	for _, f := range g.clients.Forced(since) {
		first, last := f.Since.UTC(), f.Last.UTC()
		out = append(out, live.Unprotected{Client: f.Client.String(), Since: &first, Last: &last, Messages: f.Messages,
			Message: f.Message, Rules: f.Rules})
	}
	return out
}

// mailHosts finds the mail hosts of a domain, asking DNS afresh.
func (g *Gateway) mailHosts(ctx context.Context, d mail.Domain) (mailhosts.MailHosts, error) {
	g.resolver.Forget()
	plan, problem := g.rules.Now().Table.Plan(ctx, d)
	if problem != nil {
		return mailhosts.MailHosts{}, problem
	}
	out := mailhosts.MailHosts{ByAdmin: plan.ByAdmin}
	for i := range plan.Hops {
		out.Hosts = append(out.Hosts, plan.Hops[i].Host)
	}
	return out, nil
}

// afresh is the dispatcher as an administrator's actions see it: what he repaired may be in DNS, or the way to a CA, so
// they are asked again, and domains for their policies.
type afresh struct {
	*dispatch.Dispatcher
	resolver *resolver.Resolver
	revoke   *revoke.Checker
	policies *stscache.Cache
}

// Kick forgets cached answers and makes the sites due now.
func (a afresh) Kick(ctx context.Context, sites ...queue.SiteKey) {
	a.resolver.Forget()
	a.revoke.Forget()
	a.policies.Anew()
	a.Dispatcher.Kick(ctx, sites...)
}

// problem says what the next message would hear, nil if it would be taken: what intake, the gate and the store are
// asked when one comes.
func (g *Gateway) problem() error {
	if g.stopping.Load() {
		return errors.New("the gateway is stopping")
	}
	if err := g.rules.Now().Err; err != nil {
		return err
	}
	takes := g.store.Takes()
	if err := g.nodes.May(); err != nil { // the store may know why
		return cmp.Or(takes, err)
	}
	if g.memoryOfSessions.Tight() {
		return errors.New("memory is used up: new clients hear 421 until there is room")
	}
	if gate := g.gate.Load(); gate != nil && gate.Full() {
		return errors.New("limits.connections are in use: new clients hear 421")
	}
	if takes != nil {
		return takes
	}
	_, err := g.figures.get()
	return err
}

// expiryNotice is how long before its end the console warns of a certificate.
const expiryNotice = 30 * 24 * time.Hour

// ownChains looks at our own certificates as partners see them.
func (g *Gateway) ownChains() ([]check.Own, error) {
	pools, err := g.roots.Pools(policy.PublicTrust)
	if err != nil {
		return nil, err
	}
	out := []check.Own{}
	for _, f := range rooms.OwnFiles(g.inForce.Load()) {
		own, _, err := f.Look(pools[policy.PublicTrust], time.Now(), expiryNotice)
		if err != nil {
			return nil, err
		}
		out = append(out, own)
	}
	return out, nil
}

// state is how the gateway is, in the form monitoring takes.
func (g *Gateway) state() metrics.State {
	b := cli.ThisBuild()
	s := metrics.State{Ready: g.problem() == nil, DNSValidated: g.resolver.Validates(), Version: b.Version,
		Revision: b.Revision, Go: b.Go}
	var err error
	s.Free, s.Kept, err = g.store.Free()
	s.DiskUnknown = err != nil
	s.Node = g.standing()
	s.ReloadGood, s.ReloadAt = g.reloaded.last()
	add := func(kind string, leaf *x509.Certificate) {
		c := metrics.Certificate{Kind: kind, Name: leaf.Subject.CommonName, End: leaf.NotAfter}
		if len(leaf.DNSNames) > 0 {
			c.Name = leaf.DNSNames[0]
		}
		s.Certificates = append(s.Certificates, c)
	}
	if g.certs != nil {
		for _, leaf := range g.certs.Leaves() {
			add("server", leaf)
		}
	}
	if c := g.client.Load(); c != nil && c.Leaf != nil { // that of a CA is among the others
		add("client", c.Leaf)
	}
	return s
}

// listenerNames are the names of the listeners that take mail.
func listenerNames(cfg *config.Config) (out []string) {
	for _, l := range cfg.Listen {
		if l.Mode.TakesMail() {
			out = append(out, l.Name)
		}
	}
	return out
}
