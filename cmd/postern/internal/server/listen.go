package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"

	"postern/cmd/postern/internal/rooms"
	"postern/cmd/postern/internal/sockets"
	"postern/internal/config"
	"postern/internal/gateway/balancer"
	"postern/internal/gateway/intake"
	"postern/internal/smtp"
	"postern/internal/smtp/smtpserver"
)

// listen opens every listener, or takes the sockets that are open already.
func (g *Gateway) listen() error {
	var err error
	if g.sockets == nil {
		if g.sockets, err = sockets.Open(g.cfg); err != nil {
			return err
		}
	}
	g.warnOfSpare()
	gate := smtpserver.NewGate(g.affordable(g.cfg.Limits.Connections), g.cfg.Limits.ConnectionsPerClient,
		g.memoryOfSessions)
	g.gate.Store(gate)
	for i, lc := range g.cfg.Listen {
		if !lc.Mode.TakesMail() {
			g.listeners = append(g.listeners, &listener{lc, g.sockets.Of[i], g.web(lc)})
			continue
		}
		server, err := g.engine(lc, gate)
		if err != nil {
			return err
		}
		g.listeners = append(g.listeners, &listener{lc, g.sockets.Of[i], server})
	}
	return nil
}

// behindBalancer puts what reads the PROXY header in front of a socket, where the listener has balancers.
func (g *Gateway) behindBalancer(lc config.Listen, socket net.Listener) net.Listener {
	if len(lc.Proxy) == 0 {
		return socket
	}
	return balancer.New(socket, balancer.Config{Networks: lc.Proxy, Wait: g.cfg.Limits.ProxyTimeout.Duration,
		Listener: lc.Name, Sink: g.sink})
}

// waitingForHeader is how many connections may wait for their PROXY header.
func (g *Gateway) waitingForHeader() (n int) {
	for i, lc := range g.cfg.Listen {
		if len(lc.Proxy) > 0 {
			n += balancer.Waiting * len(g.sockets.Of[i])
		}
	}
	return n
}

// spareFiles are file descriptors kept for the store, DNS and logs; the admin port has its own (admin.connections).
const spareFiles = 256

// affordable lowers a number of client connections to what the limit of open files leaves beside deliveries and the
// store, so that a flood of clients hears 421 and never stops the rest of the gateway.
func (g *Gateway) affordable(want int) int {
	most, known := openFiles()
	if !known {
		return want
	}
	most = max(most-g.cfg.Delivery.Outbound()-g.cfg.Asking.Outbound()-g.cfg.Admin.Connections-rooms.WebConnections(
		g.cfg)-g.waitingForHeader()-spareFiles, most/4)
	if most >= want {
		return want
	}
	g.warn("limit of open files", fmt.Errorf("%d client connections are served instead of %d", most, want),
		"raise the limit of open files (LimitNOFILE in the systemd unit), or lower limits.connections")
	return most
}

// engine makes the receiving engine of a listener.
func (g *Gateway) engine(lc config.Listen, gate *smtpserver.Gate) (*smtpserver.Server, error) {
	limits := g.cfg.Limits
	cfg := smtpserver.Config{
		Hostname: g.cfg.Hostname.String(), Listener: lc.Name, TLS: g.serverTLS(lc.Mode), VerifyClient: g.verifyClient,
		AskClients: g.asksClients,
		RequireTLS: lc.RequireTLS, Auth: lc.Auth, Gate: gate, Trace: g.intake.Load().Trace(lc.Name),
		NewSession: func(ctx context.Context, c *smtpserver.Conn) (smtpserver.Session, *smtp.Reply) {
			return g.intake.Load().NewSession(ctx, c)
		},
		Own:  func(i smtpserver.ConnInfo) bool { return g.intake.Load().Own(i) },
		Bare: func(i smtpserver.ConnInfo) smtpserver.BareEnds { return g.intake.Load().Bare(i) },
		Limits: smtpserver.Limits{MessageSize: limits.MessageSize, Recipients: limits.Recipients,
			CommandLine: limits.CommandLine,
			BadCommands: limits.BadCommands, NoOps: limits.NoopCommands, DataRate: limits.DataRate},
		Timeouts: smtpserver.Timeouts{Command: limits.CommandTimeout.Duration, Crowded: limits.CrowdedTimeout.Duration,
			Handshake: limits.HandshakeTimeout.Duration, DataBlock: limits.DataTimeout.Duration,
			Session: limits.SessionTime.Duration, Transaction: limits.TransactionTime.Duration},
		Memory: g.memoryOfContent,
	}
	switch lc.Mode {
	case config.ModeSMTPS:
		cfg.Mode = smtpserver.SMTPS
	case config.ModeSubmission:
		cfg.Mode = smtpserver.Submission
	}
	return smtpserver.New(cfg)
}

// serverTLS is what a listener offers; nil where no certificate is configured. The port the world sends to takes old
// protocol versions too, because plaintext would be next; people's programs must do better.
func (g *Gateway) serverTLS(mode config.Mode) *tls.Config {
	if g.certs == nil {
		return nil
	}
	c := &tls.Config{GetCertificate: g.certs.Get, MinVersion: tls.VersionTLS12}
	if mode == config.ModeSMTP {
		c.MinVersion = tls.VersionTLS10
	}
	return c
}

// asksClients reports whether clients are asked for a certificate, by the configuration and the rules in force.
func (g *Gateway) asksClients() bool {
	cfg := g.inForce.Load()
	return g.rules.Now().Rules.AsksClients() || cfg.TLS.AskClients || cfg.Relay.ClientCertificates != ""
}

// closeSockets closes what is open, if anything is.
func (g *Gateway) closeSockets() {
	if g.sockets != nil {
		g.sockets.Close()
	}
}

// warnOfSpare names the sockets that nobody took.
func (g *Gateway) warnOfSpare() {
	for _, s := range g.sockets.Spare {
		g.warn("socket", errors.New("systemd handed over a socket at "+s+" that no listener names; it is closed"),
			"name its address in a [[listen]], or take its ListenStream= out of the socket unit")
	}
}

// verifyClient checks a client's certificate against the CA that relay.client_certificates names now; where it names
// none, nobody is verified.
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
