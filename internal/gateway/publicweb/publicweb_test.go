package publicweb

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/event"
	"postern/internal/gateway/stscache"
	"postern/internal/lab/pki"
	"postern/internal/lab/testkit/memnet"
	"postern/internal/lab/testkit/zone"
	"postern/internal/mail"
	"postern/internal/policy/sts"
)

const policyText = "version: STSv1\r\nmode: testing\r\nmx: gw.home.test\r\nmax_age: 604800\r\n"

// heard keeps events.
type heard struct {
	mu   sync.Mutex
	list []event.WebRequested
}

func (h *heard) Emit(e event.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.list = append(h.list, e.(event.WebRequested))
}

func policies(d mail.Domain) string {
	if d == mail.MustDomain("home.test") || d == mail.MustDomain("xn--mnchen-3ya.test") {
		return policyText
	}
	return ""
}

// served is a Server and what it shows; close it with Shutdown.
func served(now time.Time) (*Server, *pki.CA, *heard) {
	ca, h := pki.New(now, "CA"), &heard{}
	cert := ca.Issue(pki.Options{Names: []string{"mta-sts.home.test", "gw.home.test"}}).TLS
	return New(Config{Listener: "web", Sink: h, Policy: policies, Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &cert, nil }}), ca, h
}

func TestNothingIsThereButThePolicies(t *testing.T) {
	s, _, h := served(time.Now())
	for _, c := range []struct {
		method, host, path string
		code               int
	}{
		{"GET", "mta-sts.home.test", policyPath, 200},
		{"HEAD", "mta-sts.home.test", policyPath, 200},
		{"GET", "mta-sts.home.test:443", policyPath, 200},
		{"GET", "MTA-STS.Home.Test", policyPath, 200},
		{"GET", "mta-sts.home.test.", policyPath, 200},
		{"GET", "mta-sts.home.test", policyPath + "?x=1", 200},
		{"GET", "mta-sts.home.test", "/.well-known/%6dta-sts.txt", 200},
		{"GET", "mta-sts.xn--mnchen-3ya.test", policyPath, 200},
		{"POST", "mta-sts.home.test", policyPath, 404},
		{"PUT", "mta-sts.home.test", policyPath, 404},
		{"OPTIONS", "mta-sts.home.test", policyPath, 404},
		{"TRACE", "mta-sts.home.test", policyPath, 404},
		{"get", "mta-sts.home.test", policyPath, 404},
		{"GET", "mta-sts.home.test", "/", 404},
		{"GET", "mta-sts.home.test", policyPath + "/", 404},
		{"GET", "mta-sts.home.test", "/" + policyPath, 404},
		{"GET", "mta-sts.home.test", "/x/.." + policyPath, 404},
		{"GET", "mta-sts.home.test", "/.well-known/mta-sts.TXT", 404},
		{"GET", "mta-sts.home.test", "/.well-known/acme-challenge/x", 404},
		{"GET", "mta-sts.home.test", "/metrics", 404},
		{"GET", "mta-sts.home.test", "/api/v1/queue", 404},
		{"GET", "home.test", policyPath, 404},
		{"GET", "gw.home.test", policyPath, 404},
		{"GET", "mta-sts.other.test", policyPath, 404},
		{"GET", "mta-sts.sub.home.test", policyPath, 404},
		{"GET", "mta-sts.mta-sts.home.test", policyPath, 404},
		{"GET", "xmta-sts.home.test", policyPath, 404},
		{"GET", "mta-sts.", policyPath, 404},
		{"GET", "", policyPath, 404},
		{"GET", "127.0.0.1", policyPath, 404},
		{"GET", "[::1]:443", policyPath, 404},
		{"GET", "mta-sts.home.test:443:443", policyPath, 404},
		{"GET", "mta-sts.home.test:x", policyPath, 404},
		{"GET", "mta-sts.home.test\x00", policyPath, 404},
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(strings.ToUpper(c.method), "https://x"+c.path, nil)
		r.Method, r.Host = c.method, c.host
		s.answer(w, r)
		want := ""
		if c.code == 200 {
			want = policyText
		}
		if w.Code != c.code || w.Body.String() != want {
			t.Errorf("%s %q %s: %d %q, want %d", c.method, c.host, c.path, w.Code, w.Body, c.code)
		}
		if e := h.list[len(h.list)-1]; e.Code != c.code || (e.Page == event.WebPolicy) != (c.code == 200) || e.Listener != "web" {
			t.Errorf("%s %q %s: told as %+v", c.method, c.host, c.path, e)
		}
	}
}

