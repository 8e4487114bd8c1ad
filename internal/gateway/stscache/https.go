package stscache

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/netip"
	"time"

	"postern/internal/gateway/webclient"
	"postern/internal/mail"
	"postern/internal/policy/sts"
	"postern/internal/smtp"
)

// Fetcher fetches what a domain's policy host serves. Every error is a *Failure. Safe for concurrent use.
type Fetcher interface {
	Fetch(ctx context.Context, domain mail.Domain) (sts.Policy, error)
}

// Dialer opens connections. *net.Dialer is one.
type Dialer = webclient.Dialer

// HTTPSConfig is what HTTPS needs.
type HTTPSConfig struct {
	// Resolver finds the addresses of policy hosts; it must not be nil.
	Resolver webclient.Resolver
	// Roots returns the roots that count now, nil for those of the system; nil means nil.
	Roots func() *x509.CertPool
	// Allow names networks that policy hosts may be in though they are not public.
	Allow []netip.Prefix
	// Dialer opens connections to addresses that were judged; nil is a net.Dialer.
	Dialer Dialer
	// Port is where policy hosts listen; 0 means 443.
	Port uint16
	// Time bounds one fetch and DialTime the connection to one address with its handshake; 0 means a minute and ten
	// seconds.
	Time, DialTime time.Duration
}

// HTTPS fetches policies as RFC 8461 §3.3 says: the certificate must prove the policy host to our roots, no redirect is
// followed, and only 200 counts. No proxy, cookie or cache has a part in it. Each fetch is a connection of its own.
// Safe for concurrent use.
type HTTPS struct {
	client *webclient.Client
	port   uint16
	time   time.Duration
}

// NewHTTPS returns a Fetcher.
func NewHTTPS(cfg HTTPSConfig) *HTTPS {
	return &HTTPS{port: cmp.Or(cfg.Port, 443), time: cmp.Or(cfg.Time, time.Minute),
		client: webclient.New(webclient.Config{Resolver: cfg.Resolver, Roots: cfg.Roots, Allow: cfg.Allow,
			Dialer: cfg.Dialer, DialTime: cfg.DialTime})}
}

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
	ctx, cancel := context.WithTimeout(ctx, h.time)
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
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+host.String()+"/.well-known/mta-sts.txt", nil)
	if err != nil {
		return nil, "", failed(HostUnknown, host.String()+" cannot be asked", err)
	}
	answer, err := h.client.Exchange(r, host, h.port)
	if err != nil {
		return nil, "", noted(err)
	}
	defer answer.Close()
	if failure := acceptable(host, answer.Response); failure != nil {
		return nil, "", failure
	}
	body, err = answer.Read(sts.MaxBody)
	switch {
	case err != nil:
		return nil, "", noted(err)
	case len(body) > sts.MaxBody:
		return nil, "", failed(BadAnswer, fmt.Sprintf("%s answers with more than %d bytes", host, sts.MaxBody), nil)
	}
	return body, oddType(answer.Header.Get("Content-Type")), nil
}

// noted is why no answer came.
func noted(err error) *Failure {
	var why *webclient.Failure
	if !errors.As(err, &why) {
		return failed(BadAnswer, "no answer came", err)
	}
	return failed(Kind(why.Kind), why.Text, why.Err)
}

// acceptable judges the head of an answer.
func acceptable(host mail.Domain, r *http.Response) *Failure {
	switch {
	case r.StatusCode >= 300 && r.StatusCode < 400:
		return failed(BadStatus, fmt.Sprintf("%s answers with a redirect (HTTP status %d), which must not be followed",
			host, r.StatusCode), nil)
	case r.StatusCode != http.StatusOK:
		return failed(BadStatus, fmt.Sprintf("%s answers with HTTP status %d, want 200", host, r.StatusCode), nil)
	}
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return failed(BadAnswer, host.String()+" answers in the encoding "+said(encoding)+", which was not asked for",
			nil)
	}
	return nil
}

// oddType says what is odd about the type of an answer. Servers that name none or a wrong one for .txt are many, and
// the policy itself cannot be mistaken for anything else, so that nothing follows from it.
func oddType(text string) string {
	kind, _, err := mime.ParseMediaType(text)
	if err == nil && kind == "text/plain" {
		return ""
	}
	return "the content type is " + said(text) + ", want text/plain"
}

// said quotes what a stranger wrote.
func said(s string) string { return `"` + smtp.Printable(s, 60) + `"` }
