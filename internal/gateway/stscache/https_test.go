package stscache_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/dns"
	"postern/internal/gateway/stscache"
	"postern/internal/lab/pki"
	"postern/internal/lab/testkit/memnet"
	"postern/internal/lab/testkit/zone"
	"postern/internal/mail"
	"postern/internal/policy/sts"
)

const (
	good     = "version: STSv1\r\nmode: enforce\r\nmx: mx.clinic.test\r\nmax_age: 604800\r\n"
	hostZone = "mta-sts.clinic.test A 203.0.113.1\n"
)

// site is one policy host, as good or as hostile as a test makes it. The zero value serves a good policy.
type site struct {
	zone           string // hostZone where empty
	answer         string // the whole answer as bytes; a good one where empty
	speak          func(conn net.Conn, r *http.Request)
	raw            func(conn net.Conn) // instead of TLS
	cert           pki.Options
	foreign        bool     // a certificate of a CA that nobody trusts
	oldest, newest uint16   // versions of TLS
	listen         []string // 203.0.113.1:443 where empty
	allow          []netip.Prefix
}

// visit is what came of a fetch, and what was seen of it.
type visit struct {
	policy  sts.Policy
	failure *stscache.Failure
	took    time.Duration
	dialled []string
	request *http.Request
	sni     string
}

// fetch lets a Fetcher meet a site, in a bubble.
func fetch(t *testing.T, s site) (v visit) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var group sync.WaitGroup
		defer group.Wait()
		network, ca := memnet.New(), pki.New(time.Now(), "Root")
		cfg := s.config(ca, &v)
		var open []net.Listener
		if s.zone == "" {
			s.zone = hostZone
		}
		if s.listen == nil {
			s.listen = []string{"203.0.113.1:443"}
		}
		for _, at := range s.listen {
			l, err := network.Listen(at)
			if err != nil {
				t.Fatal(err)
			}
			open = append(open, l)
			group.Go(func() { s.accept(l, cfg, &v, &group) })
		}
		dialer := &seen{Dialer: network.Dialer("192.0.2.9"), visit: &v}
		network.Blackhole("203.0.113.99")
		h := stscache.NewHTTPS(stscache.HTTPSConfig{Resolver: zone.New(t, s.zone), Roots: ca.Pool, Dialer: dialer, Allow: s.allow})
		began := time.Now()
		p, err := h.Fetch(t.Context(), mail.MustDomain("clinic.test"))
		v.policy, v.took = p, time.Since(began)
		if err != nil && !errors.As(err, &v.failure) {
			t.Errorf("an error of another kind: %v", err)
		}
		for _, l := range open {
			l.Close()
		}
	})
	return v
}

// config is what the site's TLS does.
func (s site) config(ca *pki.CA, v *visit) *tls.Config {
	if s.foreign {
		ca = pki.New(time.Now(), "Nobody's")
	}
	if s.cert.Names == nil {
		s.cert.Names = []string{"mta-sts.clinic.test"}
	}
	cfg := &tls.Config{MinVersion: s.oldest, MaxVersion: s.newest}
	cfg.Certificates = []tls.Certificate{ca.Issue(s.cert).TLS}
	cfg.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		v.sni = hello.ServerName
		return nil, nil
	}
	return cfg
}

func (s site) accept(l net.Listener, cfg *tls.Config, v *visit, group *sync.WaitGroup) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		group.Go(func() {
			defer conn.Close()
			if s.raw != nil {
				s.raw(conn)
				return
			}
			secure := tls.Server(conn, cfg)
			defer secure.Close()
			r, err := http.ReadRequest(bufio.NewReader(secure))
			if err != nil {
				return
			}
			v.request = r
			switch {
			case s.speak != nil:
				s.speak(secure, r)
			case s.answer != "":
				_, _ = secure.Write([]byte(s.answer))
			default:
				_, _ = secure.Write([]byte(ok("text/plain", good)))
			}
		})
	}
}

// seen notes what is dialled.
type seen struct {
	stscache.Dialer
	visit *visit
}

func (s *seen) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	s.visit.dialled = append(s.visit.dialled, address)
	return s.Dialer.DialContext(ctx, network, address)
}

func ok(kind, body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", kind, len(body), body)
}

