package smtpserver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"postern/internal/mail"
	"postern/internal/smtp"
	"postern/internal/smtp/tlsprobe"
)

// startTLS does STARTTLS (RFC 3207). Whatever came behind the command in plaintext may be an attacker's: the session
// ends then. After the handshake the client is a stranger again.
func (c *Conn) startTLS(arg []byte) {
	switch {
	case len(arg) > 0:
		c.wrong("STARTTLS", 501, "5.5.4", "STARTTLS has no parameters")
	case c.info.TLS != nil:
		c.wrong("STARTTLS", 503, "5.5.1", "TLS is active")
	case c.srv.tls == nil:
		c.wrong("STARTTLS", 502, "5.5.1", "not offered")
	case len(c.wire.buffered()) > 0:
		c.wrong("STARTTLS", 554, "5.5.0", "nothing may follow STARTTLS before the handshake")
		c.stop("commands behind STARTTLS")
	default:
		c.upgrade()
	}
}

func (c *Conn) upgrade() {
	c.endTransaction()
	if !c.holdTLS() { // "not available" would make many a client go on in plaintext
		c.bye("4.3.1", "no memory for TLS now, try again later", "no memory for TLS")
		return
	}
	c.wire.say(220, "2.0.0", "Ready to start TLS")
	if err := c.wire.flush(); err != nil {
		c.check(err)
		return
	}
	c.session.Close()
	c.session = nil
	if !c.handshake() {
		return
	}
	session, no := c.srv.cfg.NewSession(c.ctx, c)
	if no != nil {
		c.refusal = no
		return
	}
	c.session = session
}

// holdTLS takes the memory for TLS, where it was given back before.
func (c *Conn) holdTLS() bool {
	if c.held >= SessionMemory+TLSMemory {
		return true
	}
	if !c.srv.cfg.Gate.take(TLSMemory) {
		return false
	}
	c.held += TLSMemory
	return true
}

// spareTLS gives the memory for TLS back when a client begins a message without it.
func (c *Conn) spareTLS() {
	if c.info.TLS == nil && c.held > SessionMemory {
		c.srv.cfg.Gate.give(TLSMemory)
		c.held -= TLSMemory
	}
}

// handshake puts TLS on the connection and forgets everything that was said before. Without success the session ends
// without another word: nothing may be said in plaintext any more.
func (c *Conn) handshake() bool {
	c.wire.forget()
	c.greeted, c.extended, c.info.Helo, c.info.User, c.tx, c.again = false, false, "", "", transaction{}, nil
	keyed := &keyedConn{Conn: c.raw}
	cfg := c.srv.tls
	if ask := c.srv.cfg.AskClients; cfg.ClientAuth == tls.NoClientCert && ask != nil && ask() {
		cfg = cfg.Clone()
		cfg.ClientAuth = tls.RequestClientCert
	}
	tc := tls.Server(keyed, cfg)
	c.raw.SetDeadline(time.Now().Add(c.srv.cfg.Timeouts.Handshake))
	// Close cuts it, the deadline bounds it
	err := apart(func() error { return tc.HandshakeContext(context.Background()) })
	c.info.Shown = keyed.shown
	if err != nil {
		if f := c.srv.cfg.Trace.HandshakeFailed; f != nil {
			f(c.Info(), keyed.explain(err))
		}
		c.why = brokenTLS
		return false
	}
	keyed.began, keyed.hello = true, nil
	c.raw.SetDeadline(time.Time{})
	c.wire.nc = tc
	c.recordTLS(tc, keyed.key, cfg.ClientAuth != tls.NoClientCert)
	return true
}

// brokenTLS is why a session ends whose handshake failed.
const brokenTLS = "TLS handshake failed"

// apart runs f on a stack of its own, which is gone afterwards: a handshake needs a deep one, and the session's would
// keep that size to its end. A panic goes on in the caller.
func apart(f func() error) error {
	var err error
	var panicked any
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { panicked = recover() }()
		err = f()
	}()
	<-done
	if panicked != nil {
		panic(panicked)
	}
	return err
}

