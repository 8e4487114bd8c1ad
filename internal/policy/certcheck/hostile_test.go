package certcheck_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"postern/internal/lab/pki"
	"postern/internal/policy"
	"postern/internal/policy/certcheck"
)

// maker signs certificates that the laboratory CA refuses to think of.
type maker struct {
	t   *testing.T
	key *ecdsa.PrivateKey
}

func newMaker(t *testing.T) maker {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return maker{t, key}
}

// make signs template in the name of issuer, with the one key everybody here has.
func (m maker) make(subject, issuer string, public any, change func(*x509.Certificate)) *x509.Certificate {
	m.t.Helper()
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	t := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: subject}, NotBefore: now.Add(-time.Hour),
		NotAfter: now.Add(time.Hour), BasicConstraintsValid: true, IsCA: true}
	if change != nil {
		change(t)
	}
	if public == nil {
		public = &m.key.PublicKey
	}
	der, err := x509.CreateCertificate(rand.Reader, t, &x509.Certificate{Subject: pkix.Name{CommonName: issuer}}, public, m.key)
	if err != nil {
		m.t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		m.t.Fatal(err)
	}
	return c
}

func names(n int, suffix string) []string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf("n%d.%s", i, suffix))
	}
	return out
}

func TestHostileChainsAreRefusedInTimeAndMemory(t *testing.T) {
	m := newMaker(t)
	root := m.make("root", "root", nil, nil)
	leaf := func(c *x509.Certificate) { c.IsCA, c.DNSNames = false, []string{"mx.partner.test"} }
	leafNames := func(n int) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			c.IsCA, c.DNSNames = false, append(names(n, "other.test"), "mx.partner.test")
		}
	}
	good := m.make("leaf", "root", nil, leaf)
	for _, c := range []struct {
		name, want string
		chain      func() []*x509.Certificate
	}{
		{"10,000 names", "cert-name-mismatch", func() []*x509.Certificate {
			return []*x509.Certificate{m.make("leaf", "root", nil, leafNames(10000))}
		}},
		{"200 certificates", "cert-untrusted", func() []*x509.Certificate {
			chain := []*x509.Certificate{m.make("leaf", "c0", nil, leaf)}
			for i := range 198 {
				chain = append(chain, m.make(fmt.Sprintf("c%d", i), fmt.Sprintf("c%d", i+1), nil, nil))
			}
			return append(chain, m.make("c198", "root", nil, nil))
		}},
		{"every certificate issues every other", "cert-untrusted", func() []*x509.Certificate {
			chain := []*x509.Certificate{m.make("leaf", "ca", nil, leaf)}
			for range 15 {
				other := newMaker(t)
				chain = append(chain, m.make("ca", "ca", &other.key.PublicKey, nil), m.make("ca", "ca", nil, nil))
			}
			return chain[:16]
		}},
		{"constraints against names", "cert-name-constraint", func() []*x509.Certificate {
			chain := []*x509.Certificate{m.make("leaf", "c0", nil, leafNames(990))}
			for i := range 14 {
				next := fmt.Sprintf("c%d", i+1)
				if i == 13 {
					next = "root"
				}
				chain = append(chain, m.make(fmt.Sprintf("c%d", i), next, nil, func(c *x509.Certificate) {
					c.PermittedDNSDomains, c.ExcludedDNSDomains = append(names(490, "other.test"), "test"), append(names(490, "more.test"), "mx.partner.test")
				}))
			}
			return chain
		}},
		{"50,000 constraints", "cert-name-constraint", func() []*x509.Certificate {
			return []*x509.Certificate{m.make("leaf", "c0", nil, leafNames(900)), m.make("c0", "root", nil, func(c *x509.Certificate) {
				c.ExcludedDNSDomains = names(50000, "other.test")
			})}
		}},
		{"an issuer with a key of 16,384 bits", "cert-weak", func() []*x509.Certificate {
			chain := []*x509.Certificate{good}
			forged := *good // names its issuer, and is signed by whatever the bytes are
			forged.RawIssuer, forged.SignatureAlgorithm = m.make("big", "root", nil, nil).RawSubject, x509.SHA256WithRSA
			chain[0] = &forged
			for range 15 {
				chain = append(chain, m.make("big", "root", hugeKey(), nil))
			}
			return chain
		}},
		{"costly RSA keys", "cert-incomplete-chain", func() []*x509.Certificate {
			forged := *good
			big := m.make("big", "big", costlyKey(), nil)
			forged.RawIssuer, forged.SignatureAlgorithm = big.RawSubject, x509.SHA256WithRSA
			chain := []*x509.Certificate{&forged}
			for range 15 {
				chain = append(chain, m.make("big", "big", costlyKey(), nil))
			}
			return chain
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := certcheck.Input{Chain: c.chain(), Host: host, Roots: map[string]*x509.CertPool{}, Now: now}
			for i := range 3 { // three different pools, so that every pool costs its examination
				trust := fmt.Sprintf("pool %d", i)
				in.Roots[trust] = x509.NewCertPool()
				in.Roots[trust].AddCert(root)
				in.Demands = append(in.Demands, policy.PeerDemand{Trust: trust, Names: policy.Names{MX: true}})
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := cpuTime(t)
			e := certcheck.Examine(in)
			took := cpuTime(t) - start
			runtime.ReadMemStats(&after)
			got := e.Peers[in.Demands[0].Key()].Shortfalls
			if len(got) == 0 || string(got[0].Reason) != c.want {
				t.Errorf("got %v, want %s", got, c.want)
			}
			for _, s := range got {
				if len(s.Text) > 2500 {
					t.Errorf("a text of %d octets: %.100s", len(s.Text), s.Text)
				}
			}
			if allocated := after.TotalAlloc - before.TotalAlloc; took > 2*time.Second || allocated > 50<<20 {
				t.Errorf("took %s and %d bytes", took, allocated)
			}
			t.Logf("%s, %d kB: %v", took, (after.TotalAlloc-before.TotalAlloc)>>10, got)
		})
	}
}

