package revoke_test

import (
	"crypto/x509"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"postern/internal/lab/pki"
	"postern/internal/mail"
	"postern/internal/policy"
)

var mailTLS = mail.TLS{}

// What the settings off, check and require make of the answers.
const (
	good    = "pass pass pass"
	revoked = "pass cert-revoked cert-revoked"
	dark    = "pass pass revocation-unknown"
	broken  = "pass revocation-unknown revocation-unknown"
)

// situations are acceptance point 2: a CRL that lists the certificate, an expired one, an unreachable one, each kind of
// staple, and what else a CA or a stranger can do.
var situations = []struct {
	name  string
	build func(w *world) (chain []*x509.Certificate, staple []byte)
	want  string // under off, check, require
	says  string // somewhere in the detail
}{
	{"a CRL that does not list the certificate", crlOf(pki.CRL{Strangers: 3}), good, "not revoked, says the CRL"},
	{"a CRL that lists the certificate", revokedBy(pki.CRL{Reason: 1, Strangers: 3}), revoked, "key was compromised"},
	{"a CRL that holds the certificate", revokedBy(pki.CRL{Reason: 6}), revoked, "on hold"},
	{"an expired CRL", crlOf(pki.CRL{ThisUpdate: ago(48), NextUpdate: ago(1)}), dark, "ran out at"},
	{"an expired CRL that lists the certificate", revokedBy(pki.CRL{Reason: 4, ThisUpdate: ago(48), NextUpdate: ago(1)}), revoked, "superseded"},
	{"an expired CRL that held the certificate", revokedBy(pki.CRL{Reason: 6, ThisUpdate: ago(48), NextUpdate: ago(1)}), dark, "ran out at"},
	{"a CRL from the future", crlOf(pki.CRL{ThisUpdate: ago(-2)}), dark, "from the future"},
	{"a CRL of a clock a little ahead", crlOf(pki.CRL{ThisUpdate: bubbleStart.Add(time.Minute)}), good, ""},
	{"a CRL signed by a stranger", crlOf(pki.CRL{Signer: pki.ByStranger}), dark, "not the issuer's"},
	{"a CRL of another issuer", crlOf(pki.CRL{Signer: pki.ByRoot}), dark, "of another issuer"},
	{"a delta CRL", crlOf(pki.CRL{Delta: true}), dark, "delta CRL"},
	{"an indirect CRL", crlOf(pki.CRL{Indirect: true}), dark, "indirect CRL"},
	{"a CRL of some reasons", crlOf(pki.CRL{SomeReasons: true}), dark, "some reasons"},
	{"a CRL for users", crlOf(pki.CRL{OnlyUsers: true}), good, ""},
	{"a CRL for CAs", crlOf(pki.CRL{OnlyCAs: true}), dark, "another kind"},
	{"a CRL for attributes", crlOf(pki.CRL{OnlyAttributes: true}), dark, "another kind"},
	{"a CRL for this distribution point", crlOf(pki.CRL{Points: []string{"http://ca.test/other.crl", subList}}), good, ""},
	{"a CRL for another distribution point", crlOf(pki.CRL{Points: []string{"http://ca.test/other.crl"}}), dark, "another distribution point"},
	{"a CRL with a critical extension", crlOf(pki.CRL{CriticalUnknown: true}), dark, "not understood"},
	{"a CRL with critical entries", crlOf(pki.CRL{CriticalEntry: true, Strangers: 1}), dark, "not understood"},
	{"a CRL in PEM armour", func(w *world) ([]*x509.Certificate, []byte) {
		w.serve(subList, pemCRL(w.ca.CRL(pki.CRL{})))
		return w.listed(), nil
	}, good, ""},
	{"garbage for a CRL", func(w *world) ([]*x509.Certificate, []byte) {
		w.serve(subList, []byte("<html>not found</html>"))
		return w.listed(), nil
	}, dark, "no CRL"},
	{"a CRL that is not there", func(w *world) ([]*x509.Certificate, []byte) { return w.listed(), nil }, dark, "HTTP status 404"},
	{"a CRL on a host that is gone", func(w *world) ([]*x509.Certificate, []byte) {
		return w.chain(pki.Options{CRLs: []string{"http://gone.test/x.crl"}}), nil
	}, dark, "cannot be resolved"},
	{"a CRL where nobody listens", func(w *world) ([]*x509.Certificate, []byte) {
		return w.chain(pki.Options{CRLs: []string{"http://ca.test:8080/x.crl"}}), nil
	}, dark, "no server listens"},
	{"a CRL that is too large", func(w *world) ([]*x509.Certificate, []byte) {
		w.page(subList, func(out http.ResponseWriter, _ *http.Request) {
			for range 64 {
				_, _ = out.Write(make([]byte, 1<<20))
			}
		})
		return w.listed(), nil
	}, dark, "larger than"},
	{"a CRL that drips", func(w *world) ([]*x509.Certificate, []byte) {
		w.page(subList, drip)
		return w.listed(), nil
	}, dark, "in time"},
	{"a CRL behind a redirect to HTTPS", func(w *world) ([]*x509.Certificate, []byte) {
		w.page(subList, func(out http.ResponseWriter, r *http.Request) {
			http.Redirect(out, r, "https://ca.test/sub.crl", http.StatusFound)
		})
		return w.listed(), nil
	}, dark, "not plain HTTP"},
	{"a CRL behind a redirect into our own network", func(w *world) ([]*x509.Certificate, []byte) {
		w.page(subList, func(out http.ResponseWriter, r *http.Request) {
			http.Redirect(out, r, "http://10.0.0.1/admin?delete=all", http.StatusFound)
		})
		return w.listed(), nil
	}, dark, "private address 10.0.0.1"},
	{"a CRL behind redirects without end", func(w *world) ([]*x509.Certificate, []byte) {
		w.page(subList, func(out http.ResponseWriter, r *http.Request) { http.Redirect(out, r, subList, http.StatusFound) })
		return w.listed(), nil
	}, dark, "without end"},
	{"a CRL behind a redirect", func(w *world) ([]*x509.Certificate, []byte) {
		w.serve("http://ca.test/new.crl", w.ca.CRL(pki.CRL{}))
		w.page(subList, func(out http.ResponseWriter, r *http.Request) {
			http.Redirect(out, r, "http://ca.test/new.crl", http.StatusFound)
		})
		return w.listed(), nil
	}, good, ""},
	{"two distribution points, the first dead", func(w *world) ([]*x509.Certificate, []byte) {
		w.serve(subList, w.ca.CRL(pki.CRL{}))
		return w.chain(pki.Options{CRLs: []string{"http://ca.test/dead.crl", subList}}), nil
	}, good, ""},
	{"a distribution point of some reasons", func(w *world) ([]*x509.Certificate, []byte) {
		w.serve(subList, w.ca.CRL(pki.CRL{}))
		return w.chain(points(pki.Point{URL: subList, SomeReasons: true})), nil
	}, dark, "some reasons"},
	{"a distribution point of another issuer", func(w *world) ([]*x509.Certificate, []byte) {
		w.serve(subList, w.ca.CRL(pki.CRL{}))
		return w.chain(points(pki.Point{URL: subList, CRLIssuer: w.ca.Root().RawSubject})), nil
	}, dark, "indirect"},
	{"a distribution point that names the issuer itself", func(w *world) ([]*x509.Certificate, []byte) {
		w.serve(subList, w.ca.CRL(pki.CRL{}))
		return w.chain(points(pki.Point{URL: subList, CRLIssuer: w.ca.Intermediate().RawSubject})), nil
	}, good, ""},
	{"only an LDAP address", func(w *world) ([]*x509.Certificate, []byte) {
		return w.chain(pki.Options{CRLs: []string{"ldap://ca.test/cn=crl"}}), nil
	}, dark, "no HTTP address"},
	{"nothing to ask", func(w *world) ([]*x509.Certificate, []byte) { return w.chain(pki.Options{}), nil }, dark, "no CRL and no OCSP"},
	{"a certificate of six days with nothing to ask", func(w *world) ([]*x509.Certificate, []byte) {
		return w.chain(pki.Options{NotBefore: ago(24), NotAfter: ago(-5 * 24)}), nil
	}, good, "seven days"},
	{"an issuer that says it revokes nothing", func(w *world) ([]*x509.Certificate, []byte) {
		return w.chain(pki.Options{Extensions: extensions(pki.NoRevocation())}), nil
	}, good, "gives no revocation information"},
	{"a revoked intermediate", func(w *world) ([]*x509.Certificate, []byte) {
		w.serve(subList, w.ca.CRL(pki.CRL{}))
		w.serve(rootList, w.ca.CRL(pki.CRL{Signer: pki.ByRoot, Revoked: []*x509.Certificate{w.ca.Intermediate()}, Reason: 2}))
		return w.listed(), nil
	}, revoked, "the intermediate certificate CN=Test CA intermediate,O=Postern laboratory was revoked"},
	{"an intermediate of which nothing is known", func(w *world) ([]*x509.Certificate, []byte) {
		w.serve(subList, w.ca.CRL(pki.CRL{}))
		w.page(rootList, http.NotFound)
		return w.listed(), nil
	}, dark, "the intermediate certificate"},
	{"a leaf below the root", func(w *world) ([]*x509.Certificate, []byte) {
		w.serve(subList, w.ca.CRL(pki.CRL{Signer: pki.ByRoot}))
		return w.chain(pki.Options{Intermediates: []pki.Intermediate{}, CRLs: []string{subList}}), nil
	}, good, ""},

	{"a staple that says good", stapled(pki.Answer{}), good, "stapled OCSP answer"},
	{"a staple that says revoked", stapled(pki.Answer{Status: ocsp.Revoked, Reason: 1}), revoked, "key was compromised"},
	{"a stale staple", stapled(pki.Answer{ThisUpdate: ago(96), NextUpdate: ago(1)}), dark, "ran out at"},
	{"a staple from the future", stapled(pki.Answer{ThisUpdate: ago(-2)}), dark, "from the future"},
	{"a staple without end, of today", stapled(pki.Answer{Endless: true}), good, ""},
	{"a staple without end, of last week", stapled(pki.Answer{Endless: true, ThisUpdate: ago(7 * 24)}), dark, "ran out at"},
	{"a staple that knows nothing", stapled(pki.Answer{Status: ocsp.Unknown}), dark, "does not know"},
	{"a staple about another serial", stapled(pki.Answer{Serial: pki.New(time.Now(), "x").Root().SerialNumber}), dark, "another certificate"},
	{"a staple signed by a stranger", stapled(pki.Answer{Signer: pki.ByStranger}), dark, "not the issuer's"},
	{"a staple about another issuer", stapled(pki.Answer{Signer: pki.ByRoot}), dark, "another issuer"},
	{"a staple by an appointed responder", stapled(pki.Answer{Delegate: pki.Appointed}), good, ""},
	{"a staple by a usurper", stapled(pki.Answer{Delegate: pki.Usurper}), dark, "OCSPSigning"},
	{"a staple by a retired responder", stapled(pki.Answer{Delegate: pki.Retired}), dark, "valid from"},
	{"a staple with the issuer's certificate", stapled(pki.Answer{SendIssuer: true}), good, ""},
	{"garbage for a staple", func(w *world) ([]*x509.Certificate, []byte) {
		return w.chain(pki.Options{}), []byte("nonsense")
	}, dark, "no OCSP response"},
	{"an error for a staple", func(w *world) ([]*x509.Certificate, []byte) {
		return w.chain(pki.Options{}), ocsp.TryLaterErrorResponse
	}, dark, "refused"},
	{"a stale staple and a good CRL", func(w *world) ([]*x509.Certificate, []byte) {
		w.serve(subList, w.ca.CRL(pki.CRL{}))
		chain := w.listed()
		return chain, w.ca.Answer(pki.Answer{Cert: chain[0], ThisUpdate: ago(96), NextUpdate: ago(1)})
	}, good, "says the CRL"},
	{"a good staple and a CRL that would say revoked", func(w *world) ([]*x509.Certificate, []byte) {
		chain := w.listed()
		w.serve(subList, w.ca.CRL(pki.CRL{Revoked: chain[:1]}))
		return chain, w.ca.Answer(pki.Answer{Cert: chain[0]})
	}, good, "stapled"},

	{"must-staple with a good staple", promised(func(a *pki.Answer) {}), good, ""},
	{"must-staple with a revoked staple", promised(func(a *pki.Answer) { a.Status = ocsp.Revoked }), revoked, ""},
	{"must-staple with a stale staple", promised(func(a *pki.Answer) { a.ThisUpdate, a.NextUpdate = ago(96), ago(1) }), broken, "ran out at"},
	{"must-staple without a staple, and a good CRL", func(w *world) ([]*x509.Certificate, []byte) {
		w.serve(subList, w.ca.CRL(pki.CRL{}))
		return w.chain(pki.Options{CRLs: []string{subList}, MustStaple: true}), nil
	}, broken, "stapled no OCSP answer"},

	{"a responder that says good", answered(pki.Answer{}), good, "the OCSP responder"},
	{"a responder that says revoked", answered(pki.Answer{Status: ocsp.Revoked, Reason: 5}), revoked, "no longer used"},
	{"a responder that does not know", answered(pki.Answer{Status: ocsp.Unknown}), dark, "does not know"},
	{"a responder whose answers are stale", answered(pki.Answer{ThisUpdate: ago(96), NextUpdate: ago(1)}), dark, "ran out at"},
	{"a responder that speaks for another", answered(pki.Answer{Signer: pki.ByStranger}), dark, "not the issuer's"},
	{"a responder that refuses", func(w *world) ([]*x509.Certificate, []byte) {
		w.page(ocspHost, func(out http.ResponseWriter, _ *http.Request) { _, _ = out.Write(ocsp.UnauthorizedErrorResponse) })
		return w.chain(pki.Options{OCSP: []string{ocspHost}}), nil
	}, dark, "refused (unauthorized)"},
	{"a responder that talks nonsense", func(w *world) ([]*x509.Certificate, []byte) {
		w.page(ocspHost, func(out http.ResponseWriter, _ *http.Request) { _, _ = out.Write([]byte("nonsense")) })
		return w.chain(pki.Options{OCSP: []string{ocspHost}}), nil
	}, dark, "no OCSP response"},
	{"a responder that serves POST only", func(w *world) ([]*x509.Certificate, []byte) {
		chain := w.chain(pki.Options{OCSP: []string{ocspHost}})
		w.page(ocspHost, func(out http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/ocsp-request" {
				http.Error(out, "POST", http.StatusMethodNotAllowed)
				return
			}
			_, _ = out.Write(w.ca.Answer(pki.Answer{Cert: chain[0]}))
		})
		return chain, nil
	}, good, ""},
	{"a CRL that drips and a good responder", func(w *world) ([]*x509.Certificate, []byte) {
		w.page(subList, drip)
		chain := w.chain(pki.Options{CRLs: []string{subList}, OCSP: []string{ocspHost}})
		w.responder(pki.Answer{Cert: chain[0]})
		return chain, nil
	}, good, "the OCSP responder"},
	{"an expired CRL and a good responder", func(w *world) ([]*x509.Certificate, []byte) {
		w.serve(subList, w.ca.CRL(pki.CRL{ThisUpdate: ago(48), NextUpdate: ago(1)}))
		chain := w.chain(pki.Options{CRLs: []string{subList}, OCSP: []string{ocspHost}})
		w.responder(pki.Answer{Cert: chain[0]})
		return chain, nil
	}, good, "the OCSP responder"},
}

