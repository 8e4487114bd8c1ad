package server

import (
	"postern/cmd/postern/internal/rooms"
	"postern/internal/config"
	"postern/internal/gateway/admission"
	"postern/internal/gateway/clientname"
	"postern/internal/gateway/intake"
	"postern/internal/gateway/recipients"
	"postern/internal/policy"
)

// clientNames is what finds them under a configuration, nil where it wants none.
func (g *Gateway) clientNames(cfg *config.Config) *clientname.Names {
	if !cfg.DNS.ClientNames {
		return nil
	}
	return g.names
}

// receiving makes the receiving side of a configuration.
func (g *Gateway) receiving(cfg *config.Config) (*intake.Intake, error) {
	return intake.New(intake.Config{
		Hostname: cfg.Hostname, Postmaster: rooms.PostmasterFor(cfg),
		RelayNetworks: cfg.Relay.Networks, RelayCertificates: cfg.Relay.ClientCertificates != "",
		Authenticate: g.authenticate(cfg), Proof: cfg.Proof, Current: g.intake.Load, Logins: g.logins,
		RelayTLS: cfg.Relay.Require >= policy.Encrypted, RelayBare: rooms.BareEnds(cfg), Bindings: rooms.Bindings(cfg),
		Clients: g.clients, Marks: g.marks,
		Recipients: g.recipients.Refuse, ReportsTo: cfg.TLSRPT.Receive, Reports: g.takesReports(cfg),
		Names: g.clientNames(cfg),
		Admission: &admission.Judge{Roots: g.roots.Pools, Revocation: g.revoke,
			Wait: cfg.Delivery.RevocationTimeout.Duration, Contact: rooms.PostmasterFor(cfg).String()},
		InForce: g.rules.Now, Others: g.nodes, Store: g.store, Sink: g.sink, Wake: g.dispatch.Wake,
		Lifetime: cfg.Delivery.Lifetime.Duration, DelayNotice: rooms.NeverIfZero(cfg.Delivery.DelayNotice.Duration),
		HeaderSize: int(cfg.Limits.HeaderSize), Hops: cfg.Limits.Hops, Memory: g.memoryOfContent,
		LoginFailures: cfg.Limits.LoginFailures, LoginWindow: cfg.Limits.LoginWindow.Duration,
	})
}

// authenticate asks the users of a configuration, when there is memory for another hash.
func (g *Gateway) authenticate(cfg *config.Config) func(user, password string) bool {
	return func(user, password string) bool {
		g.hashing <- struct{}{}
		defer func() { <-g.hashing }()
		return cfg.Authenticate(user, password)
	}
}

// knowing makes what knows the mailboxes of our own domains, or asks.
func (g *Gateway) knowing() (*recipients.Keeper, error) {
	a := &g.cfg.Asking
	return recipients.New(recipients.Config{
		Opener: g.deliverer, InForce: g.rules.Now, Sink: g.sink, Sender: g.cfg.Postmaster,
		Wait: a.Wait.Duration, Pause: a.Pause.Duration, Known: a.Known.Duration, Unknown: a.Unknown.Duration,
		Remembered: a.Remembered, PerServer: a.ConnectionsPerServer, Total: a.Connections,
	})
}