// cpuTime is what this process has used, so that a busy machine does not count.
func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// costlyKey is the key that costs most to compute with among those allowed.
func costlyKey() *rsa.PublicKey {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 8190))
	if err != nil {
		panic(err)
	}
	n.SetBit(n, 8191, 1).SetBit(n, 0, 1)
	return &rsa.PublicKey{N: n, E: 1<<31 - 1}
}

func FuzzExamine(f *testing.F) {
	ca := pki.New(now, "Test CA")
	for _, o := range []pki.Options{
		{}, {SelfSigned: true}, {OmitIntermediates: true}, {Key: pki.Ed25519}, {CriticalUnknown: true}, {SendRoot: true},
		{Intermediates: []pki.Intermediate{{Permitted: []string{"test"}, Excluded: []string{"a.test"}}}}, {Key: pki.RSA1024},
	} {
		o.Names = append(o.Names, "mx.partner.test", "*.partner.test")
		cert := ca.Issue(o)
		var above []byte
		if len(cert.Chain) > 1 {
			above = cert.Chain[1].Raw
		}
		f.Add(cert.Chain[0].Raw, above)
	}
	roots := public(ca)
	f.Fuzz(func(t *testing.T, leaf, above []byte) {
		in := certcheck.Input{Host: host, Roots: roots, Now: now, Demands: []policy.PeerDemand{policy.PublicDemand()}}
		for _, der := range [][]byte{leaf, above} {
			if c, err := x509.ParseCertificate(der); err == nil {
				in.Chain = append(in.Chain, c)
			}
		}
		e := certcheck.Examine(in)
		proof, examined := e.Peers[policy.PublicDemand().Key()]
		if !examined {
			t.Fatal("not examined")
		}
		for _, s := range proof.Shortfalls {
			if s.Reason == "" || s.Text == "" || strings.ContainsAny(s.Text, "\x00\r\n\x1b\u202e") {
				t.Errorf("unfit: %q", s)
			}
		}
		if len(proof.Shortfalls) > 0 || len(in.Chain) == 0 {
			return
		}
		above509 := x509.NewCertPool()
		for _, c := range in.Chain[1:] {
			above509.AddCert(c)
		}
		if _, err := in.Chain[0].Verify(x509.VerifyOptions{DNSName: host.String(), Roots: roots[policy.PublicTrust],
			Intermediates: above509, CurrentTime: now}); err != nil {
			t.Errorf("passes here and not in crypto/x509: %v", err)
		}
	})
}
