package certcheck_test

import (
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"math/big"
	"net/netip"
	"strings"
	"testing"
	"time"

	"postern/internal/lab/pki"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/policy/certcheck"
)

var (
	now  = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	host = mail.MustDomain("mx.partner.test")
)

// reasons examines chain for one demand and returns the reasons in order.
func reasons(t *testing.T, in certcheck.Input) string {
	t.Helper()
	if in.Now.IsZero() {
		in.Now = now
	}
	if in.Demands == nil {
		in.Demands = []policy.PeerDemand{policy.PublicDemand()}
	}
	e := certcheck.Examine(in)
	proof, ok := e.Peers[in.Demands[0].Key()]
	if !ok {
		t.Fatal("the demand was not examined")
	}
	var out []string
	for _, s := range proof.Shortfalls {
		t.Logf("%s: %s", s.Reason, s.Text)
		out = append(out, string(s.Reason))
		if strings.ContainsAny(s.Text, "\x00\r\n\x1b") || len(s.Text) > 3000 || s.Text == "" {
			t.Errorf("text unfit for a line: %q", s.Text)
		}
	}
	return strings.Join(out, " ")
}

func public(ca *pki.CA) map[string]*x509.CertPool {
	return map[string]*x509.CertPool{policy.PublicTrust: ca.Pool()}
}

