package peers

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"postern/internal/lab/partner"
	"postern/internal/lab/pki"
)

// DANEMeans is what RFC 7672 wants of a sender in a situation.
type DANEMeans string

// What a sender is to do. Whether and how mail goes where there is no DANE is not said here.
const (
	DANEProven    DANEMeans = "proven"    // deliver: the TLSA records vouch for the host
	DANEWaits     DANEMeans = "waits"     // pass over the host: records do not vouch for it, or nobody can tell
	DANEEncrypted DANEMeans = "encrypted" // deliver over TLS, whoever the host is: no record is usable (RFC 7672 §2.2)
	DANENone      DANEMeans = "none"      // there is no DANE: there are no records, or no secure ones
)

// DANESituation is a mail domain with one host, as they are met in the field, and what is to come of it.
type DANESituation struct {
	Name   string // "ee-match"; no two are the same
	Domain string // where mail goes
	Host   string // the mail host, as the MX names it
	IP     string // where the host is
	Zones  []SignedZone
	// Cert is what the host shows; nil where it offers no STARTTLS.
	Cert *pki.Certificate
	// Postfix is what PosttlsFingerDANE says of Domain at the level dane, without roots.
	Postfix string
	Means   DANEMeans
}

// DANESituations are all of them, with mail hosts at one port, each at an IP of its own, and certificates of ca, around
// now. No two have a zone in common, so that one SignedDNS can have them all: see DANEZones.
func DANESituations(ca *pki.CA, now time.Time, port int, newIP func() string) []DANESituation {
	d := &daneMaker{ca: ca, now: now, port: port, newIP: newIP}
	d.ends()
	d.anchors()
	d.unusable()
	d.lookups()
	d.insecure()
	d.aliases()
	return d.all
}

