package acceptance

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/smtp"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"postern/internal/lab/pki"
	"postern/test/harness"
	"postern/test/peers"
)

// acmeWorld is a gateway whose certificate comes from a CA.
type acmeWorld struct {
	*world
	ip        string
	http, web int
}

func newACMEWorld(t *testing.T, modes ...string) *acmeWorld {
	w := &acmeWorld{world: newWorld(t)}
	w.ip, _, _ = strings.Cut(w.Addr, ":")
	w.Record("gw.home.test A "+w.ip, "mta-sts.home.test A "+w.ip, "ca.test A 127.0.0.1")
	delete(w.Settings, "tls.certificates")
	ports := map[string]*int{"acme": &w.http, "web": &w.web}
	for _, at := range ports {
		*at = peers.FreePort(t, w.ip)
	}
	for _, mode := range modes {
		w.More = append(w.More, fmt.Sprintf("[[listen]]\nmode = %q\naddress = \"%s:%d\"\n", mode, w.ip, *ports[mode]))
	}
	return w
}

// pebble starts the CA, and names it in the configuration, with further keys.
func (w *acmeWorld) pebble(o peers.PebbleOptions, more string) *peers.Pebble {
	w.T.Helper()
	o.CA, o.Resolver, o.HTTPPort, o.TLSPort = w.CA, w.Names.Addr().String(), w.http, w.web
	ca := peers.StartPebble(w.T, o)
	w.directory(ca.Directory, more)
	return ca
}

func (w *acmeWorld) directory(at, more string) {
	w.Settings["tls.acme"] = fmt.Sprintf("{ directory = %q, email = \"admin@home.test\", agree = true%s }", at, more)
}

// shown is the certificate that a sender gets by STARTTLS, or nil; roots may be nil, for who trusts anybody.
func (w *acmeWorld) shown(name string, roots *x509.CertPool) (*x509.Certificate, error) {
	conn, err := net.DialTimeout("tcp", w.Addr, harness.Patience)
	if err != nil {
		return nil, err
	}
	client, err := smtp.NewClient(conn, name)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	if err := client.Hello("mx.sender.test"); err != nil {
		return nil, err
	}
	if err := client.StartTLS(&tls.Config{ServerName: name, RootCAs: roots, InsecureSkipVerify: roots == nil}); err != nil {
		return nil, err
	}
	state, _ := client.TLSConnectionState()
	return state.PeerCertificates[0], client.Noop()
}

// awaits waits until a sender who trusts the roots alone is served.
func (w *acmeWorld) awaits(within time.Duration, name string, roots *x509.CertPool, ok func(*x509.Certificate) bool) (leaf *x509.Certificate) {
	w.T.Helper()
	harness.Eventually(w.T, within, "a good certificate for "+name+" by STARTTLS", func() bool {
		var err error
		leaf, err = w.shown(name, roots)
		return err == nil && (ok == nil || ok(leaf))
	})
	return leaf
}

// keyOf is the digest of a certificate's key, as TLSA records have it.
func keyOf(c *x509.Certificate) string { return strings.TrimPrefix(spki(c), "sha256:") }

// fetch gets a page of the web listener, as a browser that trusts the roots.
func (w *acmeWorld) fetch(url string, roots *x509.CertPool) (*http.Response, string, error) {
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(w.ip, strconv.Itoa(w.web)))
	}}
	defer tr.CloseIdleConnections()
	r, err := (&http.Client{Transport: tr, Timeout: harness.Patience}).Get(url)
	if err != nil {
		return nil, "", err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	return r, string(text), err
}

// From the first start to a CA that is gone: one key, and never a moment without TLS.
func TestACertificateIsGotAndRenewedWithTheSameKey(t *testing.T) {
	t.Parallel()
	w := newACMEWorld(t, "acme", "web")
	const life = 40 * time.Second
	ca := w.pebble(peers.PebbleOptions{Life: life}, "")
	_, roots := ca.Root(t)
	w.Start("")
	first := w.awaits(harness.Patience, "gw.home.test", roots, nil)
	if out := w.Postern("records", "home.test"); !strings.Contains(out, "3 1 1 "+keyOf(first)) {
		t.Errorf("the TLSA record of its key is not printed:\n%s", out)
	}
	r, page, err := w.fetch("https://gw.home.test/", roots)
	if err != nil || r.StatusCode != 200 || !strings.Contains(page, "3 1 1 "+keyOf(first)) || !strings.Contains(page, "renewed with the same key") {
		t.Errorf("the page for partners: %v\n%s", err, page)
	}
	info, err := os.Stat(filepath.Join(w.Dir, "data"))
	if err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("the data folder: %v %v", info.Mode(), err)
	}
	if text, err := os.ReadFile(filepath.Join(w.Dir, "data", "acme.pem")); err != nil || strings.Contains(string(text), "PRIVATE") {
		t.Errorf("the copy: %v\n%s", err, text)
	}

	second := w.awaits(life, "gw.home.test", roots, func(c *x509.Certificate) bool { return !c.Equal(first) })
	if keyOf(second) != keyOf(first) || !second.NotAfter.After(first.NotAfter) {
		t.Errorf("renewed: %v with the key %s, before %v with %s", second.NotAfter, keyOf(second), first.NotAfter, keyOf(first))
	}
	if _, _, err := w.fetch("https://gw.home.test/", roots); err != nil {
		t.Errorf("the web listener after the renewal: %v", err)
	}
	w.Send("anna@home.test", "renewed", "berta@home.test")
	w.Await("berta@home.test", harness.In("delivered"))

	ca.Stop()
	harness.Eventually(t, life, "a renewal that fails is told", func() bool { return strings.Contains(w.Log(), "certificate-order-failed") })
	served, err := w.shown("gw.home.test", nil)
	if err != nil || keyOf(served) != keyOf(first) {
		t.Errorf("when the CA is gone: %v", err)
	}
	w.Restart()
	if again, err := w.shown("gw.home.test", nil); err != nil || !again.Equal(served) {
		t.Errorf("after a restart without the CA another certificate is served: %v", err)
	}
}

