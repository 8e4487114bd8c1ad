package acceptance

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/lab/pki"
	"postern/test/harness"
)

// published is a gateway that serves a policy, and everything that belongs in DNS.
type published struct {
	*world
	port string   // of policy hosts
	good []string // the lines of the zone
	host string   // where the gateway's web listener is
}

// newPublished makes one, and runs it.
func newPublished(t *testing.T) *published {
	t.Helper()
	w := newWorld(t)
	web := harness.FreeAddress(t)
	host, port, _ := net.SplitHostPort(web)
	p := &published{world: w, port: port, host: host}
	w.Certificate("gw", "gw.home.test", "mta-sts.home.test")
	w.More = append(w.More, fmt.Sprintf("[[listen]]\nname = \"web\"\nmode = \"web\"\naddress = %q\n", web))
	w.policy(`{ mode = "enforce" }`)
	w.Start("")
	for line := range strings.Lines(w.Postern("records")) {
		if !strings.HasPrefix(line, ";") {
			p.good = append(p.good, strings.TrimSpace(line))
		}
	}
	p.good = append(p.good, "gw.home.test. IN A 127.0.0.1", "mta-sts.home.test. IN A "+host)
	return p
}

// policy sets that of home.test.
func (w *world) policy(text string) {
	for i, table := range w.More {
		if head, _, ok := strings.Cut(table, "sts ="); strings.HasPrefix(table, "[[domain]]\nname = \"home.test\"") {
			if ok {
				table = head
			}
			w.More[i] = table + "sts = " + text + "\n"
		}
	}
}

// zone puts lines into DNS, those of a name and type in place of the good ones.
func (p *published) zone(changed ...string) {
	p.T.Helper()
	lines := slices.Clone(p.good)
	for _, c := range changed {
		f := strings.Fields(strings.TrimPrefix(c, "!"))
		lines = slices.DeleteFunc(lines, func(l string) bool {
			g := strings.Fields(l)
			return g[0] == f[0] && g[2] == f[2]
		})
	}
	for _, c := range changed {
		if strings.Fields(c)[2] != "A" || len(strings.Fields(c)) > 3 {
			lines = append(lines, c)
		}
	}
	if err := p.Names.Set(strings.Join(lines, "\n")); err != nil {
		p.T.Fatal(err)
	}
}

// check returns the codes that are found, warnings with "~" and what is unknown with "?", and the exit code.
func (p *published) check() (codes []string, code int) {
	p.T.Helper()
	a := p.Run("", "records", "--check", "--json", "--policy-port="+p.port)
	for line := range strings.Lines(a.Stdout) {
		var f struct{ Domain, Name, Code, Severity, Message, There, Want, Hint string }
		d := json.NewDecoder(strings.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(&f); err != nil || f.Message == "" || f.Hint == "" || f.Name == "" {
			p.T.Errorf("%v: %s", err, line)
		}
		codes = append(codes, map[string]string{"error": "", "warning": "~", "unknown": "?"}[f.Severity]+f.Code)
	}
	return codes, a.Code
}

// elsewhere serves a text as the policy of home.test, at an address of its own, and returns that.
func (p *published) elsewhere(names []string, serve http.HandlerFunc) string {
	p.T.Helper()
	host := harness.NewIP()
	l, err := net.Listen("tcp", net.JoinHostPort(host, p.port))
	if err != nil {
		p.T.Fatal(err)
	}
	s := &http.Server{Handler: serve, ErrorLog: log.New(io.Discard, "", 0)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{p.CA.Issue(pki.Options{Names: names}).TLS}}))
	}()
	p.T.Cleanup(func() { _ = s.Close(); <-done })
	return host
}

func saying(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
}

