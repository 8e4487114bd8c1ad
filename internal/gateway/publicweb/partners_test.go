package publicweb

import (
	"bufio"
	"crypto/tls"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/event"
	"postern/internal/lab/pki"
	"postern/internal/policy"
	"postern/internal/policy/certcheck"
)

const hostile = `O="><script>alert(1)</script>&{{.}}'`

// shown is a Server with the page for partners, whose certificate has a hostile name.
func shown(on *bool) (*Server, *heard) {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	ca, h := pki.New(now, "Root"), &heard{}
	leaf := certcheck.Facts(ca.Issue(pki.Options{Names: []string{"gw.home.test", "mta-sts.home.test"}}).TLS.Leaf)
	root := leaf
	root.Subject, root.SHA256, root.Raw = hostile, "00", []byte{1}
	return New(Config{Listener: "web", Sink: h, Policy: policies, Partners: func() *Partners {
		if !*on {
			return nil
		}
		return &Partners{Host: "gw.home.test", At: now, Ports: []string{"25 (STARTTLS): TLS 1.0 to 1.3"}, NextKeys: []string{strings.Repeat("ab", 32)},
			Certificates: []PartnerCertificate{{To: "mail servers that send to us", Chain: []policy.Certificate{leaf}, Root: &root, Change: "renewed with the same key"}}}
	}, Answer: func(token string) string {
		return map[string]string{"tok-EN_1": "tok-EN_1.print"}[token]
	}}), h
}

func get(s *Server, method, host, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "https://x/", nil)
	r.Method, r.Host, r.URL.Path = method, host, path
	s.answer(w, r)
	return w
}

func TestPartnersSeeOurCertificatesAndNothingElse(t *testing.T) {
	on := true
	s, h := shown(&on)
	for _, c := range []struct {
		method, host, path string
		code               int
	}{
		{"GET", "gw.home.test", "/", 200}, {"HEAD", "GW.Home.Test.", "/", 200}, {"GET", "gw.home.test:443", "/certificates.txt", 200},
		{"GET", "gw.home.test", "/certificates.pem", 200},
		{"POST", "gw.home.test", "/", 404}, {"PUT", "gw.home.test", "/certificates.txt", 404}, {"DELETE", "gw.home.test", "/", 404},
		{"GET", "mta-sts.home.test", "/", 404}, {"GET", "127.0.0.1", "/", 404}, {"GET", "", "/", 404}, {"GET", "gw.home.test.evil.test", "/", 404},
		{"GET", "gw.home.test:443:443", "/", 404}, {"GET", "gw.home.test\x00", "/", 404}, {"GET", "[::1]", "/certificates.txt", 404},
		{"GET", "gw.home.test", "//", 404}, {"GET", "gw.home.test", "/index.html", 404}, {"GET", "gw.home.test", "/certificates", 404},
		{"GET", "gw.home.test", "/certificates.key", 404}, {"GET", "gw.home.test", "/../certificates.txt", 404}, {"GET", "gw.home.test", "/metrics", 404},
		{"GET", "gw.home.test", "/api/v1/queue", 404}, {"GET", "gw.home.test", policyPath, 404},
	} {
		w := get(s, c.method, c.host, c.path)
		if w.Code != c.code || (w.Body.Len() > 0) != (c.code == 200) {
			t.Errorf("%s %q %q: %d, %d octets", c.method, c.host, c.path, w.Code, w.Body.Len())
		}
		if e := h.list[len(h.list)-1]; (e.Page == event.WebPartners) != (c.code == 200) {
			t.Errorf("%s %q %q: told as %+v", c.method, c.host, c.path, e)
		}
	}
	on = false
	if w := get(s, "GET", "gw.home.test", "/"); w.Code != 404 || w.Body.Len() > 0 {
		t.Errorf("switched off: %d", w.Code)
	}
}

func TestThePageHasNoScriptAndEscapes(t *testing.T) {
	on := true
	s, _ := shown(&on)
	w := get(s, "GET", "gw.home.test", "/")
	page := w.Body.String()
	for _, want := range []string{"TLSA", "3 1 1 ", "gw.home.test, mta-sts.home.test", "renewed with the same key", "TLS 1.0 to 1.3", strings.Repeat("ab", 32), "&lt;script&gt;"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in\n%s", want, page)
		}
	}
	for _, bad := range []string{"<script", "style", "http:", "src=", "onload"} {
		if strings.Contains(page, bad) {
			t.Errorf("%q in\n%s", bad, page)
		}
	}
	if csp := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none';") || !strings.Contains(csp, "frame-ancestors 'none'") ||
		w.Header().Get("X-Content-Type-Options") != "nosniff" || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
		t.Errorf("headers %v", w.Header())
	}
	if len(page) > 16<<10 {
		t.Errorf("the page has %d octets", len(page))
	}
	text := get(s, "GET", "gw.home.test", "/certificates.txt")
	if !strings.Contains(text.Body.String(), "next key, TLSA 3 1 1 ") || !strings.HasPrefix(text.Header().Get("Content-Type"), "text/plain") {
		t.Errorf("%v\n%s", text.Header(), text.Body)
	}
	blocks := 0
	for rest := get(s, "GET", "gw.home.test", "/certificates.pem").Body.Bytes(); ; blocks++ {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		if b.Type != "CERTIFICATE" {
			t.Errorf("a %s is served", b.Type)
		}
	}
	if blocks != 2 {
		t.Errorf("%d certificates", blocks)
	}
}

