package revoke

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"

	"postern/internal/platform/publicaddr"
)

// fetcher speaks HTTP to addresses that strangers chose. Every error it returns is ours: an *outage, or one of the
// errors below wrapped in words.
type fetcher struct {
	client *http.Client
	cfg    Config
}

// outage says in one sentence why something could not be fetched.
type outage struct {
	text string
	err  error // the cause, nil if there is none beside the text
}

func (o *outage) Error() string { return o.text }
func (o *outage) Unwrap() error { return o.err }

var (
	errScheme    = errors.New("leads to an address that is not plain HTTP")
	errRedirects = errors.New("leads from address to address without end")
)

// maxRedirects is how many redirects are followed.
const maxRedirects = 3

func newFetcher(cfg Config) *fetcher {
	f := &fetcher{cfg: cfg}
	if f.cfg.Lookup == nil {
		f.cfg.Lookup = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	if f.cfg.Dialer == nil {
		f.cfg.Dialer = &net.Dialer{}
	}
	f.client = &http.Client{
		Transport: &http.Transport{
			DialContext: f.dial, DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: 64 << 10,
			Proxy: nil, // whatever the environment says
		},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			switch {
			case r.URL.Scheme != "http" || r.URL.User != nil:
				return errScheme
			case len(via) > maxRedirects:
				return errRedirects
			}
			r.Header.Del("Referer")
			return nil
		},
	}
	return f
}

// list fetches the list at an address, at most max bytes of it, into a buffer.
func (f *fetcher) list(ctx context.Context, address string, max int64, in *buffer) error {
	response, err := f.ask(ctx, http.MethodGet, address, "", nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	large := tooLarge(max)
	err = in.readAll(ctx, response.Body, response.ContentLength, max, large)
	if err == nil || err == large || err == errRoom {
		return err
	}
	return failure(ctx, err)
}

// get fetches what stands at an address, at most max bytes of it.
func (f *fetcher) get(ctx context.Context, address string, max int64) ([]byte, error) {
	return f.do(ctx, http.MethodGet, address, "", nil, max)
}

// post sends body and returns the answer.
func (f *fetcher) post(ctx context.Context, address, kind string, body []byte, max int64) ([]byte, error) {
	return f.do(ctx, http.MethodPost, address, kind, body, max)
}

// errStatus is an answer other than 200.
var errStatus = errors.New("not 200")

func tooLarge(max int64) error {
	return &outage{text: fmt.Sprintf("it is larger than %d bytes", max)}
}

func (f *fetcher) do(ctx context.Context, method, address, kind string, body []byte, max int64) ([]byte, error) {
	response, err := f.ask(ctx, method, address, kind, body)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.ContentLength > max {
		return nil, tooLarge(max)
	}
	var content bytes.Buffer
	if _, err := content.ReadFrom(io.LimitReader(response.Body, max+1)); err != nil {
		return nil, failure(ctx, err)
	}
	if int64(content.Len()) > max {
		return nil, tooLarge(max)
	}
	return content.Bytes(), nil
}

// ask sends a request and returns an answer with status 200, whose body the caller closes.
func (f *fetcher) ask(ctx context.Context, method, address, kind string, body []byte) (*http.Response, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" || u.Host == "" || u.User != nil {
		return nil, &outage{text: "the address cannot be used"}
	}
	r, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, &outage{text: "the address cannot be used"}
	}
	r.Header.Set("User-Agent", "Postern")
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	response, err := f.client.Do(r)
	if err != nil {
		return nil, failure(ctx, err)
	}
	if response.StatusCode != http.StatusOK {
		response.Body.Close()
		return nil, &outage{fmt.Sprintf("the server answered with HTTP status %d", response.StatusCode), errStatus}
	}
	return response, nil
}

// failure says why a request failed in our own words.
func failure(ctx context.Context, err error) error {
	var refused *notAllowed
	var ne net.Error
	var dns *net.DNSError
	o := &outage{text: "the connection broke", err: err}
	switch {
	case errors.As(err, &refused):
		o.text = refused.Error()
	case errors.Is(err, errScheme):
		o.text = "it " + errScheme.Error()
	case errors.Is(err, errRedirects):
		o.text = "it " + errRedirects.Error()
	case ctx.Err() != nil, errors.Is(err, context.DeadlineExceeded), errors.As(err, &ne) && ne.Timeout():
		o.text = "the server did not answer in time"
	case errors.As(err, &dns):
		o.text = "the host's name cannot be resolved"
	case errors.Is(err, syscall.ECONNREFUSED):
		o.text = "no server listens there"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		o.text = "there is no way to the server"
	}
	return o
}

// notAllowed says that a host has no address we may dial.
type notAllowed struct{ addr netip.Addr }

func (e *notAllowed) Error() string {
	return fmt.Sprintf("its host has the private address %s, which is not in the networks allowed for look-ups", e.addr)
}

// maxDials is how many addresses of a host are tried, of each family, and dialTime how long each.
const (
	maxDials = 3
	dialTime = 5 * time.Second
)

// dial opens a connection to host:port. The host is resolved here and its addresses are judged here, so that no name
// can mean something else a moment later.
func (f *fetcher) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	addrs, err := f.resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	var last error = &net.DNSError{Err: "no address", Name: host, IsNotFound: true}
	for _, a := range addrs {
		if !publicaddr.May(a, f.cfg.Allow) {
			last = &notAllowed{a}
			continue
		}
		dialCtx, cancel := context.WithTimeout(ctx, dialTime)
		conn, err := f.cfg.Dialer.DialContext(dialCtx, network, net.JoinHostPort(a.String(), port))
		cancel()
		if err == nil {
			return conn, nil
		}
		last = err
	}
	return nil, last
}

func (f *fetcher) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.Unmap()}, nil
	}
	addrs, err := f.cfg.Lookup(ctx, host)
	if err != nil {
		var dns *net.DNSError
		if !errors.As(err, &dns) && ctx.Err() == nil {
			err = &net.DNSError{Err: "no answer", Name: host}
		}
		return nil, err
	}
	var v4, v6 []netip.Addr
	for _, a := range addrs {
		if a = a.Unmap(); a.Is4() {
			v4 = append(v4, a)
		} else {
			v6 = append(v6, a)
		}
	}
	// The addresses every CA has come first; a few of each family are enough.
	return append(v4[:min(len(v4), maxDials)], v6[:min(len(v6), maxDials)]...), nil
}