// real serves at the loopback and returns the address.
func real(t *testing.T, s *Server) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// ask fetches the policy as a program of somebody else does.
func ask(address string, roots *x509.CertPool, change func(*tls.Config), h2 bool) (*http.Response, string, error) {
	cfg := &tls.Config{RootCAs: roots}
	if change != nil {
		change(cfg)
	}
	tr := &http.Transport{TLSClientConfig: cfg, ForceAttemptHTTP2: h2, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", address)
	}}
	defer tr.CloseIdleConnections()
	r, err := (&http.Client{Transport: tr, Timeout: 10 * time.Second}).Get("https://mta-sts.home.test" + policyPath)
	if err != nil {
		return nil, "", err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	return r, string(text), err
}

func TestOthersFetchThePolicy(t *testing.T) {
	s, ca, h := served(time.Now())
	address := real(t, s)
	for proto, h2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2.0": true} {
		r, text, err := ask(address, ca.Pool(), nil, h2)
		if err != nil || r.StatusCode != 200 || text != policyText || r.Proto != proto {
			t.Fatalf("%s: %v %+v %q", proto, err, r, text)
		}
		var headers []string
		for name := range r.Header {
			headers = append(headers, name)
		}
		slices.Sort(headers)
		if !slices.Equal(headers, []string{"Content-Length", "Content-Type", "Date"}) || r.Header.Get("Content-Type") != "text/plain" {
			t.Errorf("%s: headers %v", proto, r.Header)
		}
	}
	if _, _, err := ask(address, ca.Pool(), func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }, false); err == nil {
		t.Error("TLS 1.1 is taken")
	}
	if h.list[0].Client != netip.MustParseAddr("127.0.0.1") {
		t.Errorf("the client is %v", h.list[0].Client)
	}
}

// What our own fetcher makes of what our own server serves.
func TestOurOwnFetcherTakesThePolicy(t *testing.T) {
	s, ca, _ := served(time.Now())
	at := netip.MustParseAddrPort(real(t, s))
	fetcher := stscache.NewHTTPS(stscache.HTTPSConfig{Resolver: zone.New(t, "mta-sts.home.test A 127.0.0.1\nmta-sts.other.test A 127.0.0.1\n"), Roots: ca.Pool,
		Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Port: at.Port()})
	p, err := fetcher.Fetch(context.Background(), mail.MustDomain("home.test"))
	want, _ := sts.New(sts.Testing, []string{"gw.home.test"}, 168*time.Hour)
	if err != nil || p.Text() != want.Text() || len(p.Oddities) > 0 {
		t.Errorf("%v: %q, oddities %q", err, p.Text(), p.Oddities)
	}
	if _, err := fetcher.Fetch(context.Background(), mail.MustDomain("other.test")); err == nil {
		t.Error("a domain that is not ours has a policy")
	}
}

// inMemory runs a test with a Server in a bubble: clients come from a network in memory, and time is the test's.
func inMemory(t *testing.T, test func(t *testing.T, s *Server, ca *pki.CA, dial func(from string) net.Conn)) {
	synctest.Test(t, func(t *testing.T) {
		s, ca, _ := served(time.Now())
		n := memnet.New()
		l, err := n.Listen("192.0.2.1:443")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- s.Serve(l) }()
		test(t, s, ca, func(from string) net.Conn {
			t.Helper()
			nc, err := n.Dialer(from).DialContext(t.Context(), "tcp", "192.0.2.1:443")
			if err != nil {
				t.Fatal(err)
			}
			return nc
		})
		before := time.Now()
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil || time.Since(before) > shutdownTime {
			t.Errorf("stopping took %v: %v", time.Since(before), err)
		}
	})
}

// ends returns after how long the other side closed a connection.
func ends(nc net.Conn) time.Duration {
	began := time.Now()
	_, _ = io.Copy(io.Discard, nc)
	return time.Since(began)
}

