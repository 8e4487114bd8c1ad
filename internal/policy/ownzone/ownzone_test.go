package ownzone

import (
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/dns"
	"postern/internal/lab/pki"
	"postern/internal/mail"
	"postern/internal/policy/dane"
	"postern/internal/policy/sts"
	"postern/internal/policy/tlsrpt"
)

var (
	now  = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	home = mail.MustDomain("home.test")
	gw   = mail.MustDomain("gw.home.test")
	mx2  = mail.MustDomain("mx2.home.test")
)

// world is a gateway and what DNS says of it; good is one in which everything fits.
type world struct {
	ca   *pki.CA
	own  Own
	seen Seen
	d    *SeenDomain // of seen, its only one
}

func good() *world {
	w := &world{ca: pki.New(now, "CA")}
	w.own = Own{Hostname: gw, Web: true, Domains: []Domain{{home, w.policy(sts.Enforce, "gw.home.test")}}, Certificates: []Certificate{w.certificate("gw.home.test")}}
	w.seen = Seen{Now: now, Roots: w.ca.Pool(), Validates: true, Hosts: map[mail.Domain]SeenHost{}, Domains: []SeenDomain{{Name: home}}}
	w.d = &w.seen.Domains[0]
	w.d.MX = dns.MXAnswer{Info: dns.Info{Secure: true}, Records: []dns.MX{mx(10, gw)}}
	w.d.TXT = dns.TXTAnswer{Texts: []string{w.own.Domains[0].Policy.Record().Text()}}
	w.d.Served = w.own.Domains[0].Policy
	w.host(gw, w.of(0))
	return w
}

func (w *world) certificate(names ...string) Certificate {
	return Certificate{names[0] + ".pem", w.ca.Issue(pki.Options{Names: names}).Chain}
}

func (w *world) policy(mode sts.Mode, mx ...string) sts.Policy {
	p, err := sts.New(mode, mx, 168*time.Hour)
	if err != nil {
		panic(err)
	}
	return p
}

// host says what DNS has of a host: an address, and TLSA records that are signed.
func (w *world) host(name mail.Domain, records ...dns.TLSA) {
	address := dns.Family{Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}}
	w.seen.Hosts[name] = SeenHost{Addrs: dns.Addresses{V4: address}, TLSA: dns.TLSAAnswer{Info: dns.Info{Secure: true}, Records: records}}
}

// of is the record 3 1 1 of a certificate.
func (w *world) of(i int) dns.TLSA { return w.form(i, 0, 3, 1, 1) }

func (w *world) form(i, in int, usage, selector, matching uint8) dns.TLSA {
	r, err := dane.Of(w.own.Certificates[i].Chain[in], usage, selector, matching)
	if err != nil {
		panic(err)
	}
	return r
}

func mx(pref uint16, host mail.Domain) dns.MX {
	return dns.MX{Pref: pref, Host: host, Text: host.String()}
}

func failing(kind dns.Kind) error { return &dns.Error{Kind: kind, Name: home, Type: "X"} }

// next adds a key that will be used next.
func (w *world) next() Key {
	k := Key{"next.pem", w.ca.Issue(pki.Options{Names: []string{"gw.home.test"}}).Leaf.RawSubjectPublicKeyInfo}
	w.own.NextKeys = append(w.own.NextKeys, k)
	return k
}

// other is a key that nobody has any more.
func other() dns.TLSA { return dane.OfKey([]byte("the key of last year")) }

func (w *world) publish(mode sts.Mode, mx ...string) {
	w.own.Domains[0].Policy = w.policy(mode, mx...)
	w.d.Served = w.own.Domains[0].Policy
	w.d.TXT.Texts = []string{w.d.Served.Record().Text()}
}

// asks has reports taken at tls@home.test, and says what stands in _smtp._tls.
func (w *world) asks(texts ...string) {
	w.own.Reports = tlsrpt.Record{Destinations: []tlsrpt.Destination{{Mail: mail.MustAddress("tls@home.test")}}}
	w.d.Reports = dns.TXTAnswer{Texts: texts}
}

