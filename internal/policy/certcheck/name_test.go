package certcheck_test

import (
	"crypto/x509"
	"fmt"
	"strings"
	"testing"

	"postern/internal/lab/pki"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/policy/certcheck"
)

// nameReason examines only the name: any certificate of ca is trusted.
func nameReason(t *testing.T, ca *pki.CA, presented, host, domain string, names policy.Names) string {
	t.Helper()
	cert := ca.Issue(pki.Options{Names: []string{presented}, CN: "x", Intermediates: []pki.Intermediate{}})
	if cert.Leaf == nil {
		t.Fatalf("%q does not parse", presented)
	}
	in := certcheck.Input{Chain: cert.Chain, Roots: public(ca), Demands: []policy.PeerDemand{{Trust: "public", Names: names}}}
	if host != "" {
		in.Host = mail.MustDomain(host)
	}
	if domain != "" {
		in.Domain = mail.MustDomain(domain)
	}
	return reasons(t, in)
}

func TestTheHostNameIsMatchedByRFC9525(t *testing.T) {
	ca := pki.New(now, "Test CA")
	for _, c := range []struct {
		host, presented string
		match           bool
	}{
		{"mx.partner.test", "mx.partner.test", true},
		{"mx.partner.test", "MX.Partner.TEST", true},
		{"MX.PARTNER.test.", "mx.partner.test", true},
		{"mx.partner.test", "*.partner.test", true},
		{"mx.partner.test", "*.PARTNER.test", true},
		{"xn--mller-kva.partner.test", "*.partner.test", true},
		{"müller.partner.test", "xn--mller-kva.partner.test", true},
		{"mx_1.partner.test", "mx_1.partner.test", true},

		{"mx.partner.test", "partner.test", false},
		{"partner.test", "*.partner.test", false},
		{"mx.partner.test", "*.mx.partner.test", false},
		{"a.mx.partner.test", "*.partner.test", false},
		{"partner.test", "*.test", false},
		{"mx.partner.test", "*", false},
		{"mx.partner.test", "*.*", false},
		{"mx.partner.test", "*.*.test", false},
		{"mx.partner.test", "mx*.partner.test", false},
		{"mx1.partner.test", "mx*.partner.test", false},
		{"mx1.partner.test", "*1.partner.test", false},
		{"mx.partner.test", "mx.*.test", false},
		{"mx.partner.test", "mx.partner.*", false},
		{"mx.partner.test", "**.partner.test", false},
		{"mx.partner.test", ".partner.test", false},
		{"mx.partner.test", ".mx.partner.test", false},
		{"mx.partner.test", "mx.partner.test.", false},
		{"mx.partner.test", "*.partner.test.", false},
		{"mx.partner.test", "mx.partner.test\x00", false},
		{"mx.partner.test", "mx.partner.test\x00.evil.test", false},
		{"mx.partner.test", "mx.partner.test ", false},
		{"mx.partner.test", " mx.partner.test", false},
		{"mx.partner.test", "mx.partner.test\n", false},
		{"mx.partner.test", "mx partner test", false},
		{"mx.partner.test", "smtp://mx.partner.test", false},
		{"mx.partner.test", "mx.partner.test:25", false},
		{"mx.partner.test", "", false},
		{"example.co.uk", "*.co.uk", false},
		{"example.com", "*.com", false},
		{"mail.example.co.uk", "*.example.co.uk", true},
		{"[192.0.2.1]", "192.0.2.1", false},
		{"192.0.2.1", "192.0.2.1", false},
		{"localhost", "localhost", true},
		{"localhost", "*", false},
	} {
		t.Run(fmt.Sprintf("%s by %q", c.host, c.presented), func(t *testing.T) {
			got := nameReason(t, ca, c.presented, c.host, "", policy.Names{MX: true})
			if want := map[bool]string{true: "", false: "cert-name-mismatch"}[c.match]; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestTheDomainIsMatchedByItselfOrANameDirectlyBelow(t *testing.T) {
	ca := pki.New(now, "Test CA")
	for _, c := range []struct {
		domain, presented string
		match             bool
	}{
		{"clinic.test", "clinic.test", true},
		{"clinic.test", "mx.clinic.test", true},
		{"clinic.test", "*.clinic.test", true},
		{"clinic.test", "CLINIC.test", true},
		{"ward.clinic.test", "*.clinic.test", true},
		{"ward.clinic.test", "*.ward.clinic.test", true},
		{"ward.clinic.test", "mx.ward.clinic.test", true},

		{"clinic.test", "a.mx.clinic.test", false},
		{"clinic.test", "*.mx.clinic.test", false},
		{"clinic.test", "*.test", false},
		{"clinic.test", "otherclinic.test", false},
		{"clinic.test", "clinic.test.evil.test", false},
		{"clinic.test", ".clinic.test", false},
		{"clinic.test", "mx*.clinic.test", false},
		{"ward.clinic.test", "clinic.test", false},
		{"ward.clinic.test", "mx.clinic.test", false},
		// Below a public suffix everybody may register a name.
		{"co.uk", "anybody.co.uk", false},
		{"co.uk", "co.uk", true},
		{"github.io", "anybody.github.io", false},
		{"test", "anybody.test", false},
		{"[192.0.2.1]", "192.0.2.1", false},
	} {
		t.Run(fmt.Sprintf("%s by %q", c.domain, c.presented), func(t *testing.T) {
			got := nameReason(t, ca, c.presented, "mx.hoster.test", c.domain, policy.Names{Domain: true})
			if want := map[bool]string{true: "", false: "cert-name-mismatch"}[c.match]; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestAListAcceptsWhatItSays(t *testing.T) {
	ca := pki.New(now, "Test CA")
	for _, c := range []struct {
		list, presented string
		match           bool
	}{
		{"mail.clinic.test", "mail.clinic.test", true},
		{"Mail.Clinic.Test.", "mail.clinic.test", true},
		{"mail.clinic.test", "*.clinic.test", true},
		{"*.clinic.test", "mail.clinic.test", true},
		{"*.clinic.test", "*.clinic.test", true},
		{"other.test mail.clinic.test", "mail.clinic.test", true},
		{"klinik-süd.test", "xn--klinik-sd-x9a.test", true},

		{"*.clinic.test", "clinic.test", false},
		{"*.clinic.test", "a.mail.clinic.test", false},
		{"*.clinic.test", "*.mail.clinic.test", false},
		{"mail.clinic.test", "clinic.test", false},
		{"mail.clinic.test", "mx.clinic.test", false},
		{"*", "mail.clinic.test", false},
		{"*.test", "clinic.test", false},
		{"*.co.uk", "clinic.co.uk", false},
		{"mail*.clinic.test", "mail1.clinic.test", false},
		{"[192.0.2.1]", "192.0.2.1", false},
		{"", "mail.clinic.test", false},
	} {
		t.Run(fmt.Sprintf("%q by %q", c.list, c.presented), func(t *testing.T) {
			got := nameReason(t, ca, c.presented, "mx.hoster.test", "clinic.test", policy.Names{List: strings.Split(c.list, " ")})
			if want := map[bool]string{true: "", false: "cert-name-mismatch"}[c.match]; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestAnyKindOfNameSuffices(t *testing.T) {
	ca := pki.New(now, "Test CA")
	all := policy.Names{MX: true, Domain: true, List: []string{"listed.test"}}
	for _, presented := range []string{"mx.hoster.test", "clinic.test", "listed.test"} {
		if got := nameReason(t, ca, presented, "mx.hoster.test", "clinic.test", all); got != "" {
			t.Errorf("%s: %s", presented, got)
		}
	}
	// A hop without a name can still be proven by another kind.
	if got := nameReason(t, ca, "listed.test", "", "", all); got != "" {
		t.Errorf("dialled by address: %s", got)
	}
	if got := nameReason(t, ca, "unlisted.test", "mx.hoster.test", "clinic.test", all); got != "cert-name-mismatch" {
		t.Errorf("none: %q", got)
	}
}

func TestANameMismatchQuotesWhatWasExpectedAndPresented(t *testing.T) {
	ca := pki.New(now, "Test CA")
	var many []string
	for i := range 12 {
		many = append(many, fmt.Sprintf("h%d.test", i))
	}
	for name, c := range map[string]struct {
		o    pki.Options
		in   certcheck.Input
		want string
	}{
		"one":      {pki.Options{Names: []string{"a.test"}}, certcheck.Input{Host: host}, "expected mx.partner.test, but the certificate is for a.test"},
		"many":     {pki.Options{Names: many}, certcheck.Input{Host: host}, "expected mx.partner.test, but the certificate is for h0.test, h1.test, h2.test, h3.test, h4.test and 7 more"},
		"CN alone": {pki.Options{NoSAN: true, CN: "mx.partner.test"}, certcheck.Input{Host: host}, "expected mx.partner.test, but the certificate has no DNS name in its subjectAltName; the common name mx.partner.test does not count"},
		"no host":  {pki.Options{Names: []string{"a.test"}}, certcheck.Input{}, "the server was dialled by its IP address, so there is no host name to expect; the certificate is for a.test"},
		"hostile":  {pki.Options{Names: []string{"a\x1b[31m\r\n.test"}, CN: "x"}, certcheck.Input{Host: host}, `expected mx.partner.test, but the certificate is for a\x1b[31m\r\n.test`},
	} {
		t.Run(name, func(t *testing.T) {
			cert := ca.Issue(c.o)
			c.in.Chain, c.in.Roots, c.in.Now = cert.Chain, public(ca), now
			c.in.Demands = []policy.PeerDemand{policy.PublicDemand()}
			proof := certcheck.Examine(c.in).Peers[policy.PublicDemand().Key()]
			if len(proof.Shortfalls) != 1 || proof.Shortfalls[0].Text != c.want {
				t.Errorf("got %+v\nwant %s", proof.Shortfalls, c.want)
			}
		})
	}
}

func TestOurMatchIsNeverWiderThanTheLibrarys(t *testing.T) {
	labels := []string{"*", "mx", "a", "test", "co", "uk", "", "m*", "xn--a"}
	var names []string
	for _, a := range labels {
		for _, b := range labels {
			names = append(names, a, a+"."+b, a+"."+b+".test")
		}
	}
	for _, h := range []string{"mx.a.test", "a.test", "mx.co.uk", "xn--a.a.test", "test"} {
		for _, n := range names {
			leaf := &x509.Certificate{DNSNames: []string{n}}
			e := certcheck.Examine(certcheck.Input{Chain: []*x509.Certificate{leaf}, Host: mail.MustDomain(h), Now: now,
				Demands: []policy.PeerDemand{policy.PublicDemand()}})
			ours := true
			for _, s := range e.Peers[policy.PublicDemand().Key()].Shortfalls {
				ours = ours && s.Reason != policy.CertNameMismatch
			}
			if ours && leaf.VerifyHostname(h) != nil {
				t.Errorf("%q matches %q here and not there", n, h)
			}
		}
	}
}
