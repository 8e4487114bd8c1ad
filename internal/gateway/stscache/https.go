package stscache

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"postern/internal/dns"
	"postern/internal/mail"
	"postern/internal/policy/sts"
	"postern/internal/smtp"
)

// Fetcher fetches what a domain's policy host serves. Every error is a *Failure. Safe for concurrent use.
type Fetcher interface {
	Fetch(ctx context.Context, domain mail.Domain) (sts.Policy, error)
}

// Dialer opens connections. *net.Dialer is one.
type Dialer interface {
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// HTTPSConfig is what HTTPS needs.
type HTTPSConfig struct {
	// Resolver finds the addresses of policy hosts; it must not be nil.
	Resolver interface {
		Addrs(ctx context.Context, name mail.Domain) dns.Addresses
	}
	// Roots returns the roots that count now, nil for those of the system; nil means nil.
	Roots func() *x509.CertPool
	// Allow names networks that policy hosts may be in though they are not public.
	Allow []netip.Prefix
	// Dialer opens connections to addresses that were judged; nil is a net.Dialer.
	Dialer Dialer
	// Port is where policy hosts listen; 0 means 443.
	Port uint16
	// Time bounds one fetch and DialTime the connection to one address with its handshake; 0 means a minute and ten seconds.
	Time, DialTime time.Duration
}

// HTTPS fetches policies as RFC 8461 §3.3 says: the certificate must prove the policy host to our roots, no redirect is
// followed, and only 200 counts. No proxy, cookie or cache has a part in it. Each fetch is a connection of its own. Safe for
// concurrent use.
type HTTPS struct{ cfg HTTPSConfig }

// NewHTTPS returns a Fetcher.
func NewHTTPS(cfg HTTPSConfig) *HTTPS {
	if cfg.Roots == nil {
		cfg.Roots = func() *x509.CertPool { return nil }
	}
	if cfg.Dialer == nil {
		cfg.Dialer = &net.Dialer{}
	}
	if cfg.Port == 0 {
		cfg.Port = 443
	}
	if cfg.Time == 0 {
		cfg.Time = time.Minute
	}
	if cfg.DialTime == 0 {
		cfg.DialTime = 10 * time.Second
	}
	return &HTTPS{cfg}
}

// maxHeader bounds the head of an answer in bytes.
const maxHeader = 32 << 10

// Host returns the policy host of a domain; the zero Domain where that would be no name any more.
func Host(domain mail.Domain) mail.Domain { return below("mta-sts", domain) }

// below returns the name of a label below a domain; the zero Domain where there can be none.
func below(label string, domain mail.Domain) mail.Domain {
	if _, literal := domain.Literal(); literal || domain.IsZero() {
		return mail.Domain{}
	}
	name, _ := mail.ParseDomain(label + "." + domain.String())
	return name
}

// Fetch fetches the policy of a domain. The error is a *Failure.
func (h *HTTPS) Fetch(ctx context.Context, domain mail.Domain) (sts.Policy, error) {
	host := Host(domain)
	if host.IsZero() {
		return sts.Policy{}, failed(HostUnknown, domain.String()+" can have no policy host", nil)
	}
	ctx, cancel := context.WithTimeout(ctx, h.cfg.Time)
	defer cancel()
	body, kind, failure := h.get(ctx, host)
	if failure != nil {
		return sts.Policy{}, failure
	}
	p, err := sts.ParsePolicy(body)
	if err != nil {
		return sts.Policy{}, failed(PolicyInvalid, err.Error(), err)
	}
	if kind != "" {
		p.Oddities = append(p.Oddities, kind)
	}
	return p, nil
}

// get returns the body of the answer, and in a sentence what is odd about its type.
func (h *HTTPS) get(ctx context.Context, host mail.Domain) (body []byte, kind string, failure *Failure) {
	var cut atomic.Bool
	transport := &http.Transport{
		DialTLSContext:    func(ctx context.Context, _, _ string) (net.Conn, error) { return h.connect(ctx, host, &cut) },
		DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: maxHeader,
		Proxy: nil, // whatever the environment says
	}
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+host.String()+"/.well-known/mta-sts.txt", nil)
	if err != nil {
		return nil, "", failed(HostUnknown, host.String()+" cannot be asked", err)
	}
	r.Header.Set("User-Agent", "Postern")
	response, err := transport.RoundTrip(r) // no Client: nothing follows redirects or keeps cookies
	if err != nil {
		return nil, "", broken(ctx, host, err)
	}
	defer response.Body.Close()
	if failure := acceptable(host, response); failure != nil {
		return nil, "", failure
	}
	body, err = io.ReadAll(io.LimitReader(response.Body, sts.MaxBody+1))
	switch {
	case err != nil:
		return nil, "", broken(ctx, host, err)
	case len(body) > sts.MaxBody:
		return nil, "", failed(BadAnswer, fmt.Sprintf("%s answers with more than %d bytes", host, sts.MaxBody), nil)
	case response.ContentLength < 0 && len(response.TransferEncoding) == 0 && cut.Load():
		return nil, "", broken(ctx, host, io.ErrUnexpectedEOF)
	}
	return body, oddType(response.Header.Get("Content-Type")), nil
}

// acceptable judges the head of an answer.
func acceptable(host mail.Domain, r *http.Response) *Failure {
	switch {
	case r.StatusCode >= 300 && r.StatusCode < 400:
		return failed(BadStatus, fmt.Sprintf("%s answers with a redirect (HTTP status %d), which must not be followed", host, r.StatusCode), nil)
	case r.StatusCode != http.StatusOK:
		return failed(BadStatus, fmt.Sprintf("%s answers with HTTP status %d, want 200", host, r.StatusCode), nil)
	}
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return failed(BadAnswer, host.String()+" answers in the encoding "+said(encoding)+", which was not asked for", nil)
	}
	return nil
}

// oddType says what is odd about the type of an answer. Servers that name none or a wrong one for .txt are many, and the
// policy itself cannot be mistaken for anything else, so that nothing follows from it.
func oddType(text string) string {
	kind, _, err := mime.ParseMediaType(text)
	if err == nil && kind == "text/plain" {
		return ""
	}
	return "the content type is " + said(text) + ", want text/plain"
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
	return failed(BadAnswer, host.String()+" gives an answer that breaks off, is larger than allowed or is no HTTP", err)
}

// said quotes what a stranger wrote.
func said(s string) string { return `"` + smtp.Printable(s, 60) + `"` }