// The CA is down at the first start: mail is taken all the same, with the key that the certificate will be for. It
// comes at a reload once the CA is back.
func TestWithoutTheCAMailIsTaken(t *testing.T) {
	t.Parallel()
	w := newACMEWorld(t, "acme")
	port := peers.FreePort(t, "127.0.0.1")
	w.directory(fmt.Sprintf("https://ca.test:%d/dir", port), "")
	w.Start("")
	first, err := w.shown("gw.home.test", nil)
	if err != nil {
		t.Fatal(err)
	}
	if out := w.Postern("records", "home.test"); !strings.Contains(out, "3 1 1 "+keyOf(first)) {
		t.Errorf("the TLSA record of its key is not printed:\n%s", out)
	}
	w.Send("anna@home.test", "without", "berta@home.test")
	w.Await("berta@home.test", harness.In("delivered"))
	harness.Eventually(t, harness.Patience, "the failure is told", func() bool { return strings.Contains(w.Log(), "certificate-order-failed") })
	ca := w.pebble(peers.PebbleOptions{Life: time.Hour, Port: port}, "")
	_, roots := ca.Root(t)
	w.Run("", "reload")
	if leaf := w.awaits(harness.Patience, "gw.home.test", roots, nil); keyOf(leaf) != keyOf(first) {
		t.Error("the certificate is for another key than was served before")
	}
}

// By TLS alone, with an account that the CA knows, and with a name that leads nowhere.
func TestACertificateByTLSWithAnAccountAndWithoutAName(t *testing.T) {
	t.Parallel()
	w := newACMEWorld(t, "web")
	const secret = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
	w.Write("eab.key", []byte(secret+"=\n"))
	ca := w.pebble(peers.PebbleOptions{Life: time.Hour, Accounts: map[string]string{"kid-1": secret}},
		`, eab = { key_id = "kid-1", key = "eab.key" }, names = ["gw.home.test", "mta-sts.home.test", "mta-sts.nowhere.test"]`)
	_, roots := ca.Root(t)
	w.Start("")
	leaf := w.awaits(2*harness.Patience, "mta-sts.home.test", roots, nil)
	if got := strings.Join(leaf.DNSNames, " "); got != "gw.home.test mta-sts.home.test" {
		t.Errorf("it is for %s", got)
	}
	if log := w.Log(); !strings.Contains(log, "missing=mta-sts.nowhere.test") {
		t.Error("the name that is missing is not told")
	}
	if w.Settings["tls.acme"] = strings.Replace(w.Settings["tls.acme"], "eab.key", "other.key", 1); true {
		w.Configure()
		if out := w.Run("", "config", "check"); out.Code == 0 || !strings.Contains(out.Stderr, "tls.acme.eab") {
			t.Errorf("a secret that is not there: %d\n%s", out.Code, out.Stderr)
		}
	}
}

// A key that is to come: its record is printed first, then it is named, and the certificate follows.
func TestThePlannedChangeOfAKey(t *testing.T) {
	t.Parallel()
	w := newACMEWorld(t, "acme", "web")
	ca := w.pebble(peers.PebbleOptions{Life: time.Hour}, "")
	_, roots := ca.Root(t)
	next := w.CA.Issue(pki.Options{Names: []string{"next.test"}})
	w.Write("next.pem", next.KeyPEM)
	w.Settings["tls.next_keys"] = `["next.pem"]`
	w.Start("")
	old, want := w.awaits(harness.Patience, "gw.home.test", roots, nil), keyOf(next.TLS.Leaf)
	out := w.Postern("records", "home.test")
	_, page, err := w.fetch("https://gw.home.test/certificates.txt", roots)
	for what, text := range map[string]string{"records": out, "the page for partners": page} {
		if !strings.Contains(text, "3 1 1 "+want) || !strings.Contains(text, "3 1 1 "+keyOf(old)) {
			t.Errorf("%s (%v):\n%s", what, err, text)
		}
	}
	w.Settings["tls.next_keys"] = `[]`
	w.directory(ca.Directory, `, key = "next.pem"`)
	w.Configure()
	w.Restart()
	w.awaits(harness.Patience, "gw.home.test", roots, func(c *x509.Certificate) bool { return keyOf(c) == want })
}
