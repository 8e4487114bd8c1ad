// Package rooms turns a configuration into what the rooms under postern/internal are made from.
//
// These are values: nothing here runs, listens or remembers. The gateway, `postern check` and `postern config check`
// are all built from them, so that all see the same. Where a file is read, it is read by the room that owns the fact.
package rooms

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"time"

	"postern/internal/config"
	"postern/internal/dns"
	"postern/internal/dns/resolver"
	"postern/internal/gateway/deliver"
	"postern/internal/gateway/route"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/policy/certcheck/roots"
	"postern/internal/policy/revoke"
	"postern/internal/policy/rules"
	"postern/internal/queue/schedule"
	"postern/internal/smtp/smtpclient"
)

// DefaultForced is what a rule demands that says nothing but "force-tls".
func DefaultForced() (policy.Requirement, error) {
	set, err := rules.Parse("defaults", []byte("[[rule]]\nname = \"default\"\nscope = \"outbound\"\naction = "+
		"\"force-tls\"\n[rule.match]\nrecipient = [\"*\"]\n"))
	if err != nil {
		return policy.Requirement{}, err
	}
	return set.Rules()[0].Requirement(), nil
}

// What follows turns a configuration into that of the rooms that find and reach other servers. The gateway and
// `postern check` are built from the same, so that both see the same.

// Routing says where mail goes. Who asks for MTA-STS policies adds Policies.
func Routing(cfg *config.Config, r dns.Resolver) route.Config {
	rc := route.Config{Hostname: cfg.Hostname, Port: cfg.Delivery.Port, DenyNetworks: cfg.Delivery.DenyNetworks,
		LocalAddrs: LocalAddrs(cfg), Resolver: r, Manner: manner(cfg.Delivery.Without, cfg.Delivery.Signed8Bit,
			cfg.Delivery.Source),
		DANE: cfg.Policies.DANE.Mode(), STS: cfg.Policies.STS.Mode(), Waivable: cfg.Policies.TLSRequiredNo}
	for _, d := range cfg.Domain {
		rc.Own = append(rc.Own, route.Own{Domain: d.Name, To: hops(d.DeliverTo), Trust: string(d.Trust), Pins: d.Pins,
			Require: d.Require})
	}
	for _, r := range cfg.Route {
		rc.Routes = append(rc.Routes, route.Route{Name: r.Name, Match: r.Match, To: hops(r.To),
			Manner: manner(r.Without, r.Signed8Bit, r.Source)})
	}
	return rc
}

// manner says how servers are spoken to.
func manner(without []config.Extension, signed config.Signed8Bit, source []netip.Addr) route.Manner {
	m := route.Manner{Signed: string(signed)}
	m.Source, _ = route.NewSource(source) // checked with the configuration
	for _, e := range without {
		m.Without = append(m.Without, string(e))
	}
	return m
}

// Delivering says how connections are opened and judged. client is shown to servers that ask; nil shows none.
func Delivering(cfg *config.Config, dialer deliver.Dialer, trusted *roots.Store, revocation deliver.Revocation,
	client *tls.Certificate) deliver.Config {
	dc := deliver.Config{
		Dialer: dialer, From: from, Legacy: cfg.Delivery.LegacyTLS, Roots: trusted.Pools,
		Revocation: revocation, RevocationTimeout: cfg.Delivery.RevocationTimeout.Duration,
		SMTP:           smtpclient.Config{Hello: cfg.Delivery.Helo.String()},
		ConnectTimeout: cfg.Delivery.ConnectTimeout.Duration, Budget: cfg.Delivery.AttemptTimeout.Duration,
	}
	if client != nil {
		dc.Certificate = func() *tls.Certificate { return client }
	}
	return dc
}

// from opens connections from an address of this machine.
func from(source netip.Addr) deliver.Dialer {
	return &net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(source, 0))}
}

// Revoking says how it is found out whether certificates are revoked. dir keeps lists, "" keeps them in memory; warn is
// told when it cannot be written.
func Revoking(cfg *config.Config, r dns.Resolver, dir string, warn func(error)) revoke.Config {
	return revoke.Config{
		Dir: dir, Allow: cfg.Delivery.RevocationNetworks, Warn: warn,
		Lookup: func(ctx context.Context, host string) ([]netip.Addr, error) {
			name, err := mail.ParseDomain(host)
			if err != nil {
				return nil, err
			}
			answer := r.Addrs(ctx, name)
			return answer.All(), answer.Err()
		},
	}
}

// Resolving says whom DNS is asked at, and whose word about signatures is believed.
func Resolving(cfg *config.Config) resolver.Config {
	rc := resolver.Config{TrustAD: map[config.TrustAD]resolver.Trust{
		config.TrustADYes: resolver.TrustAll, config.TrustADNo: resolver.TrustNone,
	}[cfg.DNS.TrustAD]}
	for _, s := range cfg.DNS.Servers {
		rc.Servers = append(rc.Servers, s.String())
	}
	return rc
}

// Pacing is how deliveries are tried and how the connections are divided.
func Pacing(c *config.Delivery) schedule.Config {
	s := schedule.Config{
		Jitter: 0.1, PerSite: c.ConnectionsPerSite, Total: c.Connections, Own: c.ConnectionsOwn,
		Unproven: c.ConnectionsUnproven,
		Reports:  c.ConnectionsReports, Family: c.ConnectionsPerHost, Overtime: c.ConnectionsOvertime,
		SlowAfter: c.SlowAfter.Duration, Lately: c.ProvenFor.Duration,
	}
	for _, step := range c.Retry {
		s.Retry = append(s.Retry, step.Duration)
	}
	return s
}

// NeverIfZero is a duration of which 0 means "never" in the configuration and "the default" in a room.
func NeverIfZero(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}
