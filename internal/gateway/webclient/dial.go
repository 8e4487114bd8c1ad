package webclient

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"postern/internal/dns"
	"postern/internal/mail"
	"postern/internal/platform/publicaddr"
	"postern/internal/smtp"
)

// maxDials is how many addresses of each family are tried.
const maxDials = 3

// connect opens a TLS connection to a host whose certificate proved it. Cut is set when the connection ended without
// the server's word.
func (c *Client) connect(ctx context.Context, host mail.Domain, port uint16, cut *atomic.Bool) (net.Conn, error) {
	addrs, failure := c.addresses(ctx, host)
	if failure != nil {
		return nil, failure
	}
	for _, a := range addrs {
		var conn net.Conn
		if conn, failure = c.try(ctx, host, netip.AddrPortFrom(a, port), cut); failure == nil {
			return conn, nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, failure
}

// try connects to one address.
func (c *Client) try(ctx context.Context, host mail.Domain, a netip.AddrPort, cut *atomic.Bool) (net.Conn, *Failure) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.DialTime)
	defer cancel()
	conn, failure := c.dial(ctx, host, a)
	if failure != nil {
		return nil, failure
	}
	cut.Store(false)
	return c.handshake(ctx, host, &watched{conn, cut})
}

// watched notes that a connection ended below TLS. crypto/tls takes that for an end as good as the one that the server
// signs, and so whoever is on the way could cut an answer short whose length nothing says.
type watched struct {
	net.Conn
	cut *atomic.Bool
}

// Read reads and notes the end.
func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if err != nil {
		w.cut.Store(true)
	}
	return n, err
}

// addresses returns the addresses of a host that may be dialled, both families taking turns.
func (c *Client) addresses(ctx context.Context, host mail.Domain) ([]netip.Addr, *Failure) {
	answer := c.cfg.Resolver.Addrs(ctx, host)
	if err := answer.Err(); err != nil {
		return nil, failed(HostUnknown, "the addresses of "+host.String()+" cannot be looked up: "+
			dns.KindOf(err).String(), err)
	}
	var refused netip.Addr
	may := func(f dns.Family) (out []netip.Addr) {
		for _, a := range f.Addrs {
			a = a.Unmap()
			if !publicaddr.May(a, c.cfg.Allow) {
				refused = a
			} else if len(out) < maxDials {
				out = append(out, a)
			}
		}
		return out
	}
	v6, v4 := may(answer.V6), may(answer.V4)
	var out []netip.Addr
	for i := range maxDials {
		out = append(append(out, v6[min(i, len(v6)):min(i+1, len(v6))]...), v4[min(i, len(v4)):min(i+1, len(v4))]...)
	}
	switch {
	case len(out) > 0:
		return out, nil
	case refused.IsValid():
		return nil, failed(HostPrivate, fmt.Sprintf("%s has the address %s, which is not public and in no network "+
			"that is allowed", host, refused), nil)
	}
	return nil, failed(HostUnknown, host.String()+" has no address", nil)
}

func (c *Client) dial(ctx context.Context, host mail.Domain, a netip.AddrPort) (net.Conn, *Failure) {
	conn, err := c.cfg.Dialer.DialContext(ctx, "tcp", a.String())
	var netErr net.Error
	switch {
	case err == nil:
		return conn, nil
	case ctx.Err() != nil, errors.As(err, &netErr) && netErr.Timeout():
		return nil, failed(HostSilent, fmt.Sprintf("%s (%s) did not answer in time", host, a.Addr()), err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil, failed(HostRefused, fmt.Sprintf("no server listens at %s (%s)", host, a.Addr()), err)
	}
	return nil, failed(HostRefused, fmt.Sprintf("there is no way to %s (%s)", host, a.Addr()), err)
}

// handshake makes conn a TLS connection, or closes it.
func (c *Client) handshake(ctx context.Context, host mail.Domain, conn net.Conn) (net.Conn, *Failure) {
	secure := tls.Client(conn, &tls.Config{ServerName: host.String(), RootCAs: c.cfg.Roots(),
		MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}})
	err := secure.HandshakeContext(ctx)
	if err == nil {
		return secure, nil
	}
	conn.Close()
	var unproven *tls.CertificateVerificationError
	var alert *net.OpError
	var netErr net.Error
	switch {
	case errors.As(err, &unproven):
		return nil, failed(Certificate, "the certificate of "+host.String()+" "+blemish(unproven, time.Now()), err)
	case ctx.Err() != nil, errors.As(err, &netErr) && netErr.Timeout():
		return nil, failed(HostSilent, host.String()+" did not finish the TLS handshake in time", err)
	case errors.As(err, &alert) && alert.Op == "remote error":
		return nil, failed(TLSFailed, host.String()+" refuses the TLS handshake with an alert", err)
	}
	return nil, failed(TLSFailed, host.String()+" does not complete a TLS handshake of version 1.2 or later", err)
}

// blemish says what is wrong with a certificate.
func blemish(e *tls.CertificateVerificationError, now time.Time) string {
	var wrongName x509.HostnameError
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(e.Err, &wrongName):
		var names []string
		if len(e.UnverifiedCertificates) > 0 {
			names = e.UnverifiedCertificates[0].DNSNames
		}
		return "is for other names: " + smtp.Printable(strings.Join(names[:min(len(names), 5)], ", "), 120)
	case errors.As(e.Err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil:
		if now.Before(invalid.Cert.NotBefore) {
			return "is not valid before " + invalid.Cert.NotBefore.UTC().Format(time.RFC3339)
		}
		return "expired at " + invalid.Cert.NotAfter.UTC().Format(time.RFC3339)
	case errors.As(e.Err, &unknown):
		return "leads to no root that is trusted"
	}
	return "does not verify"
}