func TestEveryFaultOfAChainHasItsReason(t *testing.T) {
	ca := pki.New(now, "Test CA")
	other := pki.New(now, "Other CA")
	impostor := pki.New(now, "Test CA")
	old := pki.NewRoot(now, pki.Root{Name: "Old CA", NotAfter: now.Add(-time.Hour)})
	weakRoot := pki.NewRoot(now, pki.Root{Name: "Weak CA", Key: pki.RSA1024})
	sha1Root := pki.NewRoot(now, pki.Root{Name: "SHA-1 CA", Key: pki.RSA2048, Signature: x509.SHA1WithRSA})
	type intermediates = []pki.Intermediate
	rsaIssuer := intermediates{{Key: pki.RSA2048}}
	hour := time.Hour
	for _, c := range []struct {
		name string
		ca   *pki.CA // nil: ca
		o    pki.Options
		want string
	}{
		{"good", nil, pki.Options{}, ""},
		{"good, root sent too", nil, pki.Options{SendRoot: true}, ""},
		{"good, by the root itself", nil, pki.Options{Intermediates: intermediates{}}, ""},
		{"good, two intermediates in the wrong order", nil, pki.Options{Intermediates: intermediates{{Name: "A"}, {Name: "B"}}, Reverse: true}, ""},
		{"good, strangers sent as well", nil, pki.Options{Extra: []*x509.Certificate{other.Intermediate(), other.Root()}}, ""},
		{"good, RSA 2048", nil, pki.Options{Key: pki.RSA2048}, ""},
		{"good, Ed25519", nil, pki.Options{Key: pki.Ed25519}, ""},
		{"good, P-384", nil, pki.Options{Key: pki.ECDSA384}, ""},
		{"good, no EKU", nil, pki.Options{EKU: []x509.ExtKeyUsage{}}, ""},
		{"good, any EKU", nil, pki.Options{EKU: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}, ""},
		{"good, root signed with SHA-1", sha1Root, pki.Options{}, ""},
		{"good, constraints allow the name", nil, pki.Options{Intermediates: intermediates{{Permitted: []string{"partner.test"}}}}, ""},

		{"expired", nil, pki.Options{NotAfter: now.Add(-hour)}, "cert-expired"},
		{"expired a second ago", nil, pki.Options{NotAfter: now.Add(-time.Second)}, "cert-expired"},
		{"expires this second", nil, pki.Options{NotAfter: now}, ""},
		{"not yet valid", nil, pki.Options{NotBefore: now.Add(time.Second)}, "cert-not-yet-valid"},
		{"expired intermediate", nil, pki.Options{Intermediates: intermediates{{NotAfter: now.Add(-hour)}}}, "cert-expired"},
		{"intermediate not yet valid", nil, pki.Options{Intermediates: intermediates{{NotBefore: now.Add(hour)}}}, "cert-not-yet-valid"},
		{"expired root", old, pki.Options{}, "cert-expired"},

		{"self-signed", nil, pki.Options{SelfSigned: true}, "cert-self-signed"},
		{"self-signed CA", nil, pki.Options{SelfSigned: true, CA: true}, "cert-self-signed"},
		{"unknown root, sent", other, pki.Options{SendRoot: true}, "cert-untrusted"},
		{"unknown root, not sent", other, pki.Options{}, "cert-untrusted"},
		{"unknown root signed it directly and is sent", other, pki.Options{Intermediates: intermediates{}, SendRoot: true}, "cert-untrusted"},
		{"a root that only has the name of a trusted one", impostor, pki.Options{SendRoot: true}, "cert-untrusted"},
		{"missing intermediate", nil, pki.Options{OmitIntermediates: true}, "cert-incomplete-chain"},
		{"wrong intermediate", nil, pki.Options{OmitIntermediates: true, Extra: []*x509.Certificate{other.Intermediate()}}, "cert-incomplete-chain"},
		{"nearest intermediate missing", nil, pki.Options{Intermediates: intermediates{{Name: "A"}, {Name: "B", Omit: true}}}, "cert-incomplete-chain"},

		{"RSA 1024", nil, pki.Options{Key: pki.RSA1024}, "cert-weak"},
		{"P-224", nil, pki.Options{Key: pki.ECDSA224}, "cert-weak"},
		{"RSA 1024 intermediate", nil, pki.Options{Intermediates: intermediates{{Key: pki.RSA1024}}}, "cert-weak"},
		{"RSA 1024 root", weakRoot, pki.Options{}, "cert-weak"},
		{"SHA-1", nil, pki.Options{Intermediates: rsaIssuer, Signature: x509.SHA1WithRSA}, "cert-weak"},
		{"MD5", nil, pki.Options{Intermediates: rsaIssuer, Signature: x509.MD5WithRSA}, "cert-weak"},
		{"SHA-1 intermediate", sha1Root, pki.Options{Intermediates: intermediates{{Signature: x509.SHA1WithRSA}}}, "cert-weak"},
		{"SHA-1, issuer not sent", nil, pki.Options{Intermediates: rsaIssuer, Signature: x509.SHA1WithRSA, OmitIntermediates: true}, "cert-weak"},
		{"huge key", nil, pki.Options{Public: hugeKey()}, "cert-weak"},

		{"critical extension nobody knows", nil, pki.Options{CriticalUnknown: true}, "cert-usage"},
		{"critical extension in the intermediate", nil, pki.Options{Intermediates: intermediates{{CriticalUnknown: true}}}, "cert-usage"},
		{"intermediate is no CA", nil, pki.Options{Intermediates: intermediates{{NotCA: true}}}, "cert-usage"},
		{"intermediate without basic constraints", nil, pki.Options{Intermediates: intermediates{{NoConstraints: true}}}, "cert-usage"},
		{"intermediate may not sign", nil, pki.Options{Intermediates: intermediates{{KeyUsage: x509.KeyUsageCRLSign}}}, "cert-usage"},
		{"path too long", nil, pki.Options{Intermediates: intermediates{{PathLen: 1}, {}}}, "cert-usage"},
		{"clientAuth only", nil, pki.Options{EKU: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, "cert-usage"},
		{"intermediate for clients only", nil, pki.Options{Intermediates: intermediates{{EKU: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}}}, "cert-usage"},
		{"leaf may only sign CRLs", nil, pki.Options{KeyUsage: x509.KeyUsageCRLSign}, "cert-usage"},
		{"leaf may only encipher keys", nil, pki.Options{Key: pki.RSA2048, KeyUsage: x509.KeyUsageKeyEncipherment}, "cert-usage"},

		{"name not permitted", nil, pki.Options{Intermediates: intermediates{{Permitted: []string{"other.test"}}}}, "cert-name-constraint"},
		{"name excluded", nil, pki.Options{Intermediates: intermediates{{Excluded: []string{"PARTNER.test"}}}}, "cert-name-constraint"},
		{"wildcard meets an excluded name", nil, pki.Options{Names: []string{"*.partner.test"}, Intermediates: intermediates{{Excluded: []string{"mx.partner.test"}}}}, "cert-name-constraint"},

		{"wrong name", nil, pki.Options{Names: []string{"mx.other.test"}}, "cert-name-mismatch"},
		{"common name only", nil, pki.Options{NoSAN: true, CN: "mx.partner.test"}, "cert-name-mismatch"},
		{"common name right, SAN wrong", nil, pki.Options{Names: []string{"mx.other.test"}, CN: "mx.partner.test"}, "cert-name-mismatch"},
		{"IP SAN", nil, pki.Options{NoSAN: false, Names: nil, IPs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, CN: "mx.partner.test"}, "cert-name-mismatch"},
		{"URI SAN", nil, pki.Options{URIs: []string{"smtp://mx.partner.test"}, CN: "mx.partner.test"}, "cert-name-mismatch"},

		{"everything at once", nil, pki.Options{SelfSigned: true, NotAfter: now.Add(-hour), Key: pki.RSA1024, CriticalUnknown: true, Names: []string{"a.test"}},
			"cert-self-signed cert-expired cert-weak cert-usage cert-name-mismatch"},
		{"expired and not permitted", nil, pki.Options{NotAfter: now.Add(-hour), Intermediates: intermediates{{Permitted: []string{"other.test"}}}},
			"cert-expired cert-name-constraint"},
		{"expired below an expired intermediate", nil, pki.Options{NotAfter: now.Add(-hour), Intermediates: intermediates{{NotAfter: now.Add(-hour)}}},
			"cert-expired cert-expired"},
		{"expired of an unknown CA", other, pki.Options{NotAfter: now.Add(-hour)}, "cert-untrusted cert-expired"},
	} {
		t.Run(c.name, func(t *testing.T) {
			issuer, pool := c.ca, ca
			if issuer == nil {
				issuer = ca
			} else if issuer != other && issuer != impostor {
				pool = issuer
			}
			if c.o.Names == nil && c.o.IPs == nil && c.o.URIs == nil {
				c.o.Names = []string{"mx.partner.test"}
			}
			cert := issuer.Issue(c.o)
			if cert.Leaf == nil {
				t.Fatal("does not parse")
			}
			if got := reasons(t, certcheck.Input{Chain: cert.Chain, Host: host, Roots: public(pool)}); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// hugeKey is an RSA key of 16,384 bits nobody can sign with.
func hugeKey() *rsa.PublicKey {
	n := new(big.Int).Lsh(big.NewInt(1), 16383)
	return &rsa.PublicKey{N: n.Add(n, big.NewInt(0xabcdef)), E: 65537}
}

func TestOneUnbrokenChainAmongSeveralIsEnough(t *testing.T) {
	ca := pki.New(now, "Test CA")
	cert := ca.Issue(pki.Options{Names: []string{"mx.partner.test"}, Intermediates: []pki.Intermediate{{Name: "A"}}})
	stale := pki.NewRoot(now, pki.Root{Name: "A"}).Root() // another key under the name of the issuer
	chain := []*x509.Certificate{cert.Leaf, stale, cert.Chain[1]}
	if got := reasons(t, certcheck.Input{Chain: chain, Host: host, Roots: public(ca)}); got != "" {
		t.Error(got)
	}
}

func TestASelfSignedCertificateIsTrustedWhereItIsTheRoot(t *testing.T) {
	cert := pki.New(now, "x").Issue(pki.Options{Names: []string{"mx.partner.test"}, SelfSigned: true})
	pool := x509.NewCertPool()
	pool.AddCert(cert.Leaf)
	in := certcheck.Input{Chain: cert.Chain, Host: host, Roots: map[string]*x509.CertPool{policy.PublicTrust: pool}}
	if got := reasons(t, in); got != "" {
		t.Error(got)
	}
	in.Now = cert.Leaf.NotAfter.Add(time.Second)
	if got := reasons(t, in); got != "cert-expired" {
		t.Errorf("after its end: %s", got)
	}
}

func TestAConstraintOnARootIsHonoured(t *testing.T) {
	ca := pki.New(now, "Test CA")
	cert := ca.Issue(pki.Options{Names: []string{"mx.partner.test"}})
	distrusted := now.Add(-24 * time.Hour)
	pool := x509.NewCertPool()
	pool.AddCertWithConstraint(ca.Root(), func(chain []*x509.Certificate) error {
		if chain[0].NotBefore.After(distrusted) {
			return fmt.Errorf("issued too late")
		}
		return nil
	})
	in := certcheck.Input{Chain: cert.Chain, Host: host, Roots: map[string]*x509.CertPool{policy.PublicTrust: pool}}
	if got := reasons(t, in); got != "cert-untrusted" {
		t.Errorf("issued after the root lost its trust: %q", got)
	}
	distrusted = now
	if got := reasons(t, in); got != "" {
		t.Errorf("issued before: %q", got)
	}
}

func TestWhatIsUnknownIsNeverGood(t *testing.T) {
	ca := pki.New(now, "Test CA")
	cert := ca.Issue(pki.Options{Names: []string{"mx.partner.test"}})
	for name, c := range map[string]struct {
		in   certcheck.Input
		want string
	}{
		"no certificate":   {certcheck.Input{Host: host, Roots: public(ca)}, "cert-untrusted"},
		"no pool":          {certcheck.Input{Chain: cert.Chain, Host: host}, "policy-unavailable"},
		"an empty pool":    {certcheck.Input{Chain: cert.Chain, Host: host, Roots: map[string]*x509.CertPool{"public": x509.NewCertPool()}}, "cert-untrusted"},
		"dialled by IP":    {certcheck.Input{Chain: cert.Chain, Roots: public(ca)}, "cert-name-mismatch"},
		"no name demanded": {certcheck.Input{Chain: cert.Chain, Host: host, Roots: public(ca), Demands: []policy.PeerDemand{{Trust: "public"}}}, "cert-name-mismatch"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := reasons(t, c.in); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	e := certcheck.Examine(certcheck.Input{Chain: cert.Chain, Host: host, Roots: public(ca), Demands: []policy.PeerDemand{policy.PublicDemand()}})
	if got := e.Peers[policy.PublicDemand().Key()].Shortfalls; len(got) == 0 || got[0].Reason != policy.CertNotYetValid {
		t.Errorf("without a present time: %v", got)
	}
}

func TestEveryDemandIsExaminedAgainstItsOwnRoots(t *testing.T) {
	world, own := pki.New(now, "World"), pki.New(now, "Own")
	cert := own.Issue(pki.Options{Names: []string{"mx.partner.test"}})
	private := policy.PeerDemand{Trust: "own.pem", Names: policy.Names{MX: true}}
	named := policy.PeerDemand{Trust: "own.pem", Names: policy.Names{List: []string{"other.test"}}}
	e := certcheck.Examine(certcheck.Input{
		Chain: cert.Chain, Host: host, Now: now,
		Demands: []policy.PeerDemand{policy.PublicDemand(), private, named},
		Roots:   map[string]*x509.CertPool{policy.PublicTrust: world.Pool(), "own.pem": own.Pool()},
	})
	for _, c := range []struct {
		demand policy.PeerDemand
		want   string
	}{{policy.PublicDemand(), "[cert-untrusted]"}, {private, "[]"}, {named, "[cert-name-mismatch]"}} {
		var got []policy.Reason
		for _, s := range e.Peers[c.demand.Key()].Shortfalls {
			got = append(got, s.Reason)
		}
		if fmt.Sprint(got) != c.want {
			t.Errorf("%s: got %v, want %s", c.demand.Key(), got, c.want)
		}
	}
	if got := strings.Join(e.Expected, " "); got != "mx.partner.test other.test" {
		t.Errorf("expected names: %s", got)
	}
}

func TestAPinMustBeInTheVerifiedChain(t *testing.T) {
	ca, other := pki.New(now, "Test CA"), pki.New(now, "Other CA")
	cert := ca.Issue(pki.Options{Names: []string{"mx.partner.test"}, Extra: []*x509.Certificate{other.Intermediate()}})
	pin := func(c *x509.Certificate) string { return "sha256:" + certcheck.Facts(c).SPKI }
	for name, c := range map[string]struct {
		pins []string
		want string
	}{
		"leaf":                        {[]string{pin(cert.Leaf)}, ""},
		"leaf in upper case":          {[]string{"sha256:" + strings.ToUpper(certcheck.Facts(cert.Leaf).SPKI)}, ""},
		"intermediate":                {[]string{pin(ca.Intermediate())}, ""},
		"root, which was not sent":    {[]string{pin(ca.Root())}, ""},
		"one of two":                  {[]string{pin(other.Root()), pin(cert.Leaf)}, ""},
		"another":                     {[]string{pin(other.Root())}, "pin-mismatch"},
		"sent, but not in the chain":  {[]string{pin(other.Intermediate())}, "pin-mismatch"},
		"a digest of the certificate": {[]string{"sha256:" + certcheck.Facts(cert.Leaf).SHA256}, "pin-mismatch"},
	} {
		t.Run(name, func(t *testing.T) {
			d := policy.PublicDemand()
			d.Pins = c.pins
			if got := reasons(t, certcheck.Input{Chain: cert.Chain, Host: host, Roots: public(ca), Demands: []policy.PeerDemand{d}}); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	d := policy.PublicDemand()
	d.Pins = []string{pin(cert.Leaf)}
	in := certcheck.Input{Chain: cert.Chain, Host: host, Roots: public(other), Demands: []policy.PeerDemand{d}}
	if got := reasons(t, in); got != "cert-untrusted" {
		t.Errorf("a pin of an untrusted chain: %q", got)
	}
}

func TestFactsAreBoundedAndEscaped(t *testing.T) {
	names := []string{"mx.partner.test\x00\x1b[31m\r\n.evil.test"}
	for i := range 300 {
		names = append(names, fmt.Sprintf("h%d.test", i))
	}
	cert := pki.New(now, "Test CA").Issue(pki.Options{Names: names, CN: "evil\u202e\r\n" + strings.Repeat("x", 40)})
	e := certcheck.Examine(certcheck.Input{Chain: cert.Chain, Host: host, Now: now})
	if len(e.Presented) != 20 || len(e.Chain) != 2 {
		t.Fatalf("%d names, %d certificates", len(e.Presented), len(e.Chain))
	}
	for _, text := range append(e.Presented, e.Chain[0].Subject, e.Chain[0].Issuer) {
		if strings.ContainsAny(text, "\x00\x1b\r\n\u202e") {
			t.Errorf("unescaped: %q", text)
		}
	}
	f := e.Chain[0]
	if f.Key != "ECDSA P-256" || f.Signature != "ECDSA-SHA256" || len(f.SHA256) != 64 || len(f.SPKI) != 64 || !f.NotAfter.Equal(cert.Leaf.NotAfter) {
		t.Errorf("facts: %+v", f)
	}
}
