package dane_test

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"postern/internal/dns"
	"postern/internal/lab/pki"
	"postern/internal/mail"
)

// situation is what a host publishes and presents, and what must come of it. Most are retold from the field: the tests
// of OpenSSL, mox, Exim and GnuTLS, and what broke the mail of real domains.
type situation struct {
	name string
	// from is where the expectation comes from: the section of an RFC and what it says.
	from    string
	chain   certs
	key     crypto.Signer // the leaf's; nil where no handshake can be made with it
	records []dns.TLSA
	names   []mail.Domain // nil is host
	now     time.Time     // zero is now
	want    string        // "dane-ee 3 1 1", or the reasons
	openssl string        // why OpenSSL answers otherwise; "" where it agrees
}

const (
	eeIgnores  = "RFC 7671 §5.1: names and the expiration date MUST be ignored with DANE-EE"
	any1       = "RFC 6698 §2.1: a match of any usable record is enough; RFC 7671 §8.1: old and new stand side by side"
	noMatch    = "RFC 7672 §2.2: where usable records exist and none matches, the server is not authenticated"
	usable     = "RFC 6698 §4.1: a record with unknown numbers or malformed data is marked unusable"
	pkixUsages = "RFC 7672 §3.1.3: usages 0 and 1 SHOULD NOT be published for port 25; clients may treat them as unusable"
	agility    = "RFC 7671 §9: among the digests of one usage and selector only the strongest is used; Full(0) always"
	taNames    = "RFC 7672 §3.2.2: with DANE-TA the certificate must match a reference identifier"
	taChain    = "RFC 7671 §5.2: the whole path from the server's certificate to the anchor is validated by PKIX rules"
	taDigest   = "RFC 7671 §5.2.2: an anchor published as a digest must be in the server's certificate message"
	taFull     = "RFC 6698 §2.1.1 and RFC 7671 §5.2.1: a whole anchor from DNS completes a chain without it"
	taKey      = "RFC 7671 §5.2.3: a client may verify the chain's signature with a bare anchor key"
	taSubca    = "RFC 6698 §2.1.1: an anchor need not be self-signed; a domain may name its issuer's certificate"
	taNotLeaf  = "RFC 6698 §2.1.1: the anchor is for validating the certificate given by the server; OpenSSL looks above it only"
	unsent     = "unable to look: the handshake needs the private key"
	ownDates   = "OpenSSL does not look at the dates of an anchor that is not self-signed"
	strength   = "our floor for keys and signatures below an anchor is that of certcheck; OpenSSL's depends on its security level"
)

func situations(t *testing.T) []situation {
	t.Helper()
	m := &maker{t: t}
	root := m.issuer(node{}, "Root", nil, nil)
	sub := m.issuer(root, "Issuer", nil, nil)
	leaf := m.leaf(sub, nil, nil)
	stranger := m.issuer(node{}, "Stranger", nil, nil)
	all := nodes(leaf, sub, root)
	out := endEntities(m, leaf, all)
	out = append(out, agilities(leaf, sub, all)...)
	out = append(out, unusables(leaf, all)...)
	out = append(out, anchors(m, root, sub, leaf, stranger)...)
	out = append(out, keys(m, root, sub, leaf, stranger)...)
	out = append(out, faults(t)...)
	out = append(out, names(m, sub)...)
	return append(out, letsEncrypt(m)...)
}