func fault(code Code) func(*world) {
	return func(w *world) { w.d.Served, w.d.Fault = sts.Policy{}, Fault{code, "it is so"} }
}

// Each row is a mistake that people make. Of the codes wanted "?" marks what is unknown and "~" what is worth a look.
func TestMistakesOfTheFieldAreFound(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(w *world)
		want   string
	}{
		{"everything fits", func(*world) {}, ""},
		{"nothing is published but the MX record", func(w *world) {
			w.own.Domains[0].Policy, w.d.Served, w.d.TXT.Texts = sts.Policy{}, sts.Policy{}, nil
			w.host(gw)
		}, ""},
		{"another TXT record stands beside", func(w *world) { w.d.TXT.Texts = append(w.d.TXT.Texts, "site-verification=1") }, ""},

		// Where mail goes.
		{"no MX record: mail goes to the web server by its address", func(w *world) { w.d.MX.Records = nil }, "mx-missing"},
		{"the domain has run out", func(w *world) { w.d.MX, w.d.MXErr = dns.MXAnswer{}, failing(dns.NXDomain) }, "mx-missing"},
		{"a null MX is left from when the domain had no mail", func(w *world) { w.d.MX.Records = []dns.MX{{Text: "."}} }, "mx-missing"},
		{"it was left in beside the new record", func(w *world) { w.d.MX.Records = append(w.d.MX.Records, dns.MX{Text: "."}) }, "mx-null-beside"},
		{"twice, and nothing else", func(w *world) { w.d.MX.Records = []dns.MX{{Text: "."}, {Pref: 10, Text: "."}} }, "mx-missing"},
		{"beside the provider of before", func(w *world) {
			w.d.MX.Records = []dns.MX{mx(0, mail.MustDomain("home-test.mail.protection.test")), {Text: "."}}
		}, "mx-missing mx-null-beside mx-not-in-policy"},
		{"MX still names the provider of before", func(w *world) { w.d.MX.Records = []dns.MX{mx(0, mail.MustDomain("home-test.mail.protection.test"))} }, "mx-missing mx-not-in-policy"},
		{"MX names an address", func(w *world) { w.d.MX.Records = append(w.d.MX.Records, dns.MX{Pref: 20, Text: `mail\032.home.test`}) }, "mx-no-address"},
		{"a backup MX of the provider is forgotten, and the policy does not name it", func(w *world) {
			w.d.MX.Records = append(w.d.MX.Records, mx(20, mail.MustDomain("backup.provider.test")))
		}, "~mx-not-ours mx-not-in-policy"},
		{"a backup MX that is meant", func(w *world) {
			w.d.MX.Records = append(w.d.MX.Records, mx(20, mail.MustDomain("backup.provider.test")))
			w.publish(sts.Enforce, "gw.home.test", "backup.provider.test")
		}, "~mx-not-ours"},
		{"the mail host has lost its address", func(w *world) { w.seen.Hosts[gw] = SeenHost{TLSA: w.seen.Hosts[gw].TLSA} }, "mx-no-address"},
		{"the mail host is a CNAME", func(w *world) {
			h := w.seen.Hosts[gw]
			h.Addrs.V4.Aliases = []mail.Domain{gw}
			w.seen.Hosts[gw] = h
		}, "~mx-alias"},
		{"MX cannot be looked up", func(w *world) { w.d.MX, w.d.MXErr = dns.MXAnswer{}, failing(dns.ServFail) }, "?dns-unknown"},
		{"the signatures of the zone have run out", func(w *world) { w.d.MX, w.d.MXErr = dns.MXAnswer{}, failing(dns.Bogus) }, "dnssec-bogus"},
		{"addresses cannot be looked up", func(w *world) {
			w.seen.Hosts[gw] = SeenHost{Addrs: dns.Addresses{V4: dns.Family{Err: failing(dns.Timeout)}, V6: dns.Family{Err: failing(dns.Timeout)}}, TLSA: w.seen.Hosts[gw].TLSA}
		}, "?dns-unknown"},

		// MTA-STS.
		{"a second mail host is added in DNS alone", func(w *world) {
			w.own.Certificates[0] = w.certificate("gw.home.test", "mx2.home.test")
			w.d.MX.Records = append(w.d.MX.Records, mx(10, mx2))
			w.host(gw)
			w.host(mx2)
		}, "mx-not-in-policy"},
		{"the same while testing", func(w *world) {
			w.own.Certificates[0] = w.certificate("gw.home.test", "mx2.home.test")
			w.d.MX.Records = append(w.d.MX.Records, mx(10, mx2))
			w.publish(sts.Testing, "gw.home.test")
			w.host(gw)
			w.host(mx2)
		}, "mx-not-in-policy"},
		{"a wildcard names one label, and the host has two", func(w *world) { w.publish(sts.Enforce, "*.test") }, "mx-not-in-policy"},
		{"a policy that is taken back names nobody", func(w *world) { w.publish(sts.None) }, ""},
		{"the policy file is there and nobody made the record", func(w *world) { w.d.TXT.Texts = nil }, "sts-record-missing"},
		{"the record was made at _smtp._tls", func(w *world) { w.d.TXT, w.d.TXTErr = dns.TXTAnswer{}, failing(dns.NXDomain) }, "sts-record-missing"},
		{"reports are taken, and the record asks for them", func(w *world) { w.asks("v=TLSRPTv1; rua=mailto:tls@home.test") }, ""},
		{"a collecting service gets them too", func(w *world) { w.asks("v=TLSRPTv1; rua=mailto:x@service.test,mailto:tls@home.test") }, ""},
		{"another TXT record stands at the name too", func(w *world) { w.asks("v=TLSRPTv1; rua=mailto:TLS@home.test", "site-verification=1") }, ""},
		{"reports are taken, and nobody is asked for them", func(w *world) { w.asks() }, "tlsrpt-missing"},
		{"the name does not exist", func(w *world) { w.asks(); w.d.ReportsErr = failing(dns.NXDomain) }, "tlsrpt-missing"},
		{"nobody answers for the record about reports", func(w *world) { w.asks(); w.d.ReportsErr = failing(dns.ServFail) }, "?dns-unknown"},
		{"the record about reports fails validation", func(w *world) { w.asks(); w.d.ReportsErr = failing(dns.Bogus) }, "dnssec-bogus"},
		{"the record of a service stands beside ours", func(w *world) {
			w.asks("v=TLSRPTv1; rua=mailto:x@service.test", "v=TLSRPTv1; rua=mailto:tls@home.test")
		}, "tlsrpt-double"},
		{"the service of before still gets them alone", func(w *world) { w.asks("v=TLSRPTv1; rua=mailto:x@service.test") }, "tlsrpt-differs"},
		{"of two ways one is asked for", func(w *world) {
			w.asks("v=TLSRPTv1; rua=mailto:tls@home.test")
			w.own.Reports.Destinations = append(w.own.Reports.Destinations, tlsrpt.Destination{URL: "https://gw.home.test/tlsrpt"})
		}, "~tlsrpt-differs"},
		{"a record without a destination", func(w *world) { w.asks("v=TLSRPTv1;") }, "tlsrpt-malformed"},
		{"reports go to a service, and none are taken here", func(w *world) {
			w.asks("v=TLSRPTv1; rua=mailto:x@service.test")
			w.own.Reports = tlsrpt.Record{}
		}, ""},
		{"the record of the helper software stands beside ours", func(w *world) { w.d.TXT.Texts = append(w.d.TXT.Texts, "v=STSv1; id=20190101T000000;") }, "sts-record-double"},
		{"the id has dashes", func(w *world) { w.d.TXT.Texts = []string{"v=STSv1; id=2026-11-28;"} }, "sts-record-malformed"},
		{"the record has no id", func(w *world) { w.d.TXT.Texts = []string{"v=STSv1;"} }, "sts-record-malformed"},
		{"the record is in typographic quotes", func(w *world) { w.d.TXT.Texts = []string{"“v=STSv1; id=1;”"} }, "sts-record-malformed"},
		{"from testing to enforce, and the id stays", func(w *world) {
			before := w.d.TXT.Texts
			w.publish(sts.Testing, "gw.home.test")
			w.d.TXT.Texts = before
		}, "sts-id-differs"},
		{"the record cannot be looked up", func(w *world) { w.d.TXT, w.d.TXTErr = dns.TXTAnswer{}, failing(dns.Timeout) }, "?dns-unknown"},
		{"mta-sts has no address", fault(STSHostUnreachable), "sts-host-unreachable"},
		{"the certificate of mta-sts is that of the web server", fault(STSHostCertificate), "sts-host-certificate"},
		{"the web server redirects to www", fault(STSHostAnswer), "sts-host-answer"},
		{"the web server shows its start page", fault(STSPolicyMalformed), "sts-policy-malformed"},
		{"mta-sts could not be looked up", fault(STSHostUnknown), "?sts-host-unknown"},
		{"an old copy of the policy is served elsewhere", func(w *world) { w.d.Served = w.policy(sts.Enforce, "mail.home.test") }, "mx-not-in-policy sts-policy-differs"},
		{"a proxy serves the policy of testing", func(w *world) { w.d.Served = w.policy(sts.Testing, "gw.home.test") }, "sts-policy-differs"},
		{"the provider of before still announces a policy", func(w *world) {
			w.own.Domains[0].Policy, w.d.Served = sts.Policy{}, w.policy(sts.Enforce, "*.provider.test")
			w.d.TXT.Texts = []string{"v=STSv1; id=1"}
		}, "mx-not-in-policy ~sts-not-configured"},

		// The certificate.
		{"self-signed, which did until there was a policy", func(w *world) {
			w.own.Certificates[0] = Certificate{"self.pem", w.ca.Issue(pki.Options{Names: []string{"gw.home.test"}, SelfSigned: true}).Chain}
			w.host(gw)
		}, "certificate-fails"},
		{"self-signed, with DANE alone", func(w *world) {
			w.own.Certificates[0] = Certificate{"self.pem", w.ca.Issue(pki.Options{Names: []string{"gw.home.test"}, SelfSigned: true}).Chain}
			w.own.Domains[0].Policy, w.d.Served, w.d.TXT.Texts = sts.Policy{}, sts.Policy{}, nil
			w.host(gw, w.of(0))
		}, ""},
		{"expired on Sunday", func(w *world) {
			w.own.Certificates[0] = Certificate{"old.pem", w.ca.Issue(pki.Options{Names: []string{"gw.home.test"}, NotAfter: now.Add(-time.Hour)}).Chain}
			w.host(gw)
		}, "certificate-fails"},
		{"the intermediate is not in the file", func(w *world) {
			w.own.Certificates[0] = Certificate{"leaf.pem", w.ca.Issue(pki.Options{Names: []string{"gw.home.test"}, OmitIntermediates: true}).Chain}
			w.host(gw)
		}, "certificate-fails"},
		{"the second name is missing in the certificate", func(w *world) {
			w.own.Certificates[0] = w.certificate("www.home.test")
			w.host(gw)
		}, "certificate-fails"},
		{"no certificate at all", func(w *world) { w.own.Certificates = nil; w.host(gw) }, "certificate-fails"},
		{"one of two certificates for the host is of another CA", func(w *world) {
			w.own.Certificates = append(w.own.Certificates, Certificate{"b.pem", pki.New(now, "other").Issue(pki.Options{Names: []string{"gw.home.test"}}).Chain})
			w.host(gw, w.of(0), w.of(1))
		}, "certificate-fails"},

		// DANE.
		{"a renewal with a new key, and TLSA stays", func(w *world) { w.own.Certificates[0] = w.certificate("gw.home.test") }, "tlsa-mismatch tlsa-leftover"},
		{"3 0 1 ends with the renewal", func(w *world) {
			r := w.form(0, 0, 3, 0, 1)
			w.own.Certificates[0] = w.certificate("gw.home.test")
			w.host(gw, r)
		}, "tlsa-mismatch tlsa-leftover ~tlsa-certificate"},
		{"3 0 1 before the renewal", func(w *world) { w.host(gw, w.form(0, 0, 3, 0, 1)) }, "~tlsa-certificate"},
		{"2 1 1 of an issuer that is retired", func(w *world) { w.host(gw, dns.TLSA{Usage: 2, Selector: 1, Matching: 1, Data: other().Data}) }, "tlsa-mismatch tlsa-leftover"},
		{"2 1 1 of the issuer", func(w *world) { w.host(gw, w.form(0, 1, 2, 1, 1)) }, ""},
		{"2 1 1 of the issuer and of those that may come", func(w *world) {
			w.host(gw, w.form(0, 1, 2, 1, 1), dns.TLSA{Usage: 2, Selector: 1, Matching: 1, Data: other().Data})
		}, ""},
		{"2 1 1 of the issuer, and the name is wrong", func(w *world) {
			w.own.Certificates[0] = w.certificate("www.home.test")
			w.own.Domains[0].Policy, w.d.Served, w.d.TXT.Texts = sts.Policy{}, sts.Policy{}, nil
			w.host(gw, w.form(0, 1, 2, 1, 1))
		}, "tlsa-mismatch"},
		{"the key of last year is left", func(w *world) { w.host(gw, w.of(0), other()) }, "~tlsa-leftover"},
		{"the digest of nothing, as of a failed command", func(w *world) {
			sum := sha256.Sum256(nil)
			w.host(gw, dns.TLSA{Usage: 3, Selector: 1, Matching: 1, Data: sum[:]})
		}, "tlsa-mismatch tlsa-leftover"},
		{"the digest is cut in half by a form", func(w *world) { w.host(gw, dns.TLSA{Usage: 3, Selector: 1, Matching: 1, Data: w.of(0).Data[:16]}) }, "tlsa-unusable tlsa-missing"},
		{"usage 1, copied from a guide for web servers", func(w *world) {
			w.host(gw, w.of(0), w.form(0, 0, 3, 1, 1), dns.TLSA{Usage: 1, Selector: 1, Matching: 1, Data: w.of(0).Data})
		}, "tlsa-unusable"},
		{"matching type 2 over a digest of 1", func(w *world) { w.host(gw, dns.TLSA{Usage: 3, Selector: 1, Matching: 2, Data: w.of(0).Data}) }, "tlsa-unusable tlsa-missing"},
		{"an RSA certificate joins, and only the other has a record", func(w *world) {
			w.own.Certificates = append(w.own.Certificates, w.certificate("gw.home.test"))
		}, "tlsa-missing"},
		{"a next key is to come and was not published", func(w *world) { w.next() }, "tlsa-next-missing"},
		{"a next key is to come and was published", func(w *world) { k := w.next(); w.host(gw, w.of(0), dane.OfKey(k.SPKI)) }, ""},
		{"a next key is to come, below the same issuer", func(w *world) { w.next(); w.host(gw, w.form(0, 1, 2, 1, 1)) }, "~tlsa-next-missing"},
		{"a next key is to come and nothing is published", func(w *world) { w.next(); w.host(gw) }, "tlsa-missing tlsa-next-missing"},
		{"the record was replaced by that of the next key too early", func(w *world) { k := w.next(); w.host(gw, dane.OfKey(k.SPKI)) }, "tlsa-missing"},
		{"the next key is in use, and is still written as next", func(w *world) {
			w.own.NextKeys = []Key{{"next.pem", w.own.Certificates[0].Chain[0].RawSubjectPublicKeyInfo}}
		}, ""},
		{"the zone is not signed", func(w *world) {
			h := w.seen.Hosts[gw]
			h.TLSA.Secure = false
			w.seen.Hosts[gw] = h
		}, "tlsa-unsigned"},
		{"the domain's zone is not signed", func(w *world) { w.d.MX.Secure = false }, "~mx-unsigned"},
		{"nobody validates here", func(w *world) { w.seen.Validates = false }, "?dnssec-unknown"},
		{"the name servers fail at TLSA", func(w *world) {
			h := w.seen.Hosts[gw]
			h.TLSA, h.TLSAErr = dns.TLSAAnswer{}, failing(dns.ServFail)
			w.seen.Hosts[gw] = h
		}, "?dns-unknown"},
		{"denial of existence of TLSA is broken", func(w *world) {
			h := w.seen.Hosts[gw]
			h.TLSA, h.TLSAErr = dns.TLSAAnswer{}, failing(dns.Bogus)
			w.seen.Hosts[gw] = h
		}, "dnssec-bogus"},
		{"TLSA stands at the second name alone", func(w *world) {
			w.own.Certificates[0] = w.certificate("gw.home.test", "mx2.home.test")
			w.d.MX.Records = append(w.d.MX.Records, mx(20, mx2))
			w.publish(sts.Enforce, "gw.home.test", "mx2.home.test")
			w.host(gw, w.of(0))
			w.host(mx2, other())
		}, "tlsa-mismatch tlsa-leftover"},
	} {
		w := good()
		c.change(w)
		found := Judge(&w.own, &w.seen)
		if got := told(found); !slices.Equal(got, strings.Fields(c.want)) {
			t.Errorf("%s: %v, want %s\n%+v", c.name, got, c.want, found)
		}
		for _, f := range found {
			if f.Text == "" || f.Hint == "" || f.Name == "" || strings.HasSuffix(f.Text, ".") || !slices.Contains(Codes(), f.Code) {
				t.Errorf("%s: a finding without its words: %+v", c.name, f)
			}
		}
	}
}