func handshake(t *testing.T, nc net.Conn, ca *pki.CA, protocols ...string) *tls.Conn {
	t.Helper()
	c := tls.Client(nc, &tls.Config{RootCAs: ca.Pool(), ServerName: "mta-sts.home.test", NextProtos: protocols})
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSlowClientsAreCutOff(t *testing.T) {
	drip := func(w io.Writer, text string, pause time.Duration) {
		for i := range text {
			if _, err := io.WriteString(w, text[i:i+1]); err != nil {
				return
			}
			time.Sleep(pause)
		}
	}
	for name, c := range map[string]struct {
		act   func(t *testing.T, nc net.Conn, ca *pki.CA, run func(func())) net.Conn
		least time.Duration
		most  time.Duration
	}{
		"nothing is said": {func(t *testing.T, nc net.Conn, ca *pki.CA, run func(func())) net.Conn { return nc }, 0, requestTime},
		"half a handshake": {func(t *testing.T, nc net.Conn, ca *pki.CA, run func(func())) net.Conn {
			_, _ = nc.Write([]byte{22, 3, 1, 2, 0, 1})
			return nc
		}, 0, requestTime},
		"nothing after the handshake": {func(t *testing.T, nc net.Conn, ca *pki.CA, run func(func())) net.Conn {
			return handshake(t, nc, ca, "http/1.1")
		}, 0, requestTime},
		"a header octet by octet": {func(t *testing.T, nc net.Conn, ca *pki.CA, run func(func())) net.Conn {
			c := handshake(t, nc, ca, "http/1.1")
			run(func() { drip(c, "GET / HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("x", 1000), time.Second) })
			return c
		}, 0, requestTime},
		"a body octet by octet": {func(t *testing.T, nc net.Conn, ca *pki.CA, run func(func())) net.Conn {
			c := handshake(t, nc, ca, "http/1.1")
			run(func() {
				drip(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"+strings.Repeat("x", 1000), 100*time.Millisecond)
			})
			return c
		}, 0, 2 * requestTime},
		"HTTP/2 without a request": {func(t *testing.T, nc net.Conn, ca *pki.CA, run func(func())) net.Conn {
			return handshake(t, nc, ca, "h2")
		}, 0, idleTime},
		"HTTP/2 and pings for ever": {func(t *testing.T, nc net.Conn, ca *pki.CA, run func(func())) net.Conn {
			c := handshake(t, nc, ca, "h2")
			run(func() {
				_, _ = io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
				for {
					if _, err := c.Write([]byte("\x00\x00\x08\x06\x00\x00\x00\x00\x00pingping")); err != nil {
						return
					}
					time.Sleep(time.Second)
				}
			})
			return c
		}, 0, lifetime},
		"request after request": {func(t *testing.T, nc net.Conn, ca *pki.CA, run func(func())) net.Conn {
			c := handshake(t, nc, ca, "http/1.1")
			run(func() {
				for {
					if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
						return
					}
					time.Sleep(5 * time.Second)
				}
			})
			return c
		}, lifetime / 2, lifetime},
	} {
		t.Run(name, func(t *testing.T) {
			inMemory(t, func(t *testing.T, s *Server, ca *pki.CA, dial func(string) net.Conn) {
				var helpers sync.WaitGroup
				if took := ends(c.act(t, dial("198.51.100.7"), ca, helpers.Go)); took > c.most || took < c.least {
					t.Errorf("it may stay for %v, want at most %v", took, c.most)
				}
				helpers.Wait()
			})
		})
	}
}

func TestAConnectionBringsNoMoreThanItMay(t *testing.T) {
	inMemory(t, func(t *testing.T, s *Server, ca *pki.CA, dial func(string) net.Conn) {
		c := handshake(t, dial("198.51.100.7"), ca, "http/1.1")
		request := "GET / HTTP/1.1\r\nHost: mta-sts.home.test\r\nX: " + strings.Repeat("x", 1000) + "\r\n\r\n"
		answered := 0
		r := bufio.NewReader(c)
		for {
			if _, err := io.WriteString(c, request); err != nil {
				break
			}
			answer, err := http.ReadResponse(r, nil)
			if err != nil {
				break
			}
			_, _ = io.Copy(io.Discard, answer.Body)
			answered++
		}
		if answered < 40 || answered > readMost/len(request) {
			t.Errorf("%d requests were answered", answered)
		}
	})
	inMemory(t, func(t *testing.T, s *Server, ca *pki.CA, dial func(string) net.Conn) {
		c := handshake(t, dial("198.51.100.7"), ca, "http/1.1")
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("x", 20_000)+"\r\n\r\n")
		if answer, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || answer.StatusCode != 431 {
			t.Errorf("a header of 20 kB: %v %v", answer, err)
		}
	})
}

func TestACrowdKeepsNobodyOut(t *testing.T) {
	inMemory(t, func(t *testing.T, s *Server, ca *pki.CA, dial func(string) net.Conn) {
		for i := range perClient {
			if c := handshake(t, dial("2001:db8::1"+fmt.Sprint(i)), ca); c == nil {
				t.Fatal("kept out")
			}
		}
		if took := ends(dial("2001:db8::99")); took > time.Second {
			t.Errorf("one network has more than its part for %v", took)
		}
		var first net.Conn
		for i := range Connections - perClient {
			nc := dial(fmt.Sprintf("198.51.%d.%d", i/200, i%200+1))
			if i == 0 {
				first = nc
			}
			synctest.Wait()
		}
		_ = first
		c := handshake(t, dial("203.0.113.1"), ca, "http/1.1") // the oldest, one of the network, makes room
		_, _ = io.WriteString(c, "GET "+policyPath+" HTTP/1.1\r\nHost: mta-sts.home.test\r\n\r\n")
		answer, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || answer.StatusCode != 200 {
			t.Errorf("in a crowd: %v %v", answer, err)
		}
		s.crowd.mu.Lock()
		open, clients := s.crowd.open.Len(), s.crowd.clients[netip.MustParsePrefix("2001:db8::/64")]
		s.crowd.mu.Unlock()
		if open != Connections || clients != perClient-1 {
			t.Errorf("%d connections, %d of the network", open, clients)
		}
	})
}

// Whatever octets come, the server answers or closes, and gives the policy to nobody who did not ask for it.
func FuzzHTTP(f *testing.F) {
	for _, seed := range []string{
		"GET " + policyPath + " HTTP/1.1\r\nHost: mta-sts.home.test\r\n\r\n",
		"GET " + policyPath + " HTTP/1.0\r\n\r\n",
		"GET https://mta-sts.home.test" + policyPath + " HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n",
		"CONNECT mta-sts.home.test:443 HTTP/1.1\r\nHost: mta-sts.home.test\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x01\x01\x05\x00\x00\x00\x01\x82",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x08",
		"GET /\r\n\r\n", "\x16\x03\x01\x02\x00\x01", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "",
	} {
		f.Add([]byte(seed))
	}
	s, _, _ := served(time.Now())
	s.http.Protocols.SetUnencryptedHTTP2(true)
	f.Fuzz(func(t *testing.T, sent []byte) {
		server, client := memnet.Pipe()
		l := &oneListener{conn: s.crowd.enter(server), closed: make(chan struct{})}
		h := &http.Server{Handler: s.http.Handler, Protocols: s.http.Protocols, HTTP2: s.http.HTTP2, MaxHeaderBytes: headerMost,
			ReadHeaderTimeout: requestTime, DisableGeneralOptionsHandler: true, ErrorLog: s.http.ErrorLog}
		done := make(chan struct{})
		go func() { _ = h.Serve(l); close(done) }()
		_, _ = client.Write(sent)
		_ = client.CloseWrite()
		answer, _ := io.ReadAll(client)
		if bytes.Contains(answer, []byte("mx: gw.home.test")) && (!bytes.Contains(sent, []byte("ta-sts")) && !bytes.HasPrefix(sent, []byte("PRI"))) {
			t.Errorf("%q is answered with the policy", sent)
		}
		if bytes.Contains(bytes.ToLower(answer), []byte("location:")) {
			t.Errorf("%q is answered with a redirect", sent)
		}
		_ = h.Close()
		<-done
	})
}

// oneListener has one connection.
type oneListener struct {
	conn   net.Conn
	once   sync.Once
	taken  bool
	closed chan struct{}
}

func (l *oneListener) Accept() (net.Conn, error) {
	if !l.taken {
		l.taken = true
		return l.conn, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}

func (l *oneListener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *oneListener) Addr() net.Addr { return l.conn.LocalAddr() }
