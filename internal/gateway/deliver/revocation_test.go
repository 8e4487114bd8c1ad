package deliver_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ocsp"

	"postern/internal/gateway/deliver"
	"postern/internal/lab/partner"
	"postern/internal/lab/pki"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/policy/revoke"
	"postern/internal/smtp/smtpclient"
)

// oracle answers as it is told and counts who asks.
type oracle struct {
	says   policy.RevocationAnswer
	asked  int
	blocks bool // answers only when the time is over
	chains int
	staple string
}

func (o *oracle) Check(ctx context.Context, chains [][]*x509.Certificate, staple []byte) policy.RevocationAnswer {
	o.asked++
	o.chains, o.staple = len(chains), string(staple)
	if o.blocks {
		<-ctx.Done()
		return policy.RevocationAnswer{Status: policy.RevocationNotSaid, Detail: "too slow"}
	}
	return o.says
}

func (w *world) revoking(r deliver.Revocation) *deliver.Deliverer {
	return deliver.New(deliver.Config{
		Dialer: w.net.Dialer("192.0.2.1"), SMTP: smtpclient.Config{Hello: "gw.example.test"}, Revocation: r,
		Roots: func(...string) (map[string]*x509.CertPool, error) { return w.roots, nil },
	})
}

func asking(setting policy.Revocation) policy.Requirement {
	r := forced
	r.Revocation = setting
	return r
}

const (
	off     = policy.RevocationOff
	check   = policy.RevocationCheck
	require = policy.RevocationRequire
)

func TestRevocationIsJudgedAsTheRuleSays(t *testing.T) {
	good := policy.RevocationAnswer{Status: policy.NotRevoked, Source: "crl", AsOf: now().Add(-time.Hour)}
	revoked := policy.RevocationAnswer{Status: policy.Revoked, Source: "ocsp", Detail: "said so"}
	unknown := policy.RevocationAnswer{Status: policy.RevocationNotSaid, Detail: "nobody knows"}
	unstapled := unknown
	unstapled.Unstapled = true
	for _, c := range []struct {
		name    string
		setting policy.Revocation
		says    policy.RevocationAnswer
		reason  policy.Reason
		note    string
	}{
		{"good, off", off, good, "", "revocation-not-checked"},
		{"good, check", check, good, "", ""},
		{"good, require", require, good, "", ""},
		{"revoked, off", off, revoked, "", "revocation-not-checked"},
		{"revoked, check", check, revoked, policy.CertRevoked, ""},
		{"revoked, require", require, revoked, policy.CertRevoked, ""},
		{"unknown, off", off, unknown, "", "revocation-not-checked"},
		{"unknown, check", check, unknown, "", "revocation-unknown"},
		{"unknown, require", require, unknown, policy.RevocationUnknown, ""},
		{"must-staple broken, off", off, unstapled, "", "revocation-not-checked"},
		{"must-staple broken, check", check, unstapled, policy.RevocationUnknown, ""},
		{"must-staple broken, require", require, unstapled, policy.RevocationUnknown, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				defer w.close()
				tc := w.cert(pki.Options{})
				tc.Certificates[0].OCSPStaple = []byte("the staple")
				w.mx("mx1.clinic.test", partner.Behaviour{TLS: tc})
				o := &oracle{says: c.says}
				got := w.send(w.revoking(o), asking(c.setting))
				if at, _ := w.took(); got.Attempt.Reason != c.reason || (at == "") != (c.reason != "") {
					t.Fatalf("reason %q, delivered at %q; want %q", got.Attempt.Reason, at, c.reason)
				}
				if c.setting == off {
					if o.asked != 0 {
						t.Error("revocation was looked up though it is off")
					}
				} else if o.asked != 1 || o.chains != 1 || o.staple != "the staple" {
					t.Errorf("asked %d times about %d chains with the staple %q", o.asked, o.chains, o.staple)
				}
				var notes []string
				for _, n := range got.Attempt.Notes {
					if n != string(policy.MXUnproven) {
						notes = append(notes, n)
					}
				}
				if strings.Join(notes, " ") != c.note {
					t.Errorf("notes %q, want %q", notes, c.note)
				}
				e := got.Attempt.Tries[0].Evidence
				if c.setting != off && (e.Revocation != c.says.Status || e.RevocationSource != c.says.Source || e.RevocationDetail != c.says.Detail) {
					t.Errorf("evidence %+v", e)
				}
			})
		})
	}
}

func TestWithoutAnybodyToAskRevocationIsUnknown(t *testing.T) {
	for setting, reason := range map[policy.Revocation]policy.Reason{check: "", require: policy.RevocationUnknown} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			defer w.close()
			w.mx("mx1.clinic.test", partner.Behaviour{TLS: w.cert(pki.Options{})})
			got := w.send(w.revoking(nil), asking(setting))
			if got.Attempt.Reason != reason || reason == "" && !slices.Contains(got.Attempt.Notes, "revocation-unknown") {
				t.Errorf("reason %q, notes %q", got.Attempt.Reason, got.Attempt.Notes)
			}
		})
	}
}

