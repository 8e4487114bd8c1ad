package dane_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"

	"postern/internal/dns"
	"postern/internal/lab/pki"
	"postern/internal/mail"
)

// smallKey is an RSA key of 512 bits, which the library does not make.
func smallKey() *rsa.PublicKey {
	n := new(big.Int).Lsh(big.NewInt(1), 511)
	return &rsa.PublicKey{N: n.Add(n, big.NewInt(0xabcdef)), E: 65537}
}

// anchors is usage 2 with certificates.
func anchors(m *maker, root, sub, leaf, stranger node) []situation {
	row := func(name, from, want string, chain certs, records ...dns.TLSA) situation {
		return situation{name, from, chain, leaf.key, records, nil, time.Time{}, want, ""}
	}
	whole := nodes(leaf, sub, root)
	r, s, l, x := root.Certificate, sub.Certificate, leaf.Certificate, stranger.Certificate
	middle := m.issuer(sub, "Middle", nil, nil)
	deep := m.leaf(middle, nil, nil)
	lone := m.leaf(node{}, nil, func(c *x509.Certificate) { c.BasicConstraintsValid, c.IsCA, c.KeyUsage = true, true, 0 })
	far := func(name, from, want string, chain certs, records ...dns.TLSA) situation {
		out := row(name, from, want, chain, records...)
		out.key = deep.key
		return out
	}
	alone := row("self-signed and published as 2 1 1", taNotLeaf, "dane-mismatch", nodes(lone), rec(lone.Certificate, "2 1 1"))
	alone0 := row("self-signed and published as 2 0 0", taNotLeaf, "dane-mismatch", nodes(lone), rec(lone.Certificate, "2 0 0"))
	twice := row("self-signed, sent twice, published as 2 0 1", taNotLeaf, "dane-mismatch", nodes(lone, lone), rec(lone.Certificate, "2 0 1"))
	alone.key, alone0.key, twice.key = lone.key, lone.key, lone.key
	return []situation{
		row("root by 2 0 1 (danetest)", taChain, "dane-ta 2 0 1", whole, rec(r, "2 0 1")),
		row("root by 2 0 2", taChain, "dane-ta 2 0 2", whole, rec(r, "2 0 2")),
		row("root by 2 1 1", taChain, "dane-ta 2 1 1", whole, rec(r, "2 1 1")),
		row("root by 2 1 2", taChain, "dane-ta 2 1 2", whole, rec(r, "2 1 2")),
		row("root by 2 0 0, sent", taChain, "dane-ta 2 0 0", whole, rec(r, "2 0 0")),
		row("issuer by 2 0 1", taSubca, "dane-ta 2 0 1", whole, rec(s, "2 0 1")),
		row("issuer by 2 1 1", taSubca, "dane-ta 2 1 1", whole, rec(s, "2 1 1")),
		row("issuer by 2 1 1, root not sent", taSubca, "dane-ta 2 1 1", whole[:2], rec(s, "2 1 1")),
		row("root by 2 0 1, not sent (Mailu issue 2138)", taDigest, "dane-mismatch", whole[:2], rec(r, "2 0 1")),
		row("root by 2 1 1, not sent", taDigest, "dane-mismatch", whole[:2], rec(r, "2 1 1")),
		row("issuer by 2 1 1, leaf sent alone", taDigest, "dane-mismatch", whole[:1], rec(s, "2 1 1")),
		row("root by 2 0 0, not sent (danetest 43)", taFull, "dane-ta 2 0 0", whole[:2], rec(r, "2 0 0")),
		row("issuer by 2 0 0, leaf sent alone (danetest 44)", taFull, "dane-ta 2 0 0", whole[:1], rec(s, "2 0 0")),
		row("root by 2 0 0, the issuer between missing", taFull, "dane-mismatch", whole[:1], rec(r, "2 0 0")),
		row("root and issuer by 2 0 0, leaf sent alone", taFull, "dane-ta 2 0 0", whole[:1], rec(r, "2 0 0"), rec(s, "2 0 0")),
		row("a stranger's root by 2 0 0", noMatch, "dane-mismatch", whole, rec(x, "2 0 0")),
		row("a stranger's root, sent, by 2 0 1", taChain, "dane-mismatch", certs{l, s, x}, rec(x, "2 0 1")),
		row("certificates above in reverse order", "RFC 8446 §4.4.2: clients should cope with any order above the leaf", "dane-ta 2 1 1",
			certs{l, r, s}, rec(r, "2 1 1")),
		row("a stranger between", "RFC 8446 §4.4.2: clients should cope with extraneous certificates", "dane-ta 2 1 1", certs{l, x, s, r}, rec(r, "2 1 1")),
		far("three deep, in disorder", taChain, "dane-ta 2 0 1", certs{deep.Certificate, r, s, middle.Certificate}, rec(r, "2 0 1")),
		far("three deep, anchor in the middle", taSubca, "dane-ta 2 1 1", certs{deep.Certificate, r, middle.Certificate, s}, rec(s, "2 1 1")),
		far("three deep, one between missing", taChain, "dane-mismatch", certs{deep.Certificate, s, r}, rec(s, "2 1 1")),
		alone, alone0, twice,
		row("2 1 1 that is the leaf's", taNotLeaf, "dane-mismatch", whole, rec(l, "2 1 1")),
		row("2 0 0 that is the leaf's", taNotLeaf, "dane-mismatch", whole, rec(l, "2 0 0")),
		row("stale 2 1 1 beside a right one", any1, "dane-ta 2 1 1", whole, spoilt(rec(s, "2 1 1")), rec(s, "2 1 1")),
		row("stale 3 1 1, issuer by 2 1 1 saves it", "RFC 7671 §8.2: usage 2 may be published beside usage 3", "dane-ta 2 1 1", whole,
			spoilt(rec(l, "3 1 1")), rec(s, "2 1 1")),
		row("no certificates, 2 0 0", noMatch, "dane-mismatch", nil, rec(r, "2 0 0")),
	}
}