func (c *Conn) recordTLS(tc *tls.Conn, key string, asked bool) {
	cs := tc.ConnectionState()
	facts := smtp.Facts(&cs, key)
	if asked {
		facts.Client = &mail.ClientCertificate{}
		if chain := cs.PeerCertificates; len(chain) > 0 {
			leaf := chain[0]
			facts.Client = &mail.ClientCertificate{
				Presented: true,
				Verified:  c.srv.verifies(chain),
				Subject:   leaf.Subject.String(),
				Issuer:    leaf.Issuer.String(),
				SHA256:    fingerprint(leaf),
			}
		}
	}
	c.info.TLS, c.info.ClientChain = facts, cs.PeerCertificates
}

func (s *Server) verifies(chain []*x509.Certificate) bool {
	return s.cfg.VerifyClient != nil && s.cfg.VerifyClient(chain)
}

// reverify asks again whether the client's certificate deserves trust, now. Facts that were handed out stay as they
// were.
func (c *Conn) reverify() {
	if len(c.info.ClientChain) == 0 {
		return
	}
	verified := c.srv.verifies(c.info.ClientChain)
	if verified == c.info.TLS.Client.Verified {
		return
	}
	facts, client := *c.info.TLS, *c.info.TLS.Client
	client.Verified = verified
	facts.Client, c.info.TLS = &client, &facts
}

// LogOut forgets who logged in. It may be called from the Session's methods only; the method should answer 530 5.7.0.
func (c *Conn) LogOut() { c.info.User = "" }

// keyedConn carries what the choice of the certificate found out from the handshake's callback to its caller, and what
// the client offered, until the handshake is over.
type keyedConn struct {
	net.Conn
	key   string // key type of the certificate chosen
	shown []byte // that certificate, DER
	hello []byte // what the client sent first
	began bool   // the handshake is over
}

// maxHello is how much of what a client offers is remembered: most ClientHellos, with a key of a post-quantum group.
const maxHello = 2048

// Read remembers what comes first.
func (k *keyedConn) Read(b []byte) (int, error) {
	n, err := k.Conn.Read(b)
	if !k.began && len(k.hello) < maxHello {
		k.hello = append(k.hello, b[:min(n, maxHello-len(k.hello))]...)
	}
	return n, err
}

// explain adds to the TLS library's words what it does not say: it takes a host name with a final dot for bytes that
// cannot be read.
func (k *keyedConn) explain(err error) error {
	if name := tlsprobe.ServerName(k.hello); strings.HasSuffix(name, ".") {
		return fmt.Errorf("the client asks for the host name %.255q, "+
			"and the final dot may not be there (RFC 6066 §3): %w", name, err)
	}
	return err
}

// serverTLS makes the configuration of a server from the caller's: every handshake goes through GetCertificate, so
// that the certificate's key type is known, and no listener offers session tickets.
func serverTLS(cfg *Config) (*tls.Config, error) {
	if cfg.TLS == nil {
		if cfg.ImplicitTLS {
			return nil, errors.New("smtpserver: a listener that begins with TLS needs a TLS configuration")
		}
		return nil, nil
	}
	if cfg.TLS.GetConfigForClient != nil {
		return nil, errors.New("smtpserver: GetConfigForClient is not supported, use GetCertificate")
	}
	tc := cfg.TLS.Clone()
	choose, certificates := tc.GetCertificate, tc.Certificates
	if choose == nil && len(certificates) == 0 {
		return nil, errors.New("smtpserver: the TLS configuration has no certificate")
	}
	tc.Certificates = nil
	tc.GetCertificate = func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		cert, err := chooseCertificate(h, choose, certificates)
		if k, ok := h.Conn.(*keyedConn); ok && err == nil {
			k.key = keyType(cert)
			if len(cert.Certificate) > 0 {
				k.shown = cert.Certificate[0]
			}
		}
		return cert, err
	}
	tc.SessionTicketsDisabled = true
	return tc, nil
}

// chooseCertificate asks the callback, then looks for a certificate the client supports; the first one is for clients
// that name nobody or somebody unknown, who get no alert for that.
func chooseCertificate(h *tls.ClientHelloInfo, choose func(*tls.ClientHelloInfo) (*tls.Certificate, error),
	certificates []tls.Certificate) (*tls.Certificate, error) {
	if choose != nil {
		cert, err := choose(h)
		if cert != nil || err != nil {
			return cert, err
		}
	}
	for i := range certificates {
		if h.SupportsCertificate(&certificates[i]) == nil {
			return &certificates[i], nil
		}
	}
	if len(certificates) == 0 {
		return nil, errors.New("no certificate for this client")
	}
	return &certificates[0], nil
}