func TestEachSettingJudgesEachSituation(t *testing.T) {
	for _, s := range situations {
		t.Run(s.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				chain, staple := s.build(w)
				a := w.ask(chain, staple)
				if got := verdicts(a); got != s.want {
					t.Errorf("under off, check, require: %s; want %s\n%+v", got, s.want, a)
				}
				if !strings.Contains(a.Detail, s.says) || a.Detail == "" {
					t.Errorf("the detail %q does not say %q", a.Detail, s.says)
				}
				if known := a.Status != policy.RevocationNotSaid; known != (a.Source != "") || known == a.AsOf.IsZero() {
					t.Errorf("%s has the source %q of %s", a.Status, a.Source, a.AsOf)
				}
			})
		})
	}
}

// bubbleStart is the clock at the beginning of every synctest bubble.
var bubbleStart = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func ago(hours int) time.Time { return bubbleStart.Add(-time.Duration(hours) * time.Hour) }

func crlOf(o pki.CRL) func(w *world) ([]*x509.Certificate, []byte) {
	return func(w *world) ([]*x509.Certificate, []byte) {
		w.serve(subList, w.ca.CRL(o))
		return w.listed(), nil
	}
}

func revokedBy(o pki.CRL) func(w *world) ([]*x509.Certificate, []byte) {
	return func(w *world) ([]*x509.Certificate, []byte) {
		chain := w.listed()
		o.Revoked = chain[:1]
		w.serve(subList, w.ca.CRL(o))
		return chain, nil
	}
}

