package acceptance

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"postern/internal/lab/partner"
	"postern/internal/lab/pki"
	"postern/test/harness"
)

// publisher is the CA's web server on the loopback: lists by path, and which paths were asked for.
type publisher struct {
	url string

	mu    sync.Mutex
	lists map[string][]byte
	asked []string
}

func (p *publisher) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, r.URL.Path)
	if list, ok := p.lists[r.URL.Path]; ok {
		_, _ = out.Write(list)
		return
	}
	http.NotFound(out, r)
}

func (p *publisher) requests(path string) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range p.asked {
		if a == path {
			n++
		}
	}
	return n
}

// publishes starts the CA's web server. The gateway may look it up only because its network is named.
func (w *world) publishes() *publisher {
	p := &publisher{lists: map[string][]byte{}}
	server := httptest.NewServer(p)
	w.T.Cleanup(server.Close)
	_, port, _ := strings.Cut(strings.TrimPrefix(server.URL, "http://"), ":")
	w.Record("ca.world.test A 127.0.0.1")
	p.url = fmt.Sprintf("http://ca.world.test:%s", port)
	w.Settings["delivery.revocation_networks"] = `["127.0.0.1/32"]`
	return p
}

// issued is a certificate of the root for mx.NAME.test whose list stands at /NAME.crl.
func (w *world) issued(p *publisher, name string) *pki.Certificate {
	return w.CA.Issue(pki.Options{Names: []string{"mx." + name + ".test"}, Intermediates: []pki.Intermediate{}, CRLs: []string{p.url + "/" + name + ".crl"}})
}

func serving(c *pki.Certificate) partner.Behaviour {
	return partner.Behaviour{TLS: &tls.Config{Certificates: []tls.Certificate{c.TLS}}}
}

func TestARevokedCertificateIsRefusedAsTheRuleSays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.publishes()
	var rules strings.Builder
	for _, c := range []struct{ name, setting string }{
		{"revoked", `revocation = "check"`}, {"default", ""}, {"fine", `revocation = "require"`},
		{"silent", `revocation = "check"`}, {"strict", `revocation = "require"`}, {"off", `revocation = "off"`}, {"ordinary", "-"},
	} {
		cert := w.issued(p, c.name)
		switch c.name {
		case "revoked", "default", "off", "ordinary":
			p.lists["/"+c.name+".crl"] = w.CA.CRL(pki.CRL{Signer: pki.ByRoot, Revoked: []*x509.Certificate{cert.Leaf}, Reason: 1})
		case "fine":
			p.lists["/"+c.name+".crl"] = w.CA.CRL(pki.CRL{Signer: pki.ByRoot})
		}
		w.Domain(c.name+".test", serving(cert))
		if c.setting != "-" {
			rules.WriteString(harness.Force(c.name, fmt.Sprintf("%q", c.name+".test"), c.setting, `defer = "60s"`))
		}
	}
	w.Start(rules.String())
	for _, to := range []string{"revoked", "default", "fine", "silent", "strict", "off", "ordinary"} {
		w.Send("anna@home.test", "revocation", "a@"+to+".test")
	}
	for to, reason := range map[string]string{"revoked": "cert-revoked", "default": "cert-revoked", "strict": "revocation-unknown"} {
		got := w.Await("a@"+to+".test", harness.Waits(reason))
		if lines := harness.Forbidden(w.Hosts["mx."+to+".test"], false); len(lines) > 0 {
			t.Errorf("%s heard %q", to, lines)
		}
		if want := map[string]string{"cert-revoked": "key was compromised", "revocation-unknown": "HTTP status 404"}[reason]; !strings.Contains(got.Text, want) {
			t.Errorf("%s: the text %q does not say %q", to, got.Text, want)
		}
	}
	for to, note := range map[string]string{"fine": "", "silent": "revocation-unknown", "off": "revocation-not-checked", "ordinary": ""} {
		got := w.Await("a@"+to+".test", harness.In("delivered"))
		for _, n := range []string{"revocation-unknown", "revocation-not-checked"} {
			if slices.Contains(got.Notes, n) != (n == note) {
				t.Errorf("%s: notes %q, want %q", to, got.Notes, note)
			}
		}
		if to == "fine" && (!strings.Contains(got.Raw, `"revocation":"good","revocation_source":"crl","revocation_as_of":"`) ||
			!strings.Contains(got.Raw, `"revocation_age_s":3`)) {
			t.Errorf("the trace says neither source nor age: %s", got.Raw)
		}
	}
	for _, quiet := range []string{"/off.crl", "/ordinary.crl"} {
		if p.requests(quiet) > 0 {
			t.Errorf("%s was asked for", quiet)
		}
	}
	if n := p.requests("/fine.crl"); n != 1 {
		t.Errorf("%d requests for one list", n)
	}

	w.Hosts["mx.revoked.test"].Set(serving(w.issued(p, "revoked"))) // a new certificate, as its administrator must
	p.mu.Lock()
	p.lists["/strict.crl"] = w.CA.CRL(pki.CRL{Signer: pki.ByRoot}) // and the CA is back
	p.mu.Unlock()
	w.Await("a@revoked.test", harness.In("delivered"))
	w.Run("", "queue", "retry", "strict.test") // its own next try may be under way
	w.Await("a@strict.test", harness.In("delivered"))

	before := p.requests("/fine.crl")
	w.Restart()
	w.Send("anna@home.test", "again", "a@fine.test")
	w.Await("a@fine.test", func(tr harness.Trace) bool { return tr.State == "delivered" && tr.AttemptCount > 0 })
	if after := p.requests("/fine.crl"); after != before {
		t.Errorf("the list was fetched again after a restart")
	}
}

func TestAListInAPrivateNetworkIsNotAskedForUnlessItIsNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.publishes()
	delete(w.Settings, "delivery.revocation_networks")
	p.lists["/inside.crl"] = w.CA.CRL(pki.CRL{Signer: pki.ByRoot})
	w.Domain("inside.test", serving(w.issued(p, "inside")))
	w.Start(harness.Force("inside", `"inside.test"`, `revocation = "require"`))
	w.Send("anna@home.test", "x", "a@inside.test")
	if got := w.Await("a@inside.test", harness.Waits("revocation-unknown")); !strings.Contains(got.Text, "private address 127.0.0.1") {
		t.Errorf("the text does not say why: %s", got.Text)
	}
	if n := p.requests("/inside.crl"); n > 0 {
		t.Errorf("%d requests to the loopback", n)
	}
}