func TestAGoodHostIsAskedAsTheRFCSays(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://proxy.test:3128")
	t.Setenv("ALL_PROXY", "socks5://proxy.test:1080")
	v := fetch(t, site{})
	if v.failure != nil || v.policy.Mode != sts.Enforce || v.policy.Oddities != nil {
		t.Fatalf("%+v, %v", v.policy, v.failure)
	}
	if want := []string{"203.0.113.1:443"}; !slices.Equal(v.dialled, want) || v.sni != "mta-sts.clinic.test" {
		t.Errorf("dialled %v, server name %q", v.dialled, v.sni)
	}
	want := http.Header{"User-Agent": {"Postern"}, "Connection": {"close"}}
	if r := v.request; r.Method != "GET" || r.Host != "mta-sts.clinic.test" || r.RequestURI != "/.well-known/mta-sts.txt" || !reflect.DeepEqual(r.Header, want) {
		t.Errorf("%s %s %s %v", r.Method, r.Host, r.RequestURI, r.Header)
	}
}

// What differs from the RFC and does no harm.
func TestHostsThatAreOnlyUntidy(t *testing.T) {
	full := good + strings.Repeat("#\n", (sts.MaxBody-len(good))/2)
	for name, c := range map[string]struct {
		site
		odd string
	}{
		"no content type":                       {site{answer: "HTTP/1.1 200 OK\r\nContent-Length: " + fmt.Sprint(len(good)) + "\r\n\r\n" + good}, `the content type is "", want text/plain`},
		"another content type":                  {site{answer: ok("application/octet-stream", good)}, `the content type is "application/octet-stream", want text/plain`},
		"a type in other letters":               {site{answer: ok("Text/Plain; charset=ISO-8859-1", good)}, ""},
		"HTTP/1.0 until it closes":              {site{answer: "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n" + good}, ""},
		"in chunks":                             {site{answer: "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(good), good)}, ""},
		"another reason phrase":                 {site{answer: strings.Replace(ok("text/plain", good), "200 OK", "200 Sure", 1)}, ""},
		"the encoding of none":                  {site{answer: strings.Replace(ok("text/plain", good), "\r\n\r\n", "\r\nContent-Encoding: identity\r\n\r\n", 1)}, ""},
		"cookies":                               {site{answer: strings.Replace(ok("text/plain", good), "\r\n\r\n", "\r\nSet-Cookie: a=b\r\n\r\n", 1)}, ""},
		"early hints":                           {site{answer: "HTTP/1.1 103 Early Hints\r\n\r\n" + ok("text/plain", good)}, ""},
		"as large as may be":                    {site{answer: ok("text/plain", full[:len(full)-len(full)%2])}, "line 5: MTA-STS knows no comments; it is passed over"},
		"a wildcard":                            {site{cert: pki.Options{Names: []string{"*.clinic.test"}}}, ""},
		"TLS 1.2":                               {site{newest: tls.VersionTLS12}, ""},
		"IPv6 alone":                            {site{zone: "mta-sts.clinic.test AAAA 2001:db8::1", listen: []string{"[2001:db8::1]:443"}}, ""},
		"one of two is dead":                    {site{zone: hostZone + "mta-sts.clinic.test AAAA 2001:db8::1"}, ""},
		"an alias (RFC 8461 §8.2)":              {site{zone: "mta-sts.clinic.test CNAME sts.provider.test\nsts.provider.test A 203.0.113.1"}, ""},
		"one family cannot be asked":            {site{zone: hostZone + "mta-sts.clinic.test AAAA servfail"}, ""},
		"a private address beside a public one": {site{zone: hostZone + "mta-sts.clinic.test A 10.0.0.1\nmta-sts.clinic.test AAAA ::1"}, ""},
		"a network that is allowed":             {site{zone: "mta-sts.clinic.test A 10.0.0.1", listen: []string{"10.0.0.1:443"}, allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")}}, ""},
	} {
		v := fetch(t, c.site)
		odd := ""
		if v.policy.Oddities != nil {
			odd = v.policy.Oddities[0]
		}
		if v.failure != nil || v.policy.Mode != sts.Enforce || odd != c.odd {
			t.Errorf("%s: %+v, %v", name, v.policy, v.failure)
		}
		for _, at := range v.dialled {
			if c.allow == nil && (strings.HasPrefix(at, "10.") || strings.HasPrefix(at, "[::1]")) {
				t.Errorf("%s: dialled %v", name, v.dialled)
			}
		}
	}
}

func TestHostsThatServeNoPolicy(t *testing.T) {
	html := "<!DOCTYPE html><html><body>It works!</body></html>"
	for name, c := range map[string]struct {
		site
		kind stscache.Kind
		text string
	}{
		"moved": {site{answer: "HTTP/1.1 301 Moved Permanently\r\nLocation: https://www.clinic.test/.well-known/mta-sts.txt\r\nContent-Length: 0\r\n\r\n"},
			stscache.BadStatus, "mta-sts.clinic.test answers with a redirect (HTTP status 301), which must not be followed"},
		"moved, with the policy": {site{answer: strings.Replace(ok("text/plain", good), "200 OK", "307 Temporary Redirect\r\nLocation: /", 1)},
			stscache.BadStatus, "mta-sts.clinic.test answers with a redirect (HTTP status 307), which must not be followed"},
		"not found": {site{answer: strings.Replace(ok("text/plain", good), "200 OK", "404 Not Found", 1)},
			stscache.BadStatus, "mta-sts.clinic.test answers with HTTP status 404, want 200"},
		"no content":   {site{answer: "HTTP/1.1 204 No Content\r\n\r\n"}, stscache.BadStatus, "mta-sts.clinic.test answers with HTTP status 204, want 200"},
		"out of order": {site{answer: "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"}, stscache.BadStatus, "mta-sts.clinic.test answers with HTTP status 503, want 200"},
		"a web page":   {site{answer: ok("text/html", html)}, stscache.PolicyInvalid, "a web page stands in place of the policy"},
		"a faulty policy": {site{answer: ok("text/plain", strings.Replace(good, "mx:", "nmx:", 1))}, stscache.PolicyInvalid,
			`the mode is enforce, and no mx says which mail hosts are meant (line 3: "nmx" is no key of MTA-STS and is passed over; did you mean mx?)`},
		"one byte too many":              {site{answer: ok("text/plain", strings.Repeat("#", sts.MaxBody+1))}, stscache.BadAnswer, "mta-sts.clinic.test answers with more than 65536 bytes"},
		"one byte too many, unannounced": {site{answer: "HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat("#", sts.MaxBody+1)}, stscache.BadAnswer, "mta-sts.clinic.test answers with more than 65536 bytes"},
		"without end":                    {site{speak: endless("HTTP/1.1 200 OK\r\n\r\n", "# more\n")}, stscache.BadAnswer, "mta-sts.clinic.test answers with more than 65536 bytes"},
		"a head without end":             {site{speak: endless("HTTP/1.1 200 OK\r\n", "X: y\r\n")}, stscache.BadAnswer, "mta-sts.clinic.test gives an answer that breaks off, is larger than allowed or is no HTTP"},
		"hints without end":              {site{speak: endless("", "HTTP/1.1 103 Early Hints\r\n\r\n")}, stscache.BadAnswer, "mta-sts.clinic.test gives an answer that breaks off, is larger than allowed or is no HTTP"},
		"a gzip bomb":                    {site{answer: bomb()}, stscache.BadAnswer, `mta-sts.clinic.test answers in the encoding "gzip", which was not asked for`},
		"an answer that breaks off":      {site{answer: ok("text/plain", good)[:len(ok("text/plain", good))-5]}, stscache.BadAnswer, "mta-sts.clinic.test gives an answer that breaks off, is larger than allowed or is no HTTP"},
		"cut off where no length says so": {site{speak: func(conn net.Conn, _ *http.Request) {
			_, _ = conn.Write([]byte("HTTP/1.0 200 OK\r\n\r\nversion: STSv1\nmode: none\nmax_age: 31557600\n"))
			_ = conn.(*tls.Conn).NetConn().Close() // no close_notify: somebody on the way did it
		}}, stscache.BadAnswer, "mta-sts.clinic.test gives an answer that breaks off, is larger than allowed or is no HTTP"},
		"no HTTP": {site{answer: "220 mail.clinic.test ESMTP\r\n"}, stscache.BadAnswer, "mta-sts.clinic.test gives an answer that breaks off, is larger than allowed or is no HTTP"},
		"HTTP/2":  {site{answer: "\x00\x00\x12\x04\x00\x00\x00\x00\x00"}, stscache.BadAnswer, "mta-sts.clinic.test gives an answer that breaks off, is larger than allowed or is no HTTP"},
		"no TLS": {site{raw: func(conn net.Conn) { _, _ = conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) }}, stscache.TLSFailed,
			"mta-sts.clinic.test does not complete a TLS handshake of version 1.2 or later"},
		"TLS 1.1": {site{oldest: tls.VersionTLS10, newest: tls.VersionTLS11}, stscache.TLSFailed, "mta-sts.clinic.test refuses the TLS handshake with an alert"},
		"another name": {site{cert: pki.Options{Names: []string{"clinic.test", "www.clinic.test"}}}, stscache.Certificate,
			"the certificate of mta-sts.clinic.test is for other names: clinic.test, www.clinic.test"},
		"the provider's name (RFC 8461 §8.2)": {site{zone: "mta-sts.clinic.test CNAME sts.provider.test\nsts.provider.test A 203.0.113.1", cert: pki.Options{Names: []string{"sts.provider.test"}}},
			stscache.Certificate, "the certificate of mta-sts.clinic.test is for other names: sts.provider.test"},
		"a name in the CN alone": {site{cert: pki.Options{Names: []string{"mta-sts.clinic.test"}, NoSAN: true}}, stscache.Certificate, "the certificate of mta-sts.clinic.test is for other names: "},
		"expired": {site{cert: pki.Options{NotAfter: time.Date(1999, 12, 31, 0, 0, 0, 0, time.UTC)}}, stscache.Certificate,
			"the certificate of mta-sts.clinic.test expired at 1999-12-31T00:00:00Z"},
		"not yet valid": {site{cert: pki.Options{NotBefore: time.Date(2000, 1, 2, 0, 0, 0, 0, time.UTC)}}, stscache.Certificate,
			"the certificate of mta-sts.clinic.test is not valid before 2000-01-02T00:00:00Z"},
		"self-signed":              {site{cert: pki.Options{SelfSigned: true}}, stscache.Certificate, "the certificate of mta-sts.clinic.test leads to no root that is trusted"},
		"a root that nobody knows": {site{foreign: true}, stscache.Certificate, "the certificate of mta-sts.clinic.test leads to no root that is trusted"},
		"for another use":          {site{cert: pki.Options{EKU: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}}}, stscache.Certificate, "the certificate of mta-sts.clinic.test does not verify"},
		"nobody listens":           {site{listen: []string{}}, stscache.HostRefused, "no server listens at mta-sts.clinic.test (203.0.113.1)"},
		"no address":               {site{zone: "mta-sts.clinic.test TXT \"x\""}, stscache.HostUnknown, "mta-sts.clinic.test has no address"},
		"no such host":             {site{zone: "clinic.test A 203.0.113.1"}, stscache.HostUnknown, "the addresses of mta-sts.clinic.test cannot be looked up: the name does not exist"},
		"DNS fails":                {site{zone: "mta-sts.clinic.test servfail"}, stscache.HostUnknown, "the addresses of mta-sts.clinic.test cannot be looked up: the DNS servers could not find out (SERVFAIL)"},
	} {
		v := fetch(t, c.site)
		if v.failure == nil || v.failure.Kind != c.kind || v.failure.Text != c.text || !reflect.DeepEqual(v.policy, sts.Policy{}) || v.took > 20*time.Second {
			t.Errorf("%s: after %v %+v, %v", name, v.took, v.policy, v.failure)
		}
		if len(v.dialled) > 1 {
			t.Errorf("%s: dialled %v", name, v.dialled)
		}
		if c.zone == "" && len(c.listen) > 0 && len(v.dialled) == 0 {
			t.Errorf("%s: nothing was dialled", name)
		}
	}
}

// endless writes head and then more until nobody reads.
func endless(head, more string) func(net.Conn, *http.Request) {
	return func(conn net.Conn, _ *http.Request) {
		_, err := conn.Write([]byte(head))
		for err == nil {
			_, err = conn.Write([]byte(strings.Repeat(more, 100)))
		}
	}
}

func bomb() string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(bytes.Repeat([]byte("# nothing\n"), 1<<20))
	_ = z.Close()
	return strings.Replace(ok("text/plain", b.String()), "\r\n\r\n", "\r\nContent-Encoding: gzip\r\n\r\n", 1)
}

func TestNoHostTakesMoreThanAMinute(t *testing.T) {
	drip := func(head string) func(net.Conn, *http.Request) {
		return func(conn net.Conn, _ *http.Request) {
			_, err := conn.Write([]byte(head))
			for err == nil {
				time.Sleep(time.Second)
				_, err = conn.Write([]byte("x"))
			}
		}
	}
	hang := func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }
	for name, c := range map[string]struct {
		site
		took time.Duration
	}{
		"a body in drips": {site{speak: drip("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")}, time.Minute},
		"a head in drips": {site{speak: drip("HTTP/1.1 200 OK\r\nX: ")}, time.Minute},
		"nothing after the head": {site{speak: func(conn net.Conn, _ *http.Request) {
			_, _ = conn.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"))
			_, _ = conn.Read(make([]byte, 1))
		}}, time.Minute},
		"no answer":     {site{speak: func(conn net.Conn, _ *http.Request) { _, _ = conn.Read(make([]byte, 1)) }}, time.Minute},
		"no handshake":  {site{raw: hang}, 10 * time.Second},
		"no connection": {site{zone: "mta-sts.clinic.test A 203.0.113.99"}, 10 * time.Second},
		"many that hang": {site{raw: hang, zone: hostZone + "mta-sts.clinic.test A 203.0.113.2\nmta-sts.clinic.test A 203.0.113.3\nmta-sts.clinic.test A 203.0.113.4\n",
			listen: []string{"203.0.113.1:443", "203.0.113.2:443", "203.0.113.3:443", "203.0.113.4:443"}}, 30 * time.Second},
	} {
		v := fetch(t, c.site)
		if v.failure == nil || v.failure.Kind != stscache.HostSilent || v.took != c.took || !strings.Contains(v.failure.Text, "in time") {
			t.Errorf("%s: after %v %v", name, v.took, v.failure)
		}
	}
}

func TestAddressesOfOurOwnNetworkAreNeverDialled(t *testing.T) {
	for _, ip := range []string{"127.0.0.1", "10.1.2.3", "192.168.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "::1",
		"fe80::1", "fd00::1", "ff02::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::1"} {
		kind := "A"
		if strings.Contains(ip, ":") {
			kind = "AAAA"
		}
		v := fetch(t, site{zone: fmt.Sprintf("mta-sts.clinic.test %s %s", kind, ip)})
		if v.failure == nil || v.failure.Kind != stscache.HostPrivate || len(v.dialled) > 0 {
			t.Errorf("%s: %v, dialled %v", ip, v.failure, v.dialled)
		}
	}
}

// rebinding says something else each time it is asked.
type rebinding struct{ asked int }

func (r *rebinding) Addrs(context.Context, mail.Domain) dns.Addresses {
	r.asked++
	if r.asked == 1 {
		return dns.Addresses{V4: dns.Family{Addrs: []netip.Addr{netip.MustParseAddr("203.0.113.1")}}}
	}
	return dns.Addresses{V4: dns.Family{Addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}}}
}

func TestWhatIsDialledIsWhatWasJudged(t *testing.T) {
	var v visit
	r := &rebinding{}
	h := stscache.NewHTTPS(stscache.HTTPSConfig{Resolver: r, Dialer: &seen{memnet.New().Dialer("192.0.2.9"), &v}, Port: 8443})
	_, err := h.Fetch(t.Context(), mail.MustDomain("clinic.test"))
	if want := []string{"203.0.113.1:8443"}; err == nil || r.asked != 1 || !slices.Equal(v.dialled, want) {
		t.Errorf("%v, asked %d times, dialled %v", err, r.asked, v.dialled)
	}
}

func TestEachKindHasItsPlaceInReports(t *testing.T) {
	for kind, want := range map[stscache.Kind]string{
		"": "", stscache.NoRecord: "", stscache.NotYet: "", stscache.Busy: "",
		stscache.RecordInvalid: "sts-policy-invalid", stscache.PolicyInvalid: "sts-policy-invalid", stscache.Certificate: "sts-webpki-invalid",
		stscache.RecordGone: "sts-policy-fetch-error", stscache.RecordUnknown: "sts-policy-fetch-error", stscache.HostUnknown: "sts-policy-fetch-error",
		stscache.HostPrivate: "sts-policy-fetch-error", stscache.HostSilent: "sts-policy-fetch-error", stscache.HostRefused: "sts-policy-fetch-error",
		stscache.TLSFailed: "sts-policy-fetch-error", stscache.BadStatus: "sts-policy-fetch-error", stscache.BadAnswer: "sts-policy-fetch-error",
	} {
		if got := kind.TLSRPT(); got != want {
			t.Errorf("%s: %s", kind, got)
		}
	}
}

// The whole way: record, host, policy, with no part of it scripted but the network.
func TestAPolicyIsFoundOverDNSAndHTTPS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network, ca := memnet.New(), pki.New(time.Now(), "Root")
		l, err := network.Listen("203.0.113.1:443")
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			fmt.Fprint(w, good)
		})}
		cert := ca.Issue(pki.Options{Names: []string{"mta-sts.clinic.test"}}).TLS
		var group sync.WaitGroup
		group.Go(func() { _ = server.Serve(tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}})) })
		w := &world{t: t, zone: zone.New(t, announced+hostZone), store: newStore()}
		w.cache = w.open(func(c *stscache.Config) {
			c.Fetcher = stscache.NewHTTPS(stscache.HTTPSConfig{Resolver: w.zone, Roots: ca.Pool, Dialer: network.Dialer("192.0.2.9")})
		})
		if found := w.want("enforce 1 fetched", "clinic.test"); found.Policy.Oddities != nil || !found.Policy.Matches(mail.MustDomain("mx.clinic.test")) {
			t.Errorf("%+v", found)
		}
		w.cache.Close()
		server.Close()
		group.Wait()
	})
}
