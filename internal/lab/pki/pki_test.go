package pki

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/netip"
	"testing"
	"time"
)

var now = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

func verify(ca *CA, c *Certificate, at time.Time) error {
	pool := x509.NewCertPool()
	for _, above := range c.Chain[1:] {
		pool.AddCert(above)
	}
	_, err := c.Leaf.Verify(x509.VerifyOptions{Roots: ca.Pool(), Intermediates: pool, CurrentTime: at})
	return err
}

func TestGoodCertificatesVerify(t *testing.T) {
	ca := New(now, "Test CA")
	for name, o := range map[string]Options{
		"ordinary":      {Names: []string{"mx.test"}},
		"by the root":   {Names: []string{"mx.test"}, Intermediates: []Intermediate{}},
		"two levels":    {Names: []string{"mx.test"}, Intermediates: []Intermediate{{Name: "A", PathLen: 2}, {Name: "B", PathLen: 1}}},
		"reversed":      {Names: []string{"mx.test"}, Intermediates: []Intermediate{{Name: "A"}, {Name: "B"}}, SendRoot: true, Reverse: true},
		"rsa":           {Names: []string{"mx.test"}, Key: RSA2048},
		"ed25519":       {Names: []string{"mx.test"}, Key: Ed25519},
		"no EKU":        {Names: []string{"mx.test"}, EKU: []x509.ExtKeyUsage{}},
		"IP name":       {IPs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, CN: "x"},
		"name allowed":  {Names: []string{"mx.test"}, Intermediates: []Intermediate{{Permitted: []string{"test"}}}},
		"any odd name":  {Names: []string{"*"}, CN: "x"},
		"only a URI":    {URIs: []string{"smtp://mx.test"}, CN: "x"},
		"no SAN at all": {Names: []string{"mx.test"}, NoSAN: true},
	} {
		t.Run(name, func(t *testing.T) {
			c := ca.Issue(o)
			if err := verify(ca, c, now); err != nil {
				t.Fatal(err)
			}
			if _, err := tls.X509KeyPair(c.CertPEM, c.KeyPEM); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestFaultyCertificatesDoNotVerify(t *testing.T) {
	ca := New(now, "Test CA")
	rsa := []Intermediate{{Key: RSA2048}}
	for name, o := range map[string]Options{
		"expired":               {NotAfter: now.Add(-time.Second)},
		"not yet valid":         {NotBefore: now.Add(time.Second)},
		"valid next year":       {NotBefore: now.AddDate(1, 0, 0)},
		"expired last year":     {NotAfter: now.AddDate(-1, 0, 0)},
		"self-signed":           {SelfSigned: true},
		"missing intermediate":  {OmitIntermediates: true},
		"one missing":           {Intermediates: []Intermediate{{Omit: true}, {}}},
		"expired intermediate":  {Intermediates: []Intermediate{{NotAfter: now.Add(-time.Second)}}},
		"no CA":                 {Intermediates: []Intermediate{{NotCA: true}}},
		"no basic constraints":  {Intermediates: []Intermediate{{NoConstraints: true}}},
		"path too long":         {Intermediates: []Intermediate{{PathLen: 1}, {}}},
		"name constraint":       {Intermediates: []Intermediate{{Permitted: []string{"other.test"}}}},
		"excluded name":         {Intermediates: []Intermediate{{Excluded: []string{"test"}}}},
		"critical extension":    {CriticalUnknown: true},
		"critical intermediate": {Intermediates: []Intermediate{{CriticalUnknown: true}}},
		"clientAuth only":       {EKU: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}},
		"SHA-1":                 {Intermediates: rsa, Signature: x509.SHA1WithRSA},
		"MD5":                   {Intermediates: rsa, Signature: x509.MD5WithRSA},
	} {
		t.Run(name, func(t *testing.T) {
			o.Names = []string{"mx.test"}
			c := ca.Issue(o)
			if c.Leaf == nil {
				t.Fatal("does not parse")
			}
			if err := verify(ca, c, now); err == nil {
				t.Fatal("verifies")
			}
		})
	}
	if err := verify(ca, New(now, "Test CA").Issue(Options{Names: []string{"mx.test"}}), now); err == nil {
		t.Error("a certificate of another CA of the same name verifies")
	}
}

func TestOddNamesKeepTheirBytes(t *testing.T) {
	ca := New(now, "Test CA")
	for _, name := range []string{"mx.test\x00.evil.test", "mx .test", ".mx.test", "mx*.test", "*", "*.test", "mx.*.test"} {
		c := ca.Issue(Options{Names: []string{name}, CN: "x"})
		if c.Leaf == nil {
			t.Logf("%q: crypto/x509 refuses to parse it", name)
			continue
		}
		if got := c.Leaf.DNSNames; len(got) != 1 || got[0] != name {
			t.Errorf("%q became %q", name, got)
		}
	}
}

func TestACertificateServesAHandshake(t *testing.T) {
	ca := New(time.Now(), "Test CA")
	c := ca.Issue(Options{Names: []string{"mx.test"}})
	a, b := net.Pipe()
	go func() {
		server := tls.Server(b, &tls.Config{Certificates: []tls.Certificate{c.TLS}, MinVersion: tls.VersionTLS12})
		_ = server.Handshake()
	}()
	client := tls.Client(a, &tls.Config{RootCAs: ca.Pool(), ServerName: "mx.test", MinVersion: tls.VersionTLS12})
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	a.Close()
}