// endEntities is usage 3.
func endEntities(m *maker, leaf node, all certs) []situation {
	key := leaf.key
	renewed := m.leaf(m.issuer(node{}, "Other", nil, nil), nil, nil)
	anonymous := m.make(node{}, nil, &x509.Certificate{NotBefore: now, NotAfter: now.Add(-24 * time.Hour)}, nil)
	expired := m.leaf(node{}, nil, func(c *x509.Certificate) { c.NotBefore, c.NotAfter = now.AddDate(-2, 0, 0), now.AddDate(-1, 0, 0) })
	other := m.leaf(node{}, nil, func(c *x509.Certificate) { c.DNSNames = []string{"www.elsewhere.test"} })
	bare := m.leaf(node{}, nil, func(c *x509.Certificate) {
		c.DNSNames = nil
		c.Subject = pkix.Name{CommonName: "localhost.localdomain"}
	})
	clients := m.leaf(node{}, nil, func(c *x509.Certificate) {
		c.ExtKeyUsage, c.KeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, x509.KeyUsageCRLSign
	})
	critical := m.leaf(node{}, nil, func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 55738, 7}, Critical: true, Value: []byte{5, 0}}}
	})
	out := []situation{
		{"key digest", "RFC 7672 §3.1.1: 3 1 1 is what to publish", all, key, recs(leaf, "3 1 1"), nil, time.Time{}, "dane-ee 3 1 1", ""},
		{"key SHA-512", "RFC 6698 §2.1.3: matching type 2", all, key, recs(leaf, "3 1 2"), nil, time.Time{}, "dane-ee 3 1 2", ""},
		{"whole key", "RFC 6698 §2.1.3: matching type 0", all, key, recs(leaf, "3 1 0"), nil, time.Time{}, "dane-ee 3 1 0", ""},
		{"certificate digest", "RFC 6698 §2.1.2: selector 0", all, key, recs(leaf, "3 0 1"), nil, time.Time{}, "dane-ee 3 0 1", ""},
		{"certificate SHA-512", "RFC 6698 §2.1.2: selector 0", all, key, recs(leaf, "3 0 2"), nil, time.Time{}, "dane-ee 3 0 2", ""},
		{"whole certificate", "RFC 6698 §2.1.3: matching type 0", all, key, recs(leaf, "3 0 0"), nil, time.Time{}, "dane-ee 3 0 0", ""},
		{"the leaf alone is sent", eeIgnores, all[:1], key, recs(leaf, "3 1 1"), nil, time.Time{}, "dane-ee 3 1 1", ""},
		{"strangers are sent too", "RFC 7671 §5.1: no chain is looked at", certs{leaf.Certificate, other.Certificate, bare.Certificate}, key,
			recs(leaf, "3 1 1"), nil, time.Time{}, "dane-ee 3 1 1", ""},
		{"self-signed with CN localhost.localdomain", eeIgnores, nodes(bare), bare.key, recs(bare, "3 1 1"), nil, time.Time{}, "dane-ee 3 1 1", ""},
		{"no names and never valid (danetest 2)", eeIgnores, nodes(anonymous), anonymous.key, recs(anonymous, "3 1 1"), nil, time.Time{}, "dane-ee 3 1 1", ""},
		{"no names and never valid, spoilt digest (danetest 6)", noMatch, nodes(anonymous), anonymous.key,
			[]dns.TLSA{spoilt(rec(anonymous.Certificate, "3 1 1"))}, nil, time.Time{}, "dane-mismatch", ""},
		{"expired a year ago", eeIgnores, nodes(expired), expired.key, recs(expired, "3 0 1"), nil, time.Time{}, "dane-ee 3 0 1", ""},
		{"not yet valid", eeIgnores, all, key, recs(leaf, "3 1 1"), nil, now.AddDate(-3, 0, 0), "dane-ee 3 1 1", ""},
		{"no present time", eeIgnores, all, nil, recs(leaf, "3 1 1"), nil, time.Unix(0, 0), "dane-ee 3 1 1", ""},
		{"another name (danetest 47)", eeIgnores, nodes(other), other.key, recs(other, "3 1 1"), nil, time.Time{}, "dane-ee 3 1 1", ""},
		{"no name is known", eeIgnores, all, nil, recs(leaf, "3 1 1"), []mail.Domain{}, time.Time{}, "dane-ee 3 1 1", ""},
		{"for clients, to sign CRLs", "RFC 7672 §3.1.1: the record alone binds the key", nodes(clients), clients.key,
			recs(clients, "3 1 1"), nil, time.Time{}, "dane-ee 3 1 1", ""},
		{"a critical extension nobody knows", "RFC 7672 §3.1.1: the record alone binds the key", nodes(critical), critical.key,
			recs(critical, "3 1 1"), nil, time.Time{}, "dane-ee 3 1 1", ""},
		{"SHA-256 of an issuer, not of the leaf", "RFC 6698 §2.1.1: usage 3 MUST match the end entity certificate", all, key,
			recs(node{all[1], nil}, "3 1 1"), nil, time.Time{}, "dane-mismatch", ""},
		{"renewed with a new key, record of the old (danefail)", noMatch, nodes(renewed), renewed.key, recs(leaf, "3 1 1"), nil, time.Time{}, "dane-mismatch", ""},
		{"rollover: old and new key published", any1, nodes(renewed), renewed.key,
			[]dns.TLSA{rec(leaf.Certificate, "3 1 1"), rec(renewed.Certificate, "3 1 1")}, nil, time.Time{}, "dane-ee 3 1 1", ""},
		{"certbot renewed, key kept, 3 1 1", "RFC 7671 §5.1: 3 1 1 survives renewal with the same key",
			nodes(m.leaf(node{}, leaf.key, nil)), key, recs(leaf, "3 1 1"), nil, time.Time{}, "dane-ee 3 1 1", ""},
		{"certbot renewed, key kept, 3 0 1 (lavabit)", "RFC 7671 §5.1: selector 0 breaks with every renewal",
			nodes(m.leaf(node{}, leaf.key, nil)), key, recs(leaf, "3 0 1"), nil, time.Time{}, "dane-mismatch", ""},
		{"digest of the certificate published as 3 1 1", "RFC 6698 §2.1.2: the selector says what was hashed", all, key,
			[]dns.TLSA{set(rec(leaf.Certificate, "3 0 1"), 3, 1, 1)}, nil, time.Time{}, "dane-mismatch", ""},
		{"digest of the key published as 3 0 1", "RFC 6698 §2.1.2: the selector says what was hashed", all, key,
			[]dns.TLSA{set(rec(leaf.Certificate, "3 1 1"), 3, 0, 1)}, nil, time.Time{}, "dane-mismatch", ""},
		{"upper-case hex from the zone", "RFC 6698 §2.2: hexadecimal characters, of either case", all, key,
			[]dns.TLSA{unhex(m.t, 3, 1, 1, strings.ToUpper(hex.EncodeToString(rec(leaf.Certificate, "3 1 1").Data)))}, nil, time.Time{}, "dane-ee 3 1 1", ""},
		{"no certificate at all", noMatch, nil, nil, recs(leaf, "3 1 1"), nil, time.Time{}, "dane-mismatch", ""},
		{"3 1 1 beside a stale 2 1 1", any1, all, key,
			[]dns.TLSA{spoilt(rec(all[1], "2 1 1")), rec(leaf.Certificate, "3 1 1")}, nil, time.Time{}, "dane-ee 3 1 1", ""},
		{"two certificates, RSA and ECDSA, both published", any1, all, key,
			[]dns.TLSA{rec(leaf.Certificate, "3 0 1"), rec(renewed.Certificate, "3 0 1")}, nil, time.Time{}, "dane-ee 3 0 1", ""},
	}
	weak := pki.New(now, "Weak").Issue(pki.Options{Names: []string{"mx.partner.test"}, Key: pki.RSA1024})
	tiny := m.make(node{}, nil, &x509.Certificate{NotBefore: now, NotAfter: now.Add(time.Hour)}, nil)
	small := *tiny.Certificate
	small.PublicKey = smallKey()
	return append(out,
		situation{"RSA 1024", "RFC 7672 §3.1.1: the owner chose the key", weak.Chain, weak.TLS.PrivateKey.(crypto.Signer), recs(node{weak.Leaf, nil}, "3 1 1"),
			nil, time.Time{}, "dane-ee 3 1 1", strength},
		situation{"RSA 512", "our floor: a key that others can compute proves nobody", certs{&small}, nil, recs(node{&small, nil}, "3 1 1"),
			nil, time.Time{}, "cert-weak", ""},
	)
}