// keys is usage 2 with a bare key.
func keys(m *maker, root, sub, leaf, stranger node) []situation {
	row := func(name, from, want string, chain certs, records ...dns.TLSA) situation {
		return situation{name, from, chain, leaf.key, records, nil, time.Time{}, want, ""}
	}
	r, s, l, x := root.Certificate, sub.Certificate, leaf.Certificate, stranger.Certificate
	lone := m.leaf(node{}, nil, nil)
	self := row("self-signed, its own key by 2 1 0", taKey, "dane-ta 2 1 0", nodes(lone), rec(lone.Certificate, "2 1 0"))
	self.key = lone.key
	old := m.issuer(root, "Old", nil, func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Hour) })
	below := m.leaf(old, nil, nil)
	expired := row("expired issuer, sent, by 2 1 0", taChain, "cert-expired", certs{below.Certificate, old.Certificate}, rec(old.Certificate, "2 1 0"))
	expired.openssl = ownDates
	unseen := row("expired issuer, not sent, by 2 1 0", taKey, "dane-ta 2 1 0", certs{below.Certificate}, rec(old.Certificate, "2 1 0"))
	expired.key, unseen.key = below.key, below.key
	late := row("bare key, leaf expired", taChain, "cert-expired", certs{l}, rec(s, "2 1 0"))
	late.now = now.AddDate(1, 0, 0)
	return []situation{
		row("issuer's key by 2 1 0, sent", taKey, "dane-ta 2 1 0", certs{l, s}, rec(s, "2 1 0")),
		row("issuer's key by 2 1 0, leaf sent alone (danetest 45)", taKey, "dane-ta 2 1 0", certs{l}, rec(s, "2 1 0")),
		row("root's key by 2 1 0, root not sent (danetest 46)", taKey, "dane-ta 2 1 0", certs{l, s}, rec(r, "2 1 0")),
		row("root's key by 2 1 0, issuer not sent", taKey, "dane-mismatch", certs{l}, rec(r, "2 1 0")),
		row("a stranger's key by 2 1 0", noMatch, "dane-mismatch", certs{l, s, r}, rec(x, "2 1 0")),
		row("the leaf's key by 2 1 0", taNotLeaf, "dane-mismatch", certs{l, s, r}, rec(l, "2 1 0")),
		self, expired, unseen, late,
	}
}