// TestRecordsAreChecked: of a gateway whose zone is as `postern records` prints it nothing is said; each mistake that
// is planted is found.
func TestRecordsAreChecked(t *testing.T) {
	t.Parallel()
	p := newPublished(t)
	p.zone()
	if codes, code := p.check(); code != 0 || len(codes) > 0 {
		t.Fatalf("all is good: exit code %d, %v", code, codes)
	}
	if a := p.Run("", "records", "--check", "--policy-port="+p.port, "home.test"); a.Code != 0 || a.Stdout != "1 domain: good\n" {
		t.Errorf("for people: %+v", a)
	}
	settings := func(change func()) func() []string {
		return func() []string { change(); p.Configure(); return nil }
	}
	own := []string{"mta-sts.home.test"}
	tlsa := "_25._tcp.gw.home.test. IN TLSA 3 1 1 "
	for _, c := range []struct {
		name  string
		plant func() []string // changed lines of the zone
		want  string
		code  int
	}{
		{"MX is still the provider's", func() []string { return []string{"home.test. IN MX 10 mx.provider.test."} }, "mx-missing mx-no-address mx-not-in-policy", 1},
		{"a second MX was added", func() []string {
			return []string{"home.test. IN MX 10 gw.home.test.", "home.test. IN MX 20 mail.home.test.", "mail.home.test. IN A 127.0.0.1"}
		}, "~mx-not-ours mx-not-in-policy", 1},
		{"the record is missing", func() []string { return []string{"_mta-sts.home.test. IN TXT other"} }, "sts-record-missing", 1},
		{"there are two records", func() []string {
			return []string{`_mta-sts.home.test. IN TXT "v=STSv1; id=1;"`, `_mta-sts.home.test. IN TXT "v=STSv1; id=2;"`}
		}, "sts-record-double", 1},
		{"the record is malformed", func() []string { return []string{`_mta-sts.home.test. IN TXT "v=STSv1; id=2026-11-28;"`} }, "sts-record-malformed", 1},
		{"the id is of before", func() []string { return []string{`_mta-sts.home.test. IN TXT "v=STSv1; id=20190101;"`} }, "sts-id-differs", 1},
		{"mta-sts leads nowhere", func() []string { return []string{"mta-sts.home.test. IN A"} }, "sts-host-unreachable", 1},
		{"nothing listens at mta-sts", func() []string { return []string{"mta-sts.home.test. IN A " + harness.NewIP()} }, "sts-host-unreachable", 1},
		{"the web server's certificate", func() []string {
			return []string{"mta-sts.home.test. IN A " + p.elsewhere([]string{"www.home.test"}, saying("hello"))}
		}, "sts-host-certificate", 1},
		{"the web server's start page", func() []string {
			return []string{"mta-sts.home.test. IN A " + p.elsewhere(own, saying("<html>It works!</html>"))}
		}, "sts-policy-malformed", 1},
		{"a redirect", func() []string {
			return []string{"mta-sts.home.test. IN A " + p.elsewhere(own, http.RedirectHandler("https://www.home.test/", http.StatusMovedPermanently).ServeHTTP)}
		}, "sts-host-answer", 1},
		{"an old copy of the policy", func() []string {
			return []string{"mta-sts.home.test. IN A " + p.elsewhere(own, saying("version: STSv1\nmode: testing\nmx: gw.home.test\nmax_age: 86400\n"))}
		}, "sts-policy-differs", 1},
		{"TLSA is of the key before", func() []string { return []string{tlsa + strings.Repeat("ab", 32)} }, "tlsa-mismatch tlsa-leftover", 1},
		{"TLSA is cut", func() []string { return []string{tlsa + strings.Repeat("ab", 16)} }, "tlsa-unusable tlsa-missing", 1},
		{"TLSA is not signed", func() []string {
			return []string{"!" + p.good[slices.IndexFunc(p.good, func(l string) bool { return strings.HasPrefix(l, tlsa) })]}
		}, "tlsa-unsigned", 1},
		{"MX is signed badly", func() []string { return []string{"home.test. MX bogus"} }, "dnssec-bogus", 1},
		{"MX does not answer", func() []string { return []string{"home.test. MX servfail"} }, "?dns-unknown", 3},
		{"TLSA does not answer", func() []string { return []string{"_25._tcp.gw.home.test. TLSA servfail"} }, "?dns-unknown", 3},
		{"the policy changed, and nothing else", settings(func() { p.policy(`{ mode = "testing" }`) }), "sts-id-differs sts-policy-differs", 1},
		{"a next key was not published", settings(func() {
			p.policy(`{ mode = "enforce" }`)
			p.Certificate("next", "gw.home.test")
			p.Settings["tls.next_keys"] = `["next.pem"]`
		}), "tlsa-next-missing", 1},
		{"the certificate ran out, and its key is another", settings(func() {
			delete(p.Settings, "tls.next_keys")
			old := p.CA.Issue(pki.Options{Names: []string{"gw.home.test"}, NotAfter: p.Now.Add(-time.Hour)})
			p.Write("old.pem", old.CertPEM)
			p.Write("old.key", old.KeyPEM)
			p.Settings["tls.certificates"] = `[{ cert = "old.pem", key = "old.key" }]`
		}), "certificate-fails tlsa-mismatch tlsa-leftover", 1},
	} {
		changed := c.plant()
		for i, line := range changed { // a failure of the zone has no class
			if f := strings.Fields(line); len(f) == 3 && f[1] != "IN" {
				changed[i] = f[0] + " " + f[1] + " " + f[2]
			}
		}
		p.zone(changed...)
		codes, code := p.check()
		if !slices.Equal(codes, strings.Fields(c.want)) || code != c.code {
			t.Errorf("%s: exit code %d, %v, want %d, %s", c.name, code, codes, c.code, c.want)
		}
	}
}

