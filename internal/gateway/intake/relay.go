package intake

import (
	"crypto/rsa"
	"crypto/x509"
	"slices"
	"strings"
	"time"

	"postern/internal/mail"
	"postern/internal/queue"
	"postern/internal/smtp"
	"postern/internal/smtp/smtpserver"
)

// mayRelay reports whether the client may send to any domain. It decides anew each time: a login changes the answer.
func (i *Intake) mayRelay(c *smtpserver.ConnInfo) bool {
	switch {
	case c.User != "":
		return true
	case i.bindings.certified(c.TLS):
		return true
	}
	return i.bindings.inNetwork(c.Client.Addr())
}

// Own reports whether a client is of our own side, that is, may relay.
func (i *Intake) Own(c smtpserver.ConnInfo) bool { return i.mayRelay(&c) }

// Bare says what becomes of bare line ends in the content of a client: those of the world are always refused.
func (i *Intake) Bare(c smtpserver.ConnInfo) smtpserver.BareEnds {
	if i.mayRelay(&c) {
		return i.cfg.RelayBare
	}
	return smtpserver.RefuseBare
}

// Ours reports whether a message came from our own side, that is, from a client that may relay.
func (i *Intake) Ours(in *queue.Inbound) bool {
	return i.bindings.Relays(in)
}

// allow says whether the client may send to a recipient, and which mailbox that is.
func (s *session) allow(to mail.Address) (mail.Address, *smtp.Reply) {
	if s.in.isPostmaster(to) {
		return s.in.postmaster()
	}
	if s.stillRelays() {
		return to, nil
	}
	if !s.in.cfg.InForce().Serves(to.Domain) {
		return to, smtp.NewReply(550, "5.7.1", "this server does not relay to that domain for you")
	}
	if routed(to.Local) {
		return to, smtp.NewReply(550, "5.7.1", "routing inside the local part is refused")
	}
	return to, nil
}

// routed reports whether a local part asks a server further on to relay: the percent hack, UUCP paths, an address
// inside quotes. Own servers often trust the gateway, so a stranger must not reach them with these.
func routed(local string) bool { return strings.ContainsAny(local, "%!@") }

// isPostmaster reports whether mail is for the postmaster of the gateway itself (RFC 5321 §4.5.1).
func (i *Intake) isPostmaster(a mail.Address) bool {
	if !strings.EqualFold(a.Local, "postmaster") {
		return false
	}
	return a.Domain.IsZero() || a.Domain == i.cfg.Hostname && !i.cfg.InForce().Serves(a.Domain)
}

// postmaster is where that mail goes: to the gateway's own domain if it is served, else to the configured mailbox.
func (i *Intake) postmaster() (mail.Address, *smtp.Reply) {
	if i.cfg.InForce().Serves(i.cfg.Hostname) {
		return mail.Address{Local: "postmaster", Domain: i.cfg.Hostname}, nil
	}
	to := i.cfg.Postmaster
	if to.Domain.IsZero() || to.Domain == i.cfg.Hostname {
		return to, smtp.NewReply(550, "5.1.1", "no mailbox is configured for the postmaster")
	}
	return to, nil
}

// minRSA is the shortest RSA key a client certificate may have anywhere in its chain; crypto/x509 has no limit.
const minRSA = 2048

// VerifyClient returns a VerifyClient for smtpserver.Config: a chain that leads to one of roots, in date, with keys
// that are strong enough. The usage clientAuth is not asked for: public CAs no longer issue it. roots is asked each
// time, so that it may change.
func VerifyClient(roots func() *x509.CertPool) func(chain []*x509.Certificate) bool {
	return func(chain []*x509.Certificate) bool {
		pool := roots()
		if len(chain) == 0 || pool == nil {
			return false
		}
		between := x509.NewCertPool()
		for _, c := range chain[1:] {
			between.AddCert(c)
		}
		paths, err := chain[0].Verify(x509.VerifyOptions{
			Roots: pool, Intermediates: between, CurrentTime: time.Now(),
			KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
		})
		return err == nil && slices.ContainsFunc(paths, strong)
	}
}

func strong(path []*x509.Certificate) bool {
	return !slices.ContainsFunc(path, func(c *x509.Certificate) bool {
		key, ok := c.PublicKey.(*rsa.PublicKey)
		return ok && key.N.BitLen() < minRSA
	})
}