func TestOnlyACAsTokenIsAnswered(t *testing.T) {
	on := true
	secure, _ := shown(&on)
	plain := New(Config{Plain: true, Sink: &heard{}, Answer: secure.cfg.Answer})
	for _, c := range []struct {
		method, path string
		plain, tls   int
	}{
		{"GET", challengePath + "tok-EN_1", 200, 200}, {"HEAD", challengePath + "tok-EN_1", 200, 200}, {"POST", challengePath + "tok-EN_1", 404, 404},
		{"GET", challengePath + "tok-EN_1/", 404, 404}, {"GET", challengePath + "other", 404, 404}, {"GET", challengePath, 404, 404},
		{"GET", challengePath + "../../etc/passwd", 404, 404}, {"GET", "/x" + challengePath + "tok-EN_1", 404, 404},
		{"GET", "/", 404, 200}, {"GET", "/certificates.txt", 404, 200}, {"GET", policyPath, 404, 404},
	} {
		for s, want := range map[*Server]int{plain: c.plain, secure: c.tls} {
			if w := get(s, c.method, "gw.home.test", c.path); w.Code != want {
				t.Errorf("%s %s (plain %v): %d, want %d", c.method, c.path, s.cfg.Plain, w.Code, want)
			}
		}
	}
	if w := get(plain, "GET", "mta-sts.home.test", policyPath); w.Code != 404 {
		t.Errorf("a policy without TLS: %d", w.Code)
	}
	none, _, _ := served(time.Now())
	if w := get(none, "GET", "gw.home.test", challengePath+"tok-EN_1"); w.Code != 404 {
		t.Errorf("where no CA comes: %d", w.Code)
	}
}

// A CA asks for acme-tls/1 alone, and only for a name that it was told of (RFC 8737 §3).
func TestAHandshakeThatIsAChallenge(t *testing.T) {
	ca := pki.New(time.Now(), "CA")
	ours, challenge := ca.Issue(pki.Options{Names: []string{"gw.home.test"}}).TLS, ca.Issue(pki.Options{Names: []string{"challenge.test"}, SelfSigned: true}).TLS
	s := New(Config{Sink: &heard{}, Policy: policies, Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &ours, nil },
		TLSAnswer: func(name string) *tls.Certificate {
			if name == "gw.home.test" {
				return &challenge
			}
			return nil
		}})
	address := real(t, s)
	for _, c := range []struct {
		name      string
		protocols []string
		want      string // the name in the certificate; "" for no handshake
	}{
		{"gw.home.test", []string{"acme-tls/1"}, "challenge.test"},
		{"other.test", []string{"acme-tls/1"}, ""},
		{"", []string{"acme-tls/1"}, ""},
		{"gw.home.test", []string{"h2", "http/1.1"}, "gw.home.test"},
		{"gw.home.test", []string{"http/1.1", "acme-tls/1"}, "gw.home.test"},
		{"gw.home.test", nil, "gw.home.test"},
	} {
		conn, err := tls.Dial("tcp", address, &tls.Config{ServerName: c.name, NextProtos: c.protocols, InsecureSkipVerify: true})
		if err != nil {
			if c.want != "" {
				t.Errorf("%+v: %v", c, err)
			}
			continue
		}
		state := conn.ConnectionState()
		if got := state.PeerCertificates[0].DNSNames; !slices.Equal(got, []string{c.want}) || (state.NegotiatedProtocol == "acme-tls/1") != (c.want == "challenge.test") {
			t.Errorf("%+v: %v by %q", c, got, state.NegotiatedProtocol)
		}
		_ = conn.Close()
	}
}

// The listener at port 80 is as tight as the other.
func TestAPlainListenerIsBounded(t *testing.T) {
	plain := New(Config{Plain: true, Sink: &heard{}, Answer: func(string) string { return "" }})
	address := real(t, plain)
	var open []io.Closer
	for range perClient {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, conn)
	}
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil {
		t.Error("one client has more than its part")
	}
	for _, c := range append(open, conn) {
		_ = c.Close()
	}
	var code int
	for end := time.Now().Add(5 * time.Second); code == 0 && time.Now().Before(end); time.Sleep(20 * time.Millisecond) { // until they are gone
		again, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(again, "GET / HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("x", 20_000)+"\r\n\r\n")
		if answer, err := http.ReadResponse(bufio.NewReader(again), nil); err == nil {
			code = answer.StatusCode
		}
		_ = again.Close()
	}
	if code != 431 {
		t.Errorf("a header of 20 kB: %d", code)
	}
}