func stapled(o pki.Answer) func(w *world) ([]*x509.Certificate, []byte) {
	return func(w *world) ([]*x509.Certificate, []byte) {
		chain := w.chain(pki.Options{})
		o.Cert = chain[0]
		return chain, w.ca.Answer(o)
	}
}

func promised(change func(*pki.Answer)) func(w *world) ([]*x509.Certificate, []byte) {
	return func(w *world) ([]*x509.Certificate, []byte) {
		w.serve(subList, w.ca.CRL(pki.CRL{}))
		chain := w.chain(pki.Options{CRLs: []string{subList}, MustStaple: true})
		o := pki.Answer{Cert: chain[0]}
		change(&o)
		return chain, w.ca.Answer(o)
	}
}

func answered(o pki.Answer) func(w *world) ([]*x509.Certificate, []byte) {
	return func(w *world) ([]*x509.Certificate, []byte) {
		chain := w.chain(pki.Options{OCSP: []string{ocspHost}})
		o.Cert = chain[0]
		w.responder(o)
		return chain, nil
	}
}

// drip sends a byte a second, for ever.
func drip(out http.ResponseWriter, r *http.Request) {
	for {
		_, err := out.Write([]byte{0x30})
		_ = http.NewResponseController(out).Flush()
		select {
		case <-time.After(time.Second):
		case <-r.Context().Done():
			return
		}
		if err != nil {
			return
		}
	}
}
