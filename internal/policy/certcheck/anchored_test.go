package certcheck_test

import (
	"crypto/x509"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/lab/pki"
	"postern/internal/mail"
	"postern/internal/policy/certcheck"
)

func TestAnchorsAreTheOnlyRoots(t *testing.T) {
	ca, other := pki.New(now, "Test CA"), pki.New(now, "Other CA")
	cert := ca.Issue(pki.Options{Names: []string{"mx.partner.test"}, SendRoot: true})
	lone := ca.Issue(pki.Options{Names: []string{"mx.partner.test"}, SelfSigned: true})
	huge := ca.Issue(pki.Options{Public: hugeKey(), CA: true}).Leaf
	type chain = []*x509.Certificate
	names := []mail.Domain{host}
	for _, c := range []struct {
		name string
		in   certcheck.Anchored
		want string
		ends *x509.Certificate // where the chain ends
	}{
		{"root", certcheck.Anchored{Chain: cert.Chain, Anchors: chain{ca.Root()}, Names: names}, "", ca.Root()},
		{"intermediate", certcheck.Anchored{Chain: cert.Chain, Anchors: chain{ca.Intermediate()}, Names: names}, "", ca.Intermediate()},
		{"not sent", certcheck.Anchored{Chain: cert.Chain[:1], Anchors: chain{ca.Intermediate()}, Names: names}, "", ca.Intermediate()},
		{"one of two", certcheck.Anchored{Chain: cert.Chain, Anchors: chain{other.Root(), ca.Root()}, Names: names}, "", ca.Root()},
		{"one of two names", certcheck.Anchored{Chain: cert.Chain, Anchors: chain{ca.Root()},
			Names: []mail.Domain{mail.MustDomain("a.test"), host}}, "", ca.Root()},
		{"another root", certcheck.Anchored{Chain: cert.Chain, Anchors: chain{other.Root()}, Names: names}, "cert-untrusted", ca.Root()},
		{"no anchors", certcheck.Anchored{Chain: cert.Chain, Names: names}, "cert-untrusted", ca.Root()},
		{"the leaf itself", certcheck.Anchored{Chain: lone.Chain, Anchors: lone.Chain, Names: names}, "cert-self-signed", lone.Leaf},
		{"a key too large", certcheck.Anchored{Chain: cert.Chain, Anchors: chain{huge}, Names: names}, "cert-untrusted", ca.Root()},
		{"another name", certcheck.Anchored{Chain: cert.Chain, Anchors: chain{ca.Root()},
			Names: []mail.Domain{mail.MustDomain("a.test")}}, "cert-name-mismatch", ca.Root()},
		{"no name", certcheck.Anchored{Chain: cert.Chain, Anchors: chain{ca.Root()}}, "cert-name-mismatch", ca.Root()},
		{"an address", certcheck.Anchored{Chain: cert.Chain, Anchors: chain{ca.Root()},
			Names: []mail.Domain{mail.MustDomain("[192.0.2.1]")}}, "cert-name-mismatch", ca.Root()},
		{"later", certcheck.Anchored{Chain: cert.Chain, Anchors: chain{ca.Root()}, Names: names, Now: now.AddDate(1, 0, 1)},
			"cert-expired cert-expired", ca.Root()},
		{"no present time", certcheck.Anchored{Chain: cert.Chain, Anchors: chain{ca.Root()}, Names: names, Now: time.Unix(0, 0)},
			"cert-not-yet-valid cert-not-yet-valid cert-not-yet-valid", ca.Root()},
		{"no certificate", certcheck.Anchored{Anchors: chain{ca.Root()}, Names: names}, "cert-untrusted", nil},
		{"too many", certcheck.Anchored{Chain: slices.Repeat(cert.Chain, 6), Anchors: chain{ca.Root()}, Names: names}, "cert-untrusted", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.in.Now.IsZero() {
				c.in.Now = now
			}
			chains, shortfalls := c.in.Examine()
			var got []string
			for _, s := range shortfalls {
				got = append(got, string(s.Reason))
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("got %v, want %q", shortfalls, c.want)
			}
			if c.ends == nil && len(chains) == 0 {
				return
			}
			if len(chains) != 1 || !chains[0][0].Equal(c.in.Chain[0]) || !chains[0][len(chains[0])-1].Equal(c.ends) {
				t.Errorf("%d chains", len(chains))
			}
		})
	}
}