func told(found []Finding) (out []string) {
	for _, f := range found {
		out = append(out, map[Level]string{Wrong: "", Warning: "~", Unknown: "?"}[f.Level]+string(f.Code))
	}
	return out
}

// What is said is said of two domains once, where it is about a host, and of each where it is about the domain.
func TestAHostIsToldOfOnce(t *testing.T) {
	w := good()
	second := *w.d
	second.Name = mail.MustDomain("second.test")
	w.own.Domains = append(w.own.Domains, Domain{second.Name, w.own.Domains[0].Policy})
	w.seen.Domains = append(w.seen.Domains, second)
	w.own.Certificates[0] = Certificate{"old.pem", w.ca.Issue(pki.Options{Names: []string{"gw.home.test"}, NotAfter: now.Add(-time.Hour)}).Chain}
	w.seen.Domains[0].TXT.Texts, w.seen.Domains[1].TXT.Texts = nil, nil
	w.host(gw)
	if got := told(Judge(&w.own, &w.seen)); !slices.Equal(got, []string{"certificate-fails", "sts-record-missing", "sts-record-missing"}) {
		t.Error(got)
	}
}

// What is printed, put into DNS and served, has no findings: the two halves of this room agree.
func TestWhatIsPrintedIsGood(t *testing.T) {
	w := good()
	k := w.next()
	w.own.Domains = append(w.own.Domains, Domain{Name: mail.MustDomain("plain.test")})
	w.own.Domains[0].Policy = w.policy(sts.Testing, "mx2.home.test", "gw.home.test", "*.home.test")
	w.own.Certificates = append(w.own.Certificates, w.certificate("mx2.home.test"), w.certificate("*.home.test"))
	w.asks(`v=TLSRPTv1; rua=mailto:tls@home.test`)
	var lines []string
	published := map[mail.Domain][]dns.TLSA{}
	for _, r := range w.own.Records() {
		lines = append(lines, r.Line())
		if host, ok := strings.CutPrefix(r.Name, "_25._tcp."); ok {
			published[mail.MustDomain(host)] = append(published[mail.MustDomain(host)], parseTLSA(t, r.Value))
		}
	}
	id := w.own.Domains[0].Policy.Record().ID
	first, third := dane.Format(w.of(0)), dane.Format(w.of(2))
	want := []string{"home.test. IN MX 10 gw.home.test.", `_smtp._tls.home.test. IN TXT "v=TLSRPTv1; rua=mailto:tls@home.test"`, `_mta-sts.home.test. IN TXT "v=STSv1; id=` + id + `;"`, "mta-sts.home.test. IN CNAME gw.home.test.",
		"plain.test. IN MX 10 gw.home.test.", `_smtp._tls.plain.test. IN TXT "v=TLSRPTv1; rua=mailto:tls@home.test"`,
		"_25._tcp.gw.home.test. IN TLSA " + first, "_25._tcp.gw.home.test. IN TLSA " + third, "_25._tcp.gw.home.test. IN TLSA " + dane.Format(dane.OfKey(k.SPKI)),
		"_25._tcp.mx2.home.test. IN TLSA " + dane.Format(w.of(1)), "_25._tcp.mx2.home.test. IN TLSA " + third, "_25._tcp.mx2.home.test. IN TLSA " + dane.Format(dane.OfKey(k.SPKI))}
	if !slices.Equal(lines, want) {
		t.Errorf("records:\n%s\nwant:\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
	w.d.TXT.Texts, w.d.Served = []string{w.own.Domains[0].Policy.Record().Text()}, w.own.Domains[0].Policy
	w.d.MX.Records = append(w.d.MX.Records, mx(20, mx2))
	w.host(gw, published[gw]...)
	w.host(mx2, published[mx2]...)
	if found := Judge(&w.own, &w.seen); len(found) > 0 {
		t.Errorf("%+v", found)
	}
	if got := w.own.Records(mail.MustDomain("plain.test")); len(got) != 8 || got[0].Domain.String() != "plain.test" {
		t.Errorf("of one domain: %+v", got)
	}
	w.own.Certificates = nil
	if got := w.own.Records(); len(got) != 6 {
		t.Errorf("without a certificate: %+v", got)
	}
}

func parseTLSA(t *testing.T, value string) dns.TLSA {
	t.Helper()
	f := strings.Fields(value)
	if len(f) != 4 || f[0]+f[1]+f[2] != "311" {
		t.Fatalf("TLSA %q", value)
	}
	data, err := hex.DecodeString(f[3])
	if err != nil {
		t.Fatal(err)
	}
	return dns.TLSA{Usage: 3, Selector: 1, Matching: 1, Data: data}
}

// What strangers say is bounded and cannot reach a terminal.
func TestWhatStrangersSayIsHarmless(t *testing.T) {
	w := good()
	w.d.TXT.Texts = []string{"v=STSv1; id=\x1b[2J" + strings.Repeat("x", 10_000), "v=STSv1;\r\n"}
	w.d.MX.Records = []dns.MX{{Pref: 1, Text: "\x1b]0;" + strings.Repeat("y", 5000)}}
	w.d.Served, w.d.Fault = sts.Policy{}, Fault{STSHostAnswer, "it says \x1b[31m" + strings.Repeat("z", 5000)}
	for _, f := range Judge(&w.own, &w.seen) {
		if all := f.Text + f.There + f.Want + f.Hint + f.Name; strings.ContainsAny(all, "\x1b\r\n") || len(all) > 3000 {
			t.Errorf("%d bytes: %q", len(all), all)
		}
	}
}