// agilities is RFC 7671 §9.
func agilities(leaf, sub node, all certs) []situation {
	good := func(numbers string) dns.TLSA { return rec(leaf.Certificate, numbers) }
	bad := func(numbers string) dns.TLSA { return spoilt(good(numbers)) }
	issuer := rec(sub.Certificate, "2 1 1")
	row := func(name, want string, records ...dns.TLSA) situation {
		return situation{name, agility, all, leaf.key, records, nil, time.Time{}, want, ""}
	}
	return []situation{
		row("SHA-512 and SHA-256 both right", "dane-ee 3 1 2", good("3 1 1"), good("3 1 2")),
		row("SHA-512 right, SHA-256 stale", "dane-ee 3 1 2", bad("3 1 1"), good("3 1 2")),
		row("SHA-256 right, SHA-512 stale", "dane-mismatch", good("3 1 1"), bad("3 1 2")),
		row("SHA-512 cut in half beside a right SHA-256", "dane-ee 3 1 1", good("3 1 1"), cut(good("3 1 2"), 32)),
		row("stale 3 0 2 beside a right 3 1 1 (OpenSSL issue 10269)", "dane-ee 3 1 1", good("3 1 1"), bad("3 0 2")),
		row("stale 3 0 2 beside a right 3 0 1 (OpenSSL issue 10269)", "dane-mismatch", good("3 0 1"), bad("3 0 2")),
		row("stale SHA-512 beside the whole certificate", "dane-ee 3 0 0", good("3 0 0"), bad("3 0 2")),
		row("stale whole certificate beside a right digest", "dane-ee 3 0 1", good("3 0 1"), rec(all[2], "3 0 0")),
		row("stale 3 1 2 leaves 2 1 1 alone", "dane-ta 2 1 1", bad("3 1 2"), issuer),
		row("stale 2 1 2 puts 2 1 1 aside", "dane-mismatch", spoilt(rec(sub.Certificate, "2 1 2")), issuer),
		row("stale 2 0 2 leaves 2 1 1 alone", "dane-ta 2 1 1", spoilt(rec(sub.Certificate, "2 0 2")), issuer),
		row("matching type 3 puts nothing aside", "dane-ee 3 1 1", good("3 1 1"), set(good("3 1 2"), 3, 1, 3)),
	}
}

