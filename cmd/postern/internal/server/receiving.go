package server

import (
	"crypto/x509"

	"postern/cmd/postern/internal/rooms"
	"postern/internal/config"
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
		RelayNetworks: cfg.Relay.Networks, RelayCertificates: cfg.Relay.ClientCertificates != "", Authenticate: g.authenticate(cfg),
		Proof: cfg.Proof, Current: g.intake.Load, Logins: g.logins,
		RelayTLS: cfg.Relay.Require >= policy.Encrypted, RelayBare: rooms.BareEnds(cfg), Bindings: rooms.Bindings(cfg), Clients: g.clients,
		Recipients: g.recipients.Refuse, Names: g.clientNames(cfg),
		InForce: g.rules.Now, Store: g.store, Sink: g.sink, Wake: g.dispatch.Wake,
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

// verifyClient checks a client's certificate against the CA that relay.client_certificates names now; where it names none,
// nobody is verified.
func (g *Gateway) verifyClient(chain []*x509.Certificate) bool {
	file := string(g.inForce.Load().Relay.ClientCertificates)
	return file != "" && intake.VerifyClient(func() *x509.CertPool {
		pools, err := g.roots.Pools(file)
		if err != nil {
			return nil // said by the Notice of roots; a CA that cannot be read verifies nobody
		}
		return pools[file]
	})(chain)
}

// knowRecipients makes what knows the mailboxes of our own domains, or asks.
func (g *Gateway) knowRecipients(cfg *config.Config) error {
	a := &cfg.Asking
	var err error
	g.recipients, err = recipients.New(recipients.Config{
		Opener: g.deliverer, InForce: g.rules.Now, Sink: g.sink, Sender: cfg.Postmaster,
		Wait: a.Wait.Duration, Pause: a.Pause.Duration, Known: a.Known.Duration, Unknown: a.Unknown.Duration,
		Remembered: a.Remembered, PerServer: a.ConnectionsPerServer, Total: a.Connections,
	})
	if err != nil {
		return err
	}
	sources, err := recipients.Read(rooms.RecipientSources(cfg))
	if err != nil {
		return err
	}
	g.recipients.Use(sources)
	return nil
}
