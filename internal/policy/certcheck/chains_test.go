package certcheck

import (
	"crypto/x509"
	"testing"
	"time"

	"postern/internal/lab/pki"
	"postern/internal/policy"
)

func TestChainsAreThoseAProofRestsOn(t *testing.T) {
	now := time.Now()
	ca := pki.New(now, "Test CA")
	good := ca.Issue(pki.Options{Names: []string{"mx.test"}})
	pin := func(c *x509.Certificate) []string { return []string{"sha256:" + Facts(c).SPKI} }
	for _, c := range []struct {
		name  string
		cert  *pki.Certificate
		trust string
		pins  []string
		at    time.Time
		want  int
	}{
		{"good", good, policy.PublicTrust, nil, now, 1},
		{"pinned", good, policy.PublicTrust, pin(ca.Root()), now, 1},
		{"another pin", good, policy.PublicTrust, pin(ca.Issue(pki.Options{}).Leaf), now, 0},
		{"another trust", good, "own.pem", nil, now, 0},
		{"expired", ca.Issue(pki.Options{NotAfter: now.Add(-time.Hour)}), policy.PublicTrust, nil, now, 0},
		{"no time at all", good, policy.PublicTrust, nil, time.Time{}, 0},
		{"self-signed", ca.Issue(pki.Options{SelfSigned: true}), policy.PublicTrust, nil, now, 0},
	} {
		got := Chains(Input{Chain: c.cert.Chain, Roots: map[string]*x509.CertPool{policy.PublicTrust: ca.Pool()}, Now: c.at},
			policy.PeerDemand{Trust: c.trust, Pins: c.pins})
		if len(got) != c.want {
			t.Errorf("%s: %d chains, want %d", c.name, len(got), c.want)
		}
		for _, chain := range got {
			if len(chain) != 3 || !chain[0].Equal(c.cert.Leaf) || !chain[2].Equal(ca.Root()) {
				t.Errorf("%s: a chain of %d", c.name, len(chain))
			}
		}
	}
	if got := Chains(Input{}, policy.PublicDemand()); got != nil {
		t.Errorf("%d chains of nothing", len(got))
	}
}