// TestPoliciesAreServed: strangers get the policy in force over HTTP/2 and 1.1, a reload changes it, and nothing of the
// console is there.
func TestPoliciesAreServed(t *testing.T) {
	t.Parallel()
	p := newPublished(t)
	get := func(host, path string, h2 bool) (int, string, string) {
		t.Helper()
		tr := &http.Transport{ForceAttemptHTTP2: h2, TLSClientConfig: &tls.Config{RootCAs: p.CA.Pool()}, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(p.host, p.port))
		}}
		defer tr.CloseIdleConnections()
		r, err := (&http.Client{Transport: tr, Timeout: harness.Patience}).Get("https://" + host + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		text, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return r.StatusCode, r.Proto, string(text)
	}
	const path = "/.well-known/mta-sts.txt"
	for proto, h2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2.0": true} {
		if code, got, text := get("mta-sts.home.test", path, h2); code != 200 || got != proto || text != "version: STSv1\r\nmode: enforce\r\nmx: gw.home.test\r\nmax_age: 604800\r\n" {
			t.Errorf("%s: %d %s %q", proto, code, got, text)
		}
	}
	if code, _, text := get("gw.home.test", "/", true); code != 200 || !strings.Contains(text, "for mail servers of partners") {
		t.Errorf("the page for partners: %d %q", code, text)
	}
	for _, other := range []string{"/console", "/metrics", "/healthz", "/api/v1/queue", "/login"} {
		if code, _, text := get("gw.home.test", other, true); code != 404 || text != "" {
			t.Errorf("%s: %d %q", other, code, text)
		}
	}
	p.policy(`{ mode = "testing", max_age = "24h" }`)
	p.Configure()
	p.Postern("reload")
	if _, _, text := get("mta-sts.home.test", path, true); !strings.Contains(text, "mode: testing\r\n") || !strings.Contains(text, "max_age: 86400") {
		t.Errorf("after a reload: %q", text)
	}
	p.Stop()
	if !strings.Contains(p.Log(), "mode=web") {
		t.Errorf("the listener is not told of:\n%s", p.Log())
	}
}
