// Package webclient opens HTTPS connections to web servers whose names strangers chose: the policy hosts of MTA-STS
// (RFC 8461 §3.3) and the servers that take reports about TLS (RFC 8460 §5.4).
//
// Whoever names a host must not be able to have the gateway speak to one of its own network. So a name is resolved
// here, its addresses are judged, and what was judged is dialled: no name can mean something else a moment later. The
// certificate must prove the name to our roots, and TLS is 1.2 or later. No proxy, cookie or cache has a part in it,
// each exchange has a connection of its own, and nothing follows a redirect.
//
//	Exchange   one request and the head of its answer
//	Failure    why none came, of a closed list
package webclient

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"postern/internal/dns"
	"postern/internal/mail"
)

// Kind says why no answer came. The words are those of stscache.Kind.
type Kind string

// The kinds; the list is closed.
const (
	HostUnknown Kind = "host-unknown" // the host has no address, or nobody could say which
	HostPrivate Kind = "host-private" // it has addresses that we never speak to
	HostSilent  Kind = "host-silent"  // nothing answers there, or not in time
	HostRefused Kind = "host-refused" // the connection is refused or breaks
	TLSFailed   Kind = "tls-failed"   // no TLS came about, for a reason other than the certificate
	Certificate Kind = "certificate"  // the certificate does not prove the host
	BadAnswer   Kind = "bad-answer"   // an answer that is no HTTP, breaks off or is too large
)

// Failure is why no answer came. It is the error of every method here.
type Failure struct {
	Kind Kind
	Text string // one sentence for people, without a full stop; what strangers wrote is escaped and bounded
	Err  error  // the cause, for logs alone; nil where there is none
}

// Error is the sentence.
func (f *Failure) Error() string { return f.Text }

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Err }

func failed(kind Kind, text string, err error) *Failure { return &Failure{kind, text, err} }

// Dialer opens connections. *net.Dialer is one.
type Dialer interface {
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// Resolver finds the addresses of hosts; dns.Resolver is one.
type Resolver interface {
	Addrs(ctx context.Context, name mail.Domain) dns.Addresses
}

// Config is what a Client needs.
type Config struct {
	// Resolver must not be nil.
	Resolver Resolver
	// Roots returns the roots that count now, nil for those of the system; nil means nil.
	Roots func() *x509.CertPool
	// Allow names networks that hosts may be in though they are not public.
	Allow []netip.Prefix
	// Dialer opens connections to addresses that were judged; nil is a net.Dialer.
	Dialer Dialer
	// DialTime bounds the connection to one address with its handshake; 0 means ten seconds.
	DialTime time.Duration
}

// Client speaks HTTPS. Safe for concurrent use.
type Client struct{ cfg Config }

// New returns a Client.
func New(cfg Config) *Client {
	if cfg.Roots == nil {
		cfg.Roots = func() *x509.CertPool { return nil }
	}
	if cfg.Dialer == nil {
		cfg.Dialer = &net.Dialer{}
	}
	if cfg.DialTime == 0 {
		cfg.DialTime = 10 * time.Second
	}
	return &Client{cfg}
}

// maxHeader bounds the head of an answer in bytes.
const maxHeader = 32 << 10

// Answer is an answer whose head was read.
type Answer struct {
	*http.Response
	ctx       context.Context
	host      mail.Domain
	cut       *atomic.Bool
	transport *http.Transport
}

// Exchange sends a request to a port of a host and reads the head of its answer, which the caller closes. The request's
// URL names the host; its context bounds all of it, the body too. The error is a *Failure.
func (c *Client) Exchange(r *http.Request, host mail.Domain, port uint16) (*Answer, error) {
	cut := &atomic.Bool{}
	transport := &http.Transport{
		DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn,
			error) {
			return c.connect(ctx, host, port, cut)
		},
		DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: maxHeader,
		Proxy: nil, // whatever the environment says
	}
	r.Header.Set("User-Agent", "Postern")
	response, err := transport.RoundTrip(r) // no http.Client: nothing follows redirects or keeps cookies
	if err != nil {
		transport.CloseIdleConnections()
		return nil, broken(r.Context(), host, err)
	}
	return &Answer{response, r.Context(), host, cut, transport}, nil
}

// Read returns the body, of which there may be so many bytes; one more says that there were too many. The error is a
// *Failure.
func (a *Answer) Read(most int) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(a.Body, int64(most)+1))
	switch {
	case err != nil:
		return nil, broken(a.ctx, a.host, err)
	case len(body) <= most && a.ContentLength < 0 && len(a.TransferEncoding) == 0 && a.cut.Load():
		return nil, broken(a.ctx, a.host, io.ErrUnexpectedEOF)
	}
	return body, nil
}

// Close ends the exchange and its connection.
func (a *Answer) Close() {
	_ = a.Body.Close() // nothing is left to be told
	a.transport.CloseIdleConnections()
}

// broken says why an answer did not come, or not whole.
func broken(ctx context.Context, host mail.Domain, err error) *Failure {
	var ours *Failure
	var netErr net.Error
	switch {
	case errors.As(err, &ours):
		return ours
	case ctx.Err() != nil, errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &netErr) && netErr.Timeout():
		return failed(HostSilent, host.String()+" did not answer in time", err)
	}
	return failed(BadAnswer, host.String()+" gives an answer that breaks off, is larger than allowed or is no HTTP",
		err)
}