// Serve runs the mail host at the port the situation was made for, until the test ends.
func (s DANESituation) Serve(t testing.TB, port int) *partner.Partner {
	t.Helper()
	var b partner.Behaviour
	if s.Cert != nil {
		b.TLS = &tls.Config{Certificates: []tls.Certificate{s.Cert.TLS}}
	}
	p, err := partner.Listen(s.Host, net.JoinHostPort(s.IP, strconv.Itoa(port)), b)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// DANEZones are the zones of situations.
func DANEZones(all []DANESituation) []SignedZone {
	var zones []SignedZone
	for _, s := range all {
		zones = append(zones, s.Zones...)
	}
	return zones
}

// daneMaker makes the situations. Each has a zone that, unless it says otherwise, is signed and good, with an MX and a
// host "mx" in it. In what is given to it $D stands for the domain, $IP for the host's address and $P for "_25._tcp"
// with the port.
type daneMaker struct {
	ca    *pki.CA
	now   time.Time
	port  int
	newIP func() string
	all   []DANESituation
}

// mailed are the records of a domain with one host.
const mailed = "$D. MX 10 mx.$D.\nmx.$D. A $IP\n"

// add makes a situation of the records besides those of MX and host.
func (d *daneMaker) add(name string, cert *pki.Certificate, postfix string, means DANEMeans, records ...string) {
	d.zones(name, cert, postfix, means, SignedZone{Name: "$D", Records: mailed + strings.Join(records, "\n")})
}

// zones makes a situation of whole zones.
func (d *daneMaker) zones(name string, cert *pki.Certificate, postfix string, means DANEMeans, zones ...SignedZone) {
	s := DANESituation{Name: name, Domain: name + ".test", Host: "mx." + name + ".test", IP: d.newIP(), Zones: zones,
		Cert: cert, Postfix: postfix, Means: means}
	fill := strings.NewReplacer("$D", s.Domain, "$IP", s.IP, "$P", fmt.Sprintf("_%d._tcp", d.port)).Replace
	for i := range zones {
		z := &zones[i]
		z.Name, z.Records, z.Bogus = fill(z.Name), fill(z.Records), slices.Clone(z.Bogus)
		for j := range z.Bogus {
			z.Bogus[j] = fill(z.Bogus[j])
		}
	}
	d.all = append(d.all, s)
}

// tlsa is a record of the host.
func (d *daneMaker) tlsa(usage, selector, matching uint8, cert *x509.Certificate) string {
	return TLSA("mx.$D", d.port, usage, selector, matching, cert)
}

// cert is a good certificate of a situation's host but for what is changed.
func (d *daneMaker) cert(name string, change func(*pki.Options)) *pki.Certificate {
	o := pki.Options{Names: []string{"mx." + name + ".test"}}
	if change != nil {
		change(&o)
	}
	return d.ca.Issue(o)
}

// ends are records of usage 3, which vouch for a key or a certificate whatever its name, its dates and its issuer are.
func (d *daneMaker) ends() {
	other := d.cert("another", nil).Leaf
	for _, c := range []struct {
		name               string
		selector, matching uint8
	}{
		{"ee-match", 1, 1}, {"ee-whole-match", 0, 1}, {"ee-long-match", 1, 2},
		{"ee-verbatim-match", 1, 0}, {"ee-verbatim-whole", 0, 0},
	} {
		cert := d.cert(c.name, nil)
		d.add(c.name, cert, "Verified", DANEProven, d.tlsa(3, c.selector, c.matching, cert.Leaf))
	}
	for name, change := range map[string]func(*pki.Options){
		"ee-expired":     func(o *pki.Options) { o.NotAfter = d.now.Add(-24 * time.Hour) },
		"ee-wrong-name":  func(o *pki.Options) { o.Names = []string{"somebody.else.test"} },
		"ee-self-signed": func(o *pki.Options) { o.SelfSigned = true },
	} {
		cert := d.cert(name, change)
		d.add(name, cert, "Verified", DANEProven, d.tlsa(3, 1, 1, cert.Leaf))
	}
	cert := d.cert("ee-rollover", nil)
	d.add("ee-rollover", cert, "Verified", DANEProven, d.tlsa(3, 1, 1, other), d.tlsa(3, 1, 1, cert.Leaf))
	// Of several digests over the same the strongest decides: a stale short one does no harm, a stale long one does.
	cert = d.cert("ee-strong-match", nil)
	d.add("ee-strong-match", cert, "Verified", DANEProven, d.tlsa(3, 1, 1, other), d.tlsa(3, 1, 2, cert.Leaf))
	cert = d.cert("ee-strong-stale", nil)
	d.add("ee-strong-stale", cert, "Untrusted", DANEWaits, d.tlsa(3, 1, 1, cert.Leaf), d.tlsa(3, 1, 2, other))
	d.add("ee-mismatch", d.cert("ee-mismatch", nil), "Untrusted", DANEWaits, d.tlsa(3, 1, 1, other))
	cert = d.cert("ee-whole-mismatch", nil) // the key is the right one, the certificate was renewed
	renewed := d.ca.Issue(pki.Options{Names: []string{"mx.ee-whole-mismatch.test"}, Public: cert.Leaf.PublicKey})
	d.add("ee-whole-mismatch", cert, "Untrusted", DANEWaits, d.tlsa(3, 0, 1, renewed.Leaf))
	d.add("no-starttls", nil, FingerNoTLS, DANEWaits, d.tlsa(3, 1, 1, other))
}

// anchors are records of usage 2, which vouch for an issuer: name and dates must be right.
func (d *daneMaker) anchors() {
	root, issuer := d.ca.Root(), d.tlsa(2, 1, 1, d.ca.Intermediate())
	sent := func(o *pki.Options) { o.SendRoot = true }
	named := func(name string) func(*pki.Options) { return func(o *pki.Options) { o.Names = []string{name} } }
	expired := func(o *pki.Options) { o.NotAfter = d.now.Add(-24 * time.Hour) }
	for _, c := range []struct {
		name    string
		change  func(*pki.Options)
		tlsa    string
		postfix string
		means   DANEMeans
	}{
		{"ta-match", nil, issuer, "Verified", DANEProven},
		{"ta-whole-match", nil, d.tlsa(2, 0, 1, d.ca.Intermediate()), "Verified", DANEProven},
		{"ta-root-sent", sent, d.tlsa(2, 1, 1, root), "Verified", DANEProven},
		{"ta-root-verbatim", nil, d.tlsa(2, 0, 0, root), "Verified", DANEProven},
		{"ta-key-verbatim", nil, d.tlsa(2, 1, 0, root), "Verified", DANEProven},
		{"ta-root-left-out", nil, d.tlsa(2, 1, 1, root), "Untrusted", DANEWaits}, // a digest of what nobody has shown
		{"ta-other-issuer", nil, d.tlsa(2, 1, 1, pki.New(d.now, "Another CA").Intermediate()), "Untrusted", DANEWaits},
		{"ta-wrong-name", named("somebody.else.test"), issuer, "Untrusted", DANEWaits},
		{"ta-domain-name", named("ta-domain-name.test"), issuer, "Verified", DANEProven},
		{"ta-wildcard", named("*.ta-wildcard.test"), issuer, "Verified", DANEProven},
		{"ta-expired", expired, issuer, "Untrusted", DANEWaits},
	} {
		d.add(c.name, d.cert(c.name, c.change), c.postfix, c.means, c.tlsa)
	}
	cert := d.cert("ta-names-leaf", nil)
	d.add("ta-names-leaf", cert, "Untrusted", DANEWaits, d.tlsa(2, 1, 1, cert.Leaf))
	cert = d.cert("ta-wrong-ee-match", nil) // either record will do
	d.add("ta-wrong-ee-match", cert, "Verified", DANEProven,
		d.tlsa(2, 1, 1, cert.Leaf), d.tlsa(3, 1, 1, cert.Leaf))
}

// unusable are records that say nothing to a mail server. Alone they still ask for TLS; beside usable ones they are as
// if not there.
func (d *daneMaker) unusable() {
	for _, c := range []struct{ name, tlsa string }{
		{"pkix-ta", "0 1 1 FULL"}, {"pkix-ee", "1 1 1 FULL"},
		{"unknown-usage", "4 1 1 FULL"}, {"unknown-selector", "3 7 1 FULL"}, {"unknown-digest", "3 1 9 FULL"},
		{"short-digest", "3 1 1 HALF"}, {"long-digest", "3 1 1 FULL00"}, {"no-certificate", "2 0 0 FULL"},
	} {
		cert := d.cert(c.name, nil)
		digest := TLSA("x", 1, 3, 1, 1, cert.Leaf)
		digest = digest[strings.LastIndexByte(digest, ' ')+1 : len(digest)-1]
		tlsa := strings.NewReplacer("FULL", digest, "HALF", digest[:32]).Replace(c.tlsa)
		d.add(c.name, cert, "Untrusted", DANEEncrypted, "$P.mx.$D. TLSA "+tlsa)
	}
	cert := d.cert("unusable-mismatch", nil)
	other := d.cert("another", nil).Leaf
	d.add("unusable-mismatch", cert, "Untrusted", DANEWaits, d.tlsa(1, 1, 1, cert.Leaf), d.tlsa(3, 1, 1, other))
	cert = d.cert("unusable-match", nil)
	d.add("unusable-match", cert, "Verified", DANEProven, d.tlsa(0, 1, 1, cert.Leaf), d.tlsa(3, 1, 1, cert.Leaf))
}

// lookups are answers that fail, or prove that there is nothing.
func (d *daneMaker) lookups() {
	for _, c := range []struct {
		name    string
		fault   Fault
		bogus   string // one set of records
		failing string // one zone more, that cannot be asked
		nsec3   bool
		without bool // no TLSA record
		postfix string
		means   DANEMeans
	}{
		{name: "no-tlsa", without: true, postfix: "Untrusted", means: DANENone},
		{name: "no-tlsa-nsec3", without: true, nsec3: true, postfix: "Untrusted", means: DANENone},
		{name: "no-tlsa-bogus", without: true, bogus: "mx.$D NSEC", postfix: FingerTLSAError, means: DANEWaits},
		{name: "tlsa-bogus", bogus: "$P.mx.$D TLSA", postfix: FingerTLSAError, means: DANEWaits},
		{name: "tlsa-failing", failing: "_tcp.mx.$D", without: true, postfix: FingerTLSAError, means: DANEWaits},
		{name: "address-bogus", bogus: "mx.$D A", postfix: FingerAddressError, means: DANEWaits},
		{name: "mx-bogus", bogus: "$D MX", postfix: FingerAddressError, means: DANEWaits},
		{name: "zone-bogus", fault: Bogus, postfix: FingerAddressError, means: DANEWaits},
		{name: "zone-expired", fault: Expired, postfix: FingerAddressError, means: DANEWaits},
		{name: "zone-anchor", fault: WrongAnchor, postfix: FingerAddressError, means: DANEWaits},
		{name: "zone-failing", fault: Failing, postfix: FingerAddressError, means: DANEWaits},
		{name: "zone-nsec3", nsec3: true, postfix: "Verified", means: DANEProven},
	} {
		cert := d.cert(c.name, nil)
		z := SignedZone{Name: "$D", Records: mailed, Fault: c.fault, NSEC3: c.nsec3}
		if !c.without {
			z.Records += d.tlsa(3, 1, 1, cert.Leaf)
		}
		if c.bogus != "" {
			z.Bogus = []string{c.bogus}
		}
		zones := []SignedZone{z}
		if c.failing != "" {
			zones = append(zones, SignedZone{Name: c.failing, Fault: Failing})
		}
		d.zones(c.name, cert, c.postfix, c.means, zones...)
	}
}

// insecure are domains whose way is not signed all along.
func (d *daneMaker) insecure() {
	other := d.cert("another", nil).Leaf
	const elsewhere = "$D. MX 10 mx.host-$D.\n"
	host := func(leaf *x509.Certificate) string {
		return "mx.host-$D. A $IP\n" + TLSA("mx.host-$D", d.port, 3, 1, 1, leaf)
	}
	for _, c := range []struct {
		name      string
		match     bool
		zone, its Fault // of the domain and of its host
		postfix   string
		means     DANEMeans
	}{
		// the host is proven, that the domain named it is not
		{"half-signed", true, Unsigned, "", "Trusted", DANEProven},
		{"half-mismatch", false, Unsigned, "", "Untrusted", DANEWaits},
		{"both-signed", true, "", "", "Verified", DANEProven},
		{"host-unsigned", true, "", Unsigned, "Untrusted", DANENone},
		{"host-unsigned-mismatch", false, "", Unsigned, "Untrusted", DANENone},
		{"none-signed", true, Unsigned, Unsigned, "Untrusted", DANENone},
		{"none-signed-mismatch", false, Unsigned, Unsigned, "Untrusted", DANENone},
		{"host-bogus", true, "", Bogus, FingerAddressError, DANEWaits},
	} {
		cert := d.ca.Issue(pki.Options{Names: []string{"mx.host-" + c.name + ".test", c.name + ".test"}})
		leaf := cert.Leaf
		if !c.match {
			leaf = other
		}
		d.zones(c.name, cert, c.postfix, c.means, SignedZone{Name: "$D", Records: elsewhere, Fault: c.zone},
			SignedZone{Name: "host-$D", Records: host(leaf), Fault: c.its})
		d.all[len(d.all)-1].Host = "mx.host-" + c.name + ".test"
	}
	// A large provider's name servers answered no question for TLSA for years. Its hosts are not signed, so nobody need
	// ask.
	d.zones("never-asked", d.cert("never-asked", nil), "Untrusted", DANENone,
		SignedZone{Name: "$D", Records: mailed, Fault: Unsigned}, SignedZone{Name: "_tcp.mx.$D", Fault: Failing})
}

// aliases are hosts and records that are called otherwise than they are asked for (RFC 7672 §2.2.2), and a domain that
// is its own host.
func (d *daneMaker) aliases() {
	other := d.cert("another", nil).Leaf
	const alias = "$D. MX 10 mx.$D.\nmx.$D. CNAME mx.real-$D.\n"
	for _, c := range []struct {
		name        string
		first, last string // what the TLSA records at the alias and behind it say: "match", "mismatch", or nothing
		its         Fault  // of the zone behind the alias
		postfix     string
		means       DANEMeans
	}{
		{"alias-last", "", "match", "", "Verified", DANEProven},
		{"alias-first", "match", "", "", "Verified", DANEProven},
		{"alias-last-counts", "match", "mismatch", "", "Untrusted", DANEWaits},
		{"alias-last-decides", "mismatch", "match", "", "Verified", DANEProven},
		{"alias-unsigned-first", "match", "", Unsigned, "Verified", DANEProven},
		{"alias-unsigned-both", "match", "mismatch", Unsigned, "Verified", DANEProven},
		{"alias-unsigned-last", "", "match", Unsigned, "Untrusted", DANENone},
		{"alias-bogus", "match", "match", Bogus, FingerAddressError, DANEWaits},
	} {
		cert := d.cert(c.name, nil)
		leaf := map[string]*x509.Certificate{"match": cert.Leaf, "mismatch": other}
		records, real := alias, "mx.real-$D. A $IP\n"
		if c.first != "" {
			records += d.tlsa(3, 1, 1, leaf[c.first])
		}
		if c.last != "" {
			real += TLSA("mx.real-$D", d.port, 3, 1, 1, leaf[c.last])
		}
		d.zones(c.name, cert, c.postfix, c.means, SignedZone{Name: "$D", Records: records},
			SignedZone{Name: "real-$D", Records: real, Fault: c.its})
	}
	shared := func(name string, fault Fault, postfix string, means DANEMeans) {
		cert := d.cert(name, nil)
		_, tlsa, _ := strings.Cut(d.tlsa(3, 1, 1, cert.Leaf), " ") // without its owner
		d.zones(name, cert, postfix, means, SignedZone{Name: "$D", Records: mailed + "$P.mx.$D. CNAME tlsa.keys-$D.\n"},
			SignedZone{Name: "keys-$D", Records: "tlsa.keys-$D. " + tlsa, Fault: fault})
	}
	shared("tlsa-alias", "", "Verified", DANEProven)
	shared("tlsa-alias-unsigned", Unsigned, "Untrusted", DANENone)
	shared("tlsa-alias-bogus", Bogus, FingerTLSAError, DANEWaits)

	cert := d.ca.Issue(pki.Options{Names: []string{"no-mx.test"}})
	d.zones("no-mx", cert, "Verified", DANEProven,
		SignedZone{Name: "$D", Records: "$D. A $IP\n" + TLSA("$D", d.port, 2, 1, 1, d.ca.Intermediate())})
	d.all[len(d.all)-1].Host = "no-mx.test"
}