func TestNobodyIsAskedForNothing(t *testing.T) {
	encrypted := policy.Requirement{Channel: policy.Encrypted, Revocation: require}
	for name, c := range map[string]struct {
		require policy.Requirement
		cert    pki.Options
	}{
		"ordinary mail":                         {policy.Requirement{}, pki.Options{}},
		"ordinary mail that aims higher":        {policy.Requirement{Aim: policy.Authenticated}, pki.Options{}},
		"mail that is only to be encrypted":     {encrypted, pki.Options{}},
		"forced mail, look-ups off":             {asking(off), pki.Options{}},
		"forced mail to an expired certificate": {asking(require), pki.Options{NotAfter: time.Date(1999, 12, 31, 0, 0, 0, 0, time.UTC)}},
		"forced mail to another name":           {asking(require), pki.Options{Names: []string{"other.test"}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				defer w.close()
				w.mx("mx1.clinic.test", partner.Behaviour{TLS: w.cert(c.cert)})
				o := &oracle{says: policy.RevocationAnswer{Status: policy.Revoked}}
				d := w.revoking(o)
				if got := d.Open(context.Background(), "site", &w.plan, c.require, nil); got.Channel != nil {
					defer got.Channel.Close()
					time.Sleep(2 * time.Second)
					_, _ = got.Channel.Send(context.Background(), deliver.Terms{Requirement: c.require}, &smtpclient.Transaction{
						Recipients: []mail.Recipient{{Address: mail.MustAddress("b@clinic.test")}}, Body: strings.NewReader("x\r\n")})
					got.Channel.Would(asking(require)) // a rule under test asks nobody either
				}
				if o.asked != 0 {
					t.Errorf("asked %d times", o.asked)
				}
			})
		})
	}
}

func TestRevocationIsJudgedAgainBeforeEachMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		w.mx("mx1.clinic.test", partner.Behaviour{TLS: w.cert(pki.Options{})})
		o := &oracle{says: policy.RevocationAnswer{Status: policy.NotRevoked, Until: now().Add(time.Hour)}}
		r := asking(require)
		c := w.revoking(o).Open(context.Background(), "site", &w.plan, r, nil).Channel
		if c == nil {
			t.Fatal("no channel")
		}
		defer c.Close()
		send := func() error {
			_, err := c.Send(context.Background(), deliver.Terms{Requirement: r}, &smtpclient.Transaction{
				Recipients: []mail.Recipient{{Address: mail.MustAddress("b@clinic.test")}}, Body: strings.NewReader("Subject: x\r\n\r\n")})
			return err
		}
		o.blocks = true
		time.Sleep(2 * time.Second)
		start := time.Now()
		if err := send(); err != nil || time.Since(start) > time.Second {
			t.Fatalf("a slow look-up: %v after %s; what was said before still counts", err, time.Since(start))
		}
		o.blocks, o.says = false, policy.RevocationAnswer{Status: policy.Revoked, Detail: "an hour ago"}
		time.Sleep(2 * time.Second)
		var lapsed *deliver.Lapsed
		if err := send(); !errors.As(err, &lapsed) || lapsed.Shortfalls[0].Reason != policy.CertRevoked {
			t.Fatalf("after the revocation became known: %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		w.mx("mx1.clinic.test", partner.Behaviour{TLS: w.cert(pki.Options{})})
		o := &oracle{says: policy.RevocationAnswer{Status: policy.NotRevoked, Until: now().Add(time.Hour)}}
		r := asking(require)
		c := w.revoking(o).Open(context.Background(), "site", &w.plan, r, nil).Channel
		defer c.Close()
		o.blocks = true
		time.Sleep(2 * time.Hour) // the answer has run out
		var lapsed *deliver.Lapsed
		_, err := c.Send(context.Background(), deliver.Terms{Requirement: r}, &smtpclient.Transaction{Body: strings.NewReader("")})
		if !errors.As(err, &lapsed) || lapsed.Shortfalls[0].Reason != policy.RevocationUnknown {
			t.Fatalf("after the answer ran out: %v", err)
		}
	})
}

// authority is a CA whose lists and responder are on the network of the world.
type authority struct {
	requests atomic.Int64
	pages    map[string][]byte
}

func (a *authority) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	a.requests.Add(1)
	if page, ok := a.pages[r.URL.Path]; ok {
		_, _ = out.Write(page)
		return
	}
	http.NotFound(out, r)
}