// faults is what may be wrong below an anchor that matches.
func faults(t *testing.T) (out []situation) {
	t.Helper()
	ca := pki.New(now, "Test CA")
	old := pki.NewRoot(now, pki.Root{Name: "Old CA", NotAfter: now.Add(-time.Hour)})
	weak := pki.NewRoot(now, pki.Root{Name: "Weak CA", Key: pki.RSA1024})
	type subs = []pki.Intermediate
	hour := time.Hour
	for _, c := range []struct {
		name    string
		ca      *pki.CA
		o       pki.Options
		want    string
		openssl string
	}{
		{"good", ca, pki.Options{}, "dane-ta 2 0 1", ""},
		{"expired", ca, pki.Options{NotAfter: now.Add(-hour)}, "cert-expired", ""},
		{"not yet valid", ca, pki.Options{NotBefore: now.Add(hour)}, "cert-not-yet-valid", ""},
		{"expired issuer", ca, pki.Options{Intermediates: subs{{NotAfter: now.Add(-hour)}}}, "cert-expired", ""},
		{"expired anchor", old, pki.Options{}, "cert-expired", ""},
		{"RSA 1024 anchor", weak, pki.Options{}, "cert-weak", strength},
		{"RSA 1024 leaf", ca, pki.Options{Key: pki.RSA1024}, "cert-weak", strength},
		{"signed with SHA-1", ca, pki.Options{Intermediates: subs{{Key: pki.RSA2048}}, Signature: x509.SHA1WithRSA}, "cert-weak", strength},
		{"signed with MD5", ca, pki.Options{Intermediates: subs{{Key: pki.RSA2048}}, Signature: x509.MD5WithRSA}, "cert-weak", strength},
		{"clientAuth only", ca, pki.Options{EKU: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, "cert-usage", ""},
		{"no extended key usage", ca, pki.Options{EKU: []x509.ExtKeyUsage{}}, "dane-ta 2 0 1", ""},
		{"issuer is no CA", ca, pki.Options{Intermediates: subs{{NotCA: true}}}, "cert-usage", ""},
		{"issuer without basic constraints", ca, pki.Options{Intermediates: subs{{NoConstraints: true}}}, "cert-usage", ""},
		{"issuer may not sign", ca, pki.Options{Intermediates: subs{{KeyUsage: x509.KeyUsageCRLSign}}}, "cert-usage", ""},
		{"path too long", ca, pki.Options{Intermediates: subs{{PathLen: 1}, {}}}, "cert-usage", ""},
		{"critical extension nobody knows", ca, pki.Options{CriticalUnknown: true}, "cert-usage", ""},
		{"names excluded", ca, pki.Options{Intermediates: subs{{Excluded: []string{"partner.test"}}}}, "cert-name-constraint", ""},
		{"other names permitted", ca, pki.Options{Intermediates: subs{{Permitted: []string{"elsewhere.test"}}}}, "cert-name-constraint", ""},
		{"names permitted", ca, pki.Options{Intermediates: subs{{Permitted: []string{"partner.test"}}}}, "dane-ta 2 0 1", ""},
		{"expired and another name", ca, pki.Options{Names: []string{"a.test"}, NotAfter: now.Add(-hour)}, "cert-expired cert-name-mismatch", ""},
	} {
		c.o.SendRoot = true
		made := issue(c.ca, c.o)
		out = append(out, situation{"below an anchor: " + c.name, taChain, made.Chain, made.TLS.PrivateKey.(crypto.Signer),
			[]dns.TLSA{rec(c.ca.Root(), "2 0 1")}, nil, time.Time{}, c.want, c.openssl})
	}
	return append(out, faultyAnchors(ca)...)
}

// faultyAnchors have the fault themselves.
func faultyAnchors(ca *pki.CA) (out []situation) {
	type subs = []pki.Intermediate
	for _, c := range []struct {
		name, numbers string
		sub           pki.Intermediate
		want          string
		openssl       string
	}{
		{"is no CA", "2 1 1", pki.Intermediate{NotCA: true}, "cert-usage", ""},
		{"is no CA, whole, not sent", "2 0 0", pki.Intermediate{NotCA: true, Omit: true}, "cert-usage", ""},
		{"constrains names", "2 1 1", pki.Intermediate{Permitted: []string{"elsewhere.test"}}, "cert-name-constraint", ""},
		{"allows no path below, and there is none", "2 1 1", pki.Intermediate{PathLen: 1}, "dane-ta 2 1 1", ""},
		{"has a critical extension nobody knows", "2 1 1", pki.Intermediate{CriticalUnknown: true}, "cert-usage", ""},
		{"is for clients", "2 1 1", pki.Intermediate{EKU: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, "cert-usage", ""},
		{"expired, whole, not sent", "2 0 0", pki.Intermediate{NotAfter: now.Add(-time.Hour), Omit: true}, "cert-expired", ownDates},
	} {
		sub := c.sub
		sub.Omit = false
		sub.Name = c.name
		made := issue(ca, pki.Options{Intermediates: subs{sub}})
		chain := made.Chain
		if c.sub.Omit {
			chain = chain[:1]
		}
		out = append(out, situation{"the anchor " + c.name, taChain, chain, made.TLS.PrivateKey.(crypto.Signer),
			[]dns.TLSA{rec(made.Chain[1], c.numbers)}, nil, time.Time{}, c.want, c.openssl})
	}
	return out
}

// names is RFC 7672 §3.2.2.
func names(m *maker, sub node) (out []situation) {
	domains := func(names ...string) (out []mail.Domain) {
		for _, n := range names {
			out = append(out, mail.MustDomain(n))
		}
		return out
	}
	for _, c := range []struct {
		name      string
		presented []string
		expected  []mail.Domain
		want      string
		openssl   string
	}{
		{"another name (danetest 48)", []string{"www.elsewhere.test"}, nil, "cert-name-mismatch", ""},
		{"the TLSA base domain", []string{"base.partner.test"}, domains("base.partner.test", "mx.partner.test"), "dane-ta 2 1 1", ""},
		{"the mail host, not the base domain", []string{"mx.partner.test"}, domains("base.partner.test", "mx.partner.test"), "dane-ta 2 1 1", unsent},
		{"the recipients' domain", []string{"partner.test"}, domains("mx.hoster.test", "partner.test"), "dane-ta 2 1 1", unsent},
		{"below the recipients' domain", []string{"www.partner.test"}, domains("partner.test"), "cert-name-mismatch", ""},
		{"a wildcard", []string{"*.partner.test"}, nil, "dane-ta 2 1 1", ""},
		{"a wildcard two labels above", []string{"*.test"}, nil, "cert-name-mismatch", ""},
		{"a wildcard of part of a label", []string{"m*.partner.test"}, nil, "cert-name-mismatch", "OpenSSL takes a part of a label unless it is told not to"},
		{"upper case", []string{"MX.Partner.TEST"}, nil, "dane-ta 2 1 1", ""},
		{"one of many", []string{"a.test", "b.test", "mx.partner.test"}, nil, "dane-ta 2 1 1", ""},
		{"the common name alone", nil, nil, "cert-name-mismatch", "OpenSSL looks at the common name where there is no SAN"},
		{"no name is known", []string{"mx.partner.test"}, []mail.Domain{}, "cert-name-mismatch", unsent},
		{"an address literal", []string{"mx.partner.test"}, domains("[192.0.2.1]"), "cert-name-mismatch", unsent},
	} {
		leaf := m.leaf(sub, nil, func(t *x509.Certificate) {
			t.DNSNames = c.presented
			t.Subject = pkix.Name{CommonName: host.String()}
		})
		out = append(out, situation{"name: " + c.name, taNames, nodes(leaf, sub), leaf.key, recs(sub, "2 1 1"), c.expected, time.Time{}, c.want, c.openssl})
	}
	return out
}

// letsEncrypt is what happened to those who named the issuers of a public CA.
func letsEncrypt(m *maker) []situation {
	dst := m.issuer(node{}, "DST Root CA X3", nil, func(c *x509.Certificate) { c.NotAfter = now.AddDate(0, -1, 0) })
	x1 := m.issuer(node{}, "ISRG Root X1", nil, nil)
	crossed := m.issuer(dst, "ISRG Root X1", x1.key, nil)
	r3 := m.issuer(x1, "R3", nil, nil)
	r3old := m.issuer(dst, "R3", r3.key, func(c *x509.Certificate) { c.NotAfter = now.AddDate(0, -1, 0) })
	r10 := m.issuer(x1, "R10", nil, nil)
	e5, e6 := m.issuer(x1, "E5", nil, nil), m.issuer(x1, "E6", nil, nil)
	before, after := m.leaf(r3, nil, nil), m.leaf(r10, nil, nil)
	byE6 := m.leaf(e6, nil, nil)
	const rotated = "RFC 7671 §8.2: a record of usage 2 must name the issuer that is in use"
	row := func(name, from, want string, leaf node, above certs, records ...dns.TLSA) situation {
		return situation{"Let's Encrypt: " + name, from, append(nodes(leaf), above...), leaf.key, records, nil, time.Time{}, want, ""}
	}
	crossLine := nodes(r3, crossed)
	asDSTSigned := row("2 1 1 of R3, sent as DST signed it, expired", taChain, "cert-expired", before, nodes(r3old), rec(r3.Certificate, "2 1 1"))
	asDSTSigned.openssl = ownDates
	return []situation{
		row("2 1 1 of R3, issued by R3", taSubca, "dane-ta 2 1 1", before, nodes(r3), rec(r3.Certificate, "2 1 1")),
		row("2 1 1 of R3, renewed by R10 (2024)", rotated, "dane-mismatch", after, nodes(r10), rec(r3.Certificate, "2 1 1")),
		row("R3 and R10 published, renewed by R10", any1, "dane-ta 2 1 1", after, nodes(r10), rec(r3.Certificate, "2 1 1"), rec(r10.Certificate, "2 1 1")),
		row("E5 published, the backup E6 issued", rotated, "dane-mismatch", byE6, nodes(e6), rec(e5.Certificate, "2 1 1")),
		row("renewed by R10, chain file still has R3", rotated, "dane-mismatch", after, nodes(r3), rec(r3.Certificate, "2 1 1")),
		row("renewed by R10, R3 left in the chain file", rotated, "dane-mismatch", after, nodes(r10, r3), rec(r3.Certificate, "2 1 1")),
		row("renewed by R10, 3 1 1 of a kept key", any1, "dane-ee 3 1 1", m.leaf(r10, before.key, nil), nodes(r10), rec(before.Certificate, "3 1 1"), rec(r3.Certificate, "2 1 1")),
		row("2 1 1 of X1, which is not sent (OpenSSL issue 20599)", taDigest, "dane-mismatch", before, nodes(r3), rec(x1.Certificate, "2 1 1")),
		row("2 1 1 of X1, cross-signed X1 sent", taSubca, "dane-ta 2 1 1", before, crossLine, rec(x1.Certificate, "2 1 1")),
		row("2 0 1 of the self-signed X1, cross-signed X1 sent", "RFC 6698 §2.1.2: selector 0 is one certificate of several of a key", "dane-mismatch",
			before, crossLine, rec(x1.Certificate, "2 0 1")),
		row("2 0 0 of the self-signed X1, cross-signed X1 sent", taFull, "dane-ta 2 0 0", before, crossLine, rec(x1.Certificate, "2 0 0")),
		row("2 1 0 of X1, cross-signed X1 sent", taKey, "dane-ta 2 1 0", before, crossLine, rec(x1.Certificate, "2 1 0")),
		row("2 1 1 of DST X3, expired and sent", taChain, "cert-expired", before, nodes(r3, crossed, dst), rec(dst.Certificate, "2 1 1")),
		asDSTSigned,
		row("2 1 1 of R3, both of its certificates sent", taChain, "dane-ta 2 1 1", before, nodes(r3old, r3), rec(r3.Certificate, "2 1 1")),
		row("2 0 1 of R3 as DST signed it, R3 of X1 sent", "RFC 6698 §2.1.2: selector 0 is one certificate of several of a key", "dane-mismatch",
			before, nodes(r3), rec(r3old.Certificate, "2 0 1")),
		row("digest of R3's certificate published as 2 1 1", "RFC 6698 §2.1.2: the selector says what was hashed", "dane-mismatch",
			before, nodes(r3), set(rec(r3.Certificate, "2 0 1"), 2, 1, 1)),
		row("digest of R3 published as usage 3", "RFC 6698 §2.1.1: usage 3 MUST match the end entity certificate", "dane-mismatch",
			before, nodes(r3), set(rec(r3.Certificate, "2 1 1"), 3, 1, 1)),
	}
}
