package smtpclient

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
	"time"

	"postern/internal/policy"
	"postern/internal/smtp"
)

// StartTLS says STARTTLS, reads exactly one reply and does the handshake within its own time limit. It collects facts
// only: the caller sets InsecureSkipVerify in tc and examines the returned state before anything of a message is sent.
//
// Octets that came in after the 220 are fed to the handshake, which they break: nothing said in the clear is ever taken
// for something said inside TLS. What EHLO told before is forgotten (RFC 3207 §4.2); say Hello again.
//
// After Refused and Unsupported the connection goes on in the clear; after a failed handshake it is dead, and only
// Close is left. tc is cloned.
func (c *Conn) StartTLS(ctx context.Context, tc *tls.Config) (*tls.ConnectionState, error) {
	defer c.watch(ctx)()
	if !c.ext.StartTLS || c.tls != nil {
		e := &Error{Phase: PhaseStartTLS, Kind: Unsupported, Reason: policy.StartTLSNotOffered}
		if c.ext.Masked {
			e.Reason = policy.StartTLSStripped
		}
		return nil, e
	}
	reply, err := c.command(ctx, PhaseStartTLS, c.cfg.Timeouts.StartTLS, "STARTTLS")
	if err != nil {
		return nil, err
	}
	if reply.Code != 220 {
		return nil, c.refused(PhaseStartTLS, reply)
	}
	return c.handshake(ctx, tc)
}

func (c *Conn) handshake(ctx context.Context, tc *tls.Config) (*tls.ConnectionState, error) {
	t := &tap{Conn: c.tcp, before: append([]byte(nil), c.in[c.r:c.w]...), recording: true}
	c.r, c.w, c.ext = 0, 0, Extensions{}
	conn := tls.Client(t, c.clientConfig(tc))
	err := c.limit(ctx, c.cfg.Timeouts.Handshake)
	if err == nil {
		err = conn.HandshakeContext(ctx)
	}
	t.recording = false
	if err != nil {
		c.dead = true
		return nil, c.handshakeError(ctx, t, err)
	}
	state := conn.ConnectionState()
	c.nc, c.tls, c.unproven = conn, &state, true
	return c.tls, nil
}

// clientConfig clones tc and notes whether a client certificate is shown. Records are made full size from the first on:
// mail is not browsing, and fewer writes are worth more than an early first octet.
func (c *Conn) clientConfig(tc *tls.Config) *tls.Config {
	tc = tc.Clone()
	tc.DynamicRecordSizingDisabled = true
	if tc.GetClientCertificate == nil && len(tc.Certificates) == 0 {
		return tc
	}
	choose, own := tc.GetClientCertificate, tc.Certificates
	tc.GetClientCertificate = func(asked *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		var cert *tls.Certificate
		var err error
		if choose != nil {
			cert, err = choose(asked)
		} else {
			cert = firstSupported(own, asked)
		}
		c.presented = err == nil && cert != nil && len(cert.Certificate) > 0
		return cert, err
	}
	return tc
}

// firstSupported is the choice crypto/tls itself makes among Config.Certificates.
func firstSupported(own []tls.Certificate, asked *tls.CertificateRequestInfo) *tls.Certificate {
	for i := range own {
		if asked.SupportsCertificate(&own[i]) == nil {
			return &own[i]
		}
	}
	return new(tls.Certificate)
}

// tap stands between crypto/tls and the network. It hands over what was read too early, and remembers during the
// handshake what is needed to say why it failed: how the peer's octets began, and the last alert we sent in the clear.
type tap struct {
	net.Conn
	before    []byte
	recording bool
	seen      [400]byte
	n         int  // octets in seen
	alert     byte // description of our alert
	alerted   bool
}

// Read returns what came before the handshake, then what the network has.
func (t *tap) Read(p []byte) (int, error) {
	n, err := 0, error(nil)
	if len(t.before) > 0 {
		n = copy(p, t.before)
		t.before = t.before[n:]
	} else {
		n, err = t.Conn.Read(p)
	}
	if t.recording {
		t.n += copy(t.seen[t.n:], p[:n])
	}
	return n, err
}

// Write passes on, looking for an alert record among the records of p (RFC 8446 §5.1: type, version, length, body).
func (t *tap) Write(p []byte) (int, error) {
	for rest := p; t.recording && len(rest) >= 5; {
		length := 5 + int(rest[3])<<8 + int(rest[4])
		if rest[0] == recordAlert && length == 7 && len(rest) >= 7 {
			t.alert, t.alerted = rest[6], true
		}
		rest = rest[min(length, len(rest)):]
	}
	return t.Conn.Write(p)
}

// Types of records and messages (RFC 8446 §5.1, §4).
const (
	recordAlert        = 21
	recordHandshake    = 22
	messageServerHello = 2
)

// chosen reports whether the peer's answer began with a ServerHello (RFC 8446 §5.1, §4: type 22, then message 2).
func (t *tap) chosen() bool {
	return t.n > 5 && t.seen[0] == recordHandshake && t.seen[5] == messageServerHello
}

// text returns the peer's words if it answered the handshake with text instead of TLS, else "". It waits shortly for
// the rest of the line, so that the log has the sentence and not its first letters.
func (t *tap) text() string {
	if t.n == 0 || !looksLikeText(t.seen[:t.n]) {
		return ""
	}
	if _ = t.Conn.SetReadDeadline(time.Now().Add(time.Second)); t.seen[t.n-1] != '\n' && t.n < len(t.seen) {
		n, _ := t.Conn.Read(t.seen[t.n:])
		t.n += n
	}
	return smtp.Printable(strings.TrimRight(string(t.seen[:t.n]), "\r\n"), 300)
}

func looksLikeText(b []byte) bool {
	for _, c := range b[:min(len(b), 5)] {
		if (c < ' ' || c > '~') && c != '\r' && c != '\n' && c != '\t' {
			return false
		}
	}
	return true
}