// published replaces the world's CA by one that publishes, and returns a checker that asks it.
func (w *world) published() (*authority, *revoke.Checker, func()) {
	a := &authority{pages: map[string][]byte{}}
	w.ca = pki.NewRoot(time.Now(), pki.Root{Name: "Publishing CA", CRLs: []string{"http://ca.test/root.crl"}})
	w.roots[policy.PublicTrust] = w.ca.Pool()
	a.pages["/root.crl"] = w.ca.CRL(pki.CRL{Signer: pki.ByRoot})
	l, err := w.net.Listen("203.0.113.5:80")
	if err != nil {
		w.t.Fatal(err)
	}
	server := &http.Server{Handler: a}
	done := make(chan struct{})
	go func() { _ = server.Serve(l); close(done) }()
	checker, err := revoke.New(revoke.Config{
		Dialer: w.net.Dialer("192.0.2.1"),
		Lookup: func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("203.0.113.5")}, nil
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return a, checker, func() { checker.Close(); _ = server.Close(); <-done }
}

func TestAPublishedRevocationReachesTheVerdict(t *testing.T) {
	options := pki.Options{Names: []string{"mx1.clinic.test"}, CRLs: []string{"http://ca.test/sub.crl"}, OCSP: []string{"http://ca.test/ocsp"}}
	for _, c := range []struct {
		name    string
		require policy.Requirement
		build   func(w *world, a *authority, cert *pki.Certificate)
		reason  policy.Reason
		source  string
		none    bool // no request may be made
	}{
		{"a CRL that lists the certificate", asking(check), func(w *world, a *authority, cert *pki.Certificate) {
			a.pages["/sub.crl"] = w.ca.CRL(pki.CRL{Revoked: []*x509.Certificate{cert.Leaf}, Reason: 1})
		}, policy.CertRevoked, "crl", false},
		{"a CRL that does not", asking(require), func(w *world, a *authority, _ *pki.Certificate) {
			a.pages["/sub.crl"] = w.ca.CRL(pki.CRL{})
		}, "", "crl", false},
		{"nothing to be had, check", asking(check), func(*world, *authority, *pki.Certificate) {}, "", "", false},
		{"nothing to be had, require", asking(require), func(*world, *authority, *pki.Certificate) {}, policy.RevocationUnknown, "", false},
		{"a staple that says revoked", asking(check), func(w *world, _ *authority, cert *pki.Certificate) {
			cert.TLS.OCSPStaple = w.ca.Answer(pki.Answer{Cert: cert.Leaf, Status: ocsp.Revoked})
		}, policy.CertRevoked, "staple", false},
		{"a staple that says good", asking(require), func(w *world, _ *authority, cert *pki.Certificate) {
			cert.TLS.OCSPStaple = w.ca.Answer(pki.Answer{Cert: cert.Leaf})
		}, "", "staple+crl", false},
		{"ordinary mail", policy.Requirement{}, func(w *world, a *authority, cert *pki.Certificate) {
			a.pages["/sub.crl"] = w.ca.CRL(pki.CRL{Revoked: []*x509.Certificate{cert.Leaf}})
		}, "", "", true},
		{"forced mail with look-ups off", asking(off), func(w *world, a *authority, cert *pki.Certificate) {
			a.pages["/sub.crl"] = w.ca.CRL(pki.CRL{Revoked: []*x509.Certificate{cert.Leaf}})
		}, "", "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				defer w.close()
				a, checker, stop := w.published()
				defer stop()
				cert := w.ca.Issue(options)
				c.build(w, a, cert)
				w.mx("mx1.clinic.test", partner.Behaviour{TLS: &tls.Config{Certificates: []tls.Certificate{cert.TLS}}})
				got := w.send(w.revoking(checker), c.require)
				at, _ := w.took()
				if got.Attempt.Reason != c.reason || (at == "") != (c.reason != "") {
					t.Fatalf("reason %q (%s), delivered at %q; want %q", got.Attempt.Reason, got.Attempt.Text, at, c.reason)
				}
				if c.reason == policy.CertRevoked && len(w.partners["192.0.2.10"].Messages()) > 0 {
					t.Error("a message went over the connection of a revoked certificate")
				}
				for _, cmd := range w.partners["192.0.2.10"].Commands() {
					if cmd.Verb == "MAIL" && c.reason != "" {
						t.Errorf("%s was said", cmd.Line)
					}
				}
				e := got.Attempt.Tries[0].Evidence
				if e.RevocationSource != c.source || (c.source != "") == e.RevocationAsOf.IsZero() {
					t.Errorf("source %q as of %s, want %q: %s", e.RevocationSource, e.RevocationAsOf, c.source, e.RevocationDetail)
				}
				if n := a.requests.Load(); c.none && n > 0 {
					t.Errorf("%d requests", n)
				}
			})
		})
	}
}

func TestAResumedSessionIsJudgedByItsStapleOfToday(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		_, checker, stop := w.published()
		defer stop()
		cert := w.ca.Issue(pki.Options{Names: []string{"mx1.clinic.test"}})
		cert.TLS.OCSPStaple = w.ca.Answer(pki.Answer{Cert: cert.Leaf, NextUpdate: now().Add(time.Hour)})
		w.mx("mx1.clinic.test", partner.Behaviour{TLS: &tls.Config{Certificates: []tls.Certificate{cert.TLS}}})
		d := w.revoking(checker)
		for range 2 {
			if c := w.send(d, asking(require)); c.Channel == nil {
				t.Fatalf("%q: %s", c.Attempt.Reason, c.Attempt.Text)
			}
		}
		time.Sleep(2 * time.Hour)
		if c := w.send(d, asking(require)); c.Channel != nil || c.Attempt.Reason != policy.RevocationUnknown {
			t.Fatalf("with a staple that ran out in the ticket's life: %q", c.Attempt.Reason)
		}
	})
}
