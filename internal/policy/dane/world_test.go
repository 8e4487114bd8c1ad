package dane_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"slices"
	"testing"
	"time"

	"postern/internal/dns"
	"postern/internal/lab/pki"
	"postern/internal/mail"
	"postern/internal/policy/dane"
)

var (
	now  = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	host = mail.MustDomain("mx.partner.test")
)

type certs = []*x509.Certificate

// node is a certificate made by hand, with its key.
type node struct {
	*x509.Certificate
	key crypto.Signer
}

// maker makes certificates that lab/pki cannot: the same key certified twice, and issuers of any form.
type maker struct {
	t      *testing.T
	serial int64
}

func newKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// issuer makes a CA named name below parent, which is itself where parent has no certificate. key nil is a new one.
func (m *maker) issuer(parent node, name string, key crypto.Signer, change func(*x509.Certificate)) node {
	return m.make(parent, key, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, BasicConstraintsValid: true, IsCA: true,
		NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(1, 0, 0), KeyUsage: x509.KeyUsageCertSign,
	}, change)
}

// leaf makes a server's certificate.
func (m *maker) leaf(parent node, key crypto.Signer, change func(*x509.Certificate)) node {
	return m.make(parent, key, &x509.Certificate{
		Subject: pkix.Name{CommonName: host.String()}, DNSNames: []string{host.String()},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(0, 0, 90), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, change)
}

func (m *maker) make(parent node, key crypto.Signer, template *x509.Certificate, change func(*x509.Certificate)) node {
	m.t.Helper()
	if key == nil {
		key = newKey(m.t)
	}
	m.serial++
	template.SerialNumber = big.NewInt(m.serial)
	if change != nil {
		change(template)
	}
	signer, above := parent.key, parent.Certificate
	if above == nil {
		signer, above = key, template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, above, key.Public(), signer)
	if err != nil {
		m.t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		m.t.Fatal(err)
	}
	return node{c, key}
}

// nodes gives the certificates of nodes.
func nodes(all ...node) (out certs) {
	for _, n := range all {
		out = append(out, n.Certificate)
	}
	return out
}

// rec is the record of c with three numbers written as "3 1 1".
func rec(c *x509.Certificate, numbers string) dns.TLSA {
	var usage, selector, matching uint8
	if _, err := fmt.Sscan(numbers, &usage, &selector, &matching); err != nil {
		panic(err)
	}
	proper := max(usage, 2)
	r, err := dane.Of(c, proper, selector, matching)
	if err != nil {
		panic(err)
	}
	r.Usage = usage
	return r
}

// spoilt is r with one bit of its data turned.
func spoilt(r dns.TLSA) dns.TLSA {
	r.Data = slices.Clone(r.Data)
	r.Data[len(r.Data)-1] ^= 1
	return r
}

// cut is r with its data cut to n octets.
func cut(r dns.TLSA, n int) dns.TLSA {
	r.Data = r.Data[:n]
	return r
}

// set gives r another usage, selector or matching type.
func set(r dns.TLSA, usage, selector, matching uint8) dns.TLSA {
	r.Usage, r.Selector, r.Matching = usage, selector, matching
	return r
}

func issue(ca *pki.CA, o pki.Options) *pki.Certificate {
	if o.Names == nil {
		o.Names = []string{host.String()}
	}
	return ca.Issue(o)
}
