package revoke_test

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ocsp"

	"postern/internal/lab/pki"
	"postern/internal/lab/testkit/memnet"
	"postern/internal/policy"
	"postern/internal/policy/revoke"
)

const (
	subList  = "http://ca.test/sub.crl"  // of the intermediate, for leaves
	rootList = "http://ca.test/root.crl" // of the root, for the intermediate
	ocspHost = "http://ocsp.test"
)

var caAddr = netip.MustParseAddr("203.0.113.5")

// world is a CA with its web server on a network in memory, inside a synctest bubble.
type world struct {
	t      *testing.T
	ca     *pki.CA
	net    *memnet.Network
	server *http.Server
	dir    string // of lists; "" keeps none
	config func(*revoke.Config)

	mu     sync.Mutex
	pages  map[string]http.HandlerFunc // by "host/path"
	visits map[string]int
}

// bubble runs a test in a world of its own. The web server serves a good root list.
func bubble(t *testing.T, test func(t *testing.T, w *world)) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, net: memnet.New(), pages: map[string]http.HandlerFunc{}, visits: map[string]int{}, dir: dir}
		w.ca = pki.NewRoot(time.Now(), pki.Root{Name: "Test CA", CRLs: []string{rootList}})
		l, err := w.net.Listen(netip.AddrPortFrom(caAddr, 80).String())
		if err != nil {
			t.Fatal(err)
		}
		w.server = &http.Server{Handler: w}
		served := make(chan struct{})
		go func() { _ = w.server.Serve(l); close(served) }()
		defer func() { _ = w.server.Close(); <-served }()
		w.serve(rootList, w.ca.CRL(pki.CRL{Signer: pki.ByRoot}))
		test(t, w)
	})
}

func (w *world) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	w.mu.Lock()
	w.visits[r.Host+r.URL.Path]++
	if strings.HasPrefix(r.Host, "ocsp") {
		w.visits[r.Host]++
	}
	page := w.pages[r.Host+r.URL.Path]
	if page == nil {
		page = w.pages[r.Host]
	}
	w.mu.Unlock()
	if page == nil {
		http.NotFound(out, r)
		return
	}
	page(out, r)
}

func place(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		panic(err)
	}
	return u.Host + u.Path
}

func (w *world) page(address string, h http.HandlerFunc) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pages[place(address)] = h
}

func (w *world) serve(address string, content []byte) {
	w.page(address, func(out http.ResponseWriter, _ *http.Request) { _, _ = out.Write(content) })
}

func (w *world) count(address string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.visits[place(address)]
}

func (w *world) total() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, v := range w.visits {
		n += v
	}
	return n
}

// responder answers OCSP requests, by GET and POST, as o says.
func (w *world) responder(o pki.Answer) {
	w.page(ocspHost, func(out http.ResponseWriter, r *http.Request) {
		request, err := ocspRequest(r)
		if err != nil {
			http.Error(out, err.Error(), http.StatusBadRequest)
			return
		}
		if request.SerialNumber.Cmp(o.Cert.SerialNumber) != 0 {
			_, _ = out.Write(ocsp.UnauthorizedErrorResponse)
			return
		}
		_, _ = out.Write(w.ca.Answer(o))
	})
}

func ocspRequest(r *http.Request) (*ocsp.Request, error) {
	var der []byte
	var err error
	if r.Method == http.MethodPost {
		der, err = io.ReadAll(r.Body)
	} else {
		der, err = base64.StdEncoding.DecodeString(strings.TrimPrefix(r.URL.Path, "/"))
	}
	if err != nil {
		return nil, fmt.Errorf("no request: %w", err)
	}
	return ocsp.ParseRequest(der)
}

func (w *world) checker() *revoke.Checker {
	cfg := revoke.Config{
		Dir: w.dir, Dialer: w.net.Dialer("198.51.100.1"),
		Lookup: func(_ context.Context, host string) ([]netip.Addr, error) {
			if host == "gone.test" {
				return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
			}
			return []netip.Addr{caAddr}, nil
		},
	}
	if w.config != nil {
		w.config(&cfg)
	}
	c, err := revoke.New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// chain is a server's certificate with everything above it.
func (w *world) chain(o pki.Options) []*x509.Certificate {
	if o.Names == nil {
		o.Names = []string{"mx.test"}
	}
	o.SendRoot = true
	return w.ca.Issue(o).Chain
}

func (w *world) listed() []*x509.Certificate { return w.chain(pki.Options{CRLs: []string{subList}}) }

// ask asks with a checker of its own, as with the delivery's time limit.
func (w *world) ask(chain []*x509.Certificate, staple []byte) policy.RevocationAnswer {
	c := w.checker()
	defer c.Close()
	return ask(c, chain, staple)
}

func ask(c *revoke.Checker, chain []*x509.Certificate, staple []byte) policy.RevocationAnswer {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return c.Check(ctx, [][]*x509.Certificate{chain}, staple)
}

// verdicts is what the three settings make of an answer: off, check, require.
func verdicts(a policy.RevocationAnswer) string {
	proven := policy.Evidence{TLSVersion: 0x0304, MXProven: true, Peers: map[string]policy.Proof{policy.PublicDemand().Key(): {}}}
	var out []string
	for _, setting := range []policy.Revocation{policy.RevocationOff, policy.RevocationCheck, policy.RevocationRequire} {
		e := proven
		e.TLS = &mailTLS
		e.SetRevocation(a, time.Now())
		short := policy.Verdict(policy.Requirement{Channel: policy.Authenticated, Revocation: setting}, e)
		if len(short) == 0 {
			out = append(out, "pass")
		} else {
			out = append(out, string(short[0].Reason))
		}
	}
	return strings.Join(out, " ")
}