// unusables is about records that do not count.
func unusables(leaf node, all certs) []situation {
	good := rec(leaf.Certificate, "3 1 1")
	row := func(name, from, want string, records ...dns.TLSA) situation {
		return situation{name, from, all, leaf.key, records, nil, time.Time{}, want, ""}
	}
	public := row("0 1 1 of a public CA that signed it", pkixUsages, "dane-unusable", rec(all[2], "0 1 1"))
	own := row("1 1 1 that matches", pkixUsages, "dane-unusable", rec(leaf.Certificate, "1 1 1"))
	mixed := row("1 1 1 that matches beside a stale 3 1 1", pkixUsages, "dane-mismatch", rec(leaf.Certificate, "1 1 1"), spoilt(good))
	return []situation{
		public, own, mixed,
		row("1 1 1 beside a right 3 1 1", pkixUsages, "dane-ee 3 1 1", rec(leaf.Certificate, "1 1 1"), good),
		row("no records", "RFC 7672 §2.2: without usable records nothing is authenticated", "dane-unusable"),
		row("usage 4", usable, "dane-unusable", set(good, 4, 1, 1)),
		row("usage 255, private", usable, "dane-unusable", set(good, 255, 1, 1)),
		row("selector 2", usable, "dane-unusable", set(good, 3, 2, 1)),
		row("matching type 3", usable, "dane-unusable", set(good, 3, 1, 3)),
		row("digest of 20 octets, a SHA-1", usable, "dane-unusable", cut(good, 20)),
		row("digest of 31 octets", usable, "dane-unusable", cut(good, 31)),
		row("SHA-512 labelled as matching type 1", usable, "dane-unusable", set(rec(leaf.Certificate, "3 1 2"), 3, 1, 1)),
		row("SHA-256 labelled as matching type 2", usable, "dane-unusable", set(good, 3, 1, 2)),
		row("no data", usable, "dane-unusable", cut(good, 0)),
		row("digest labelled as matching type 0", usable, "dane-unusable", set(good, 3, 1, 0)),
		row("certificate cut short, 3 0 0", usable, "dane-unusable", cut(rec(leaf.Certificate, "3 0 0"), 200)),
		row("certificate labelled as a key", usable, "dane-unusable", set(rec(leaf.Certificate, "3 0 0"), 3, 1, 0)),
		row("malformed 2 0 0 beside a right 3 1 1 (mox)", usable, "dane-ee 3 1 1", cut(rec(all[2], "2 0 0"), 100), good),
		row("malformed 3 1 1 beside a right one (mox)", usable, "dane-ee 3 1 1", cut(spoilt(good), 16), good),
		row("malformed beside a stale one", usable, "dane-mismatch", cut(good, 16), spoilt(good)),
		row("the same record three times", any1, "dane-ee 3 1 1", good, good, good),
	}
}

// recs is the records of one certificate.
func recs(n node, numbers ...string) (out []dns.TLSA) {
	for _, s := range numbers {
		out = append(out, rec(n.Certificate, s))
	}
	return out
}

func unhex(t *testing.T, usage, selector, matching uint8, data string) dns.TLSA {
	t.Helper()
	octets, err := hex.DecodeString(data)
	if err != nil {
		t.Fatal(err)
	}
	return dns.TLSA{Usage: usage, Selector: selector, Matching: matching, Data: octets}
}
