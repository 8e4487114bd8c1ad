package peers

import (
	"context"
	"strings"
	"testing"

	"postern/internal/dns"
	"postern/internal/dns/resolver"
	"postern/internal/mail"
)

// zoneRecords are the same in every zone, so that only its fault makes the difference.
func zoneRecords(name string) string {
	return strings.ReplaceAll(`Z MX 10 mx.Z
		mx.Z A 127.0.0.2
		mx.Z AAAA ::1
		Z TXT "v=Z"
		_25._tcp.mx.Z TLSA 3 1 1 0000000000000000000000000000000000000000000000000000000000000000
		`, "Z", name+".")
}

func asking(t *testing.T, s *SignedDNS) *resolver.Resolver {
	t.Helper()
	r, err := resolver.New(resolver.Config{Servers: []string{s.Resolver}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// seen is an answer in a few words: how it was vouched for, and what came.
func seen(info dns.Info, err error, n int) string {
	secure := map[bool]string{true: "secure", false: "insecure"}[info.Secure]
	switch {
	case dns.IsNXDomain(err):
		return secure + " nxdomain"
	case dns.KindOf(err) == dns.Bogus:
		return "bogus"
	case dns.KindOf(err) == dns.ServFail:
		return "servfail"
	case err != nil:
		return err.Error()
	case n == 0:
		return secure + " none"
	}
	return secure
}

// ask asks for all kinds of records of a name that mail needs.
func ask(r *resolver.Resolver, qtype, name string) string {
	ctx, d := context.Background(), mail.MustDomain(strings.TrimPrefix(name, "_25._tcp."))
	switch qtype {
	case "MX":
		a, err := r.MX(ctx, d)
		return seen(a.Info, err, len(a.Records))
	case "A":
		a := r.Addrs(ctx, d).V4
		return seen(a.Info, a.Err, len(a.Addrs))
	case "AAAA":
		a := r.Addrs(ctx, d).V6
		return seen(a.Info, a.Err, len(a.Addrs))
	case "CNAME":
		a, err := r.CNAME(ctx, d)
		n := 1
		if a.Target.IsZero() {
			n = 0
		}
		return seen(a.Info, err, n)
	case "TXT":
		a, err := r.TXT(ctx, d)
		return seen(a.Info, err, len(a.Texts))
	}
	d, err := mail.ParseDomain(name)
	if err != nil {
		return err.Error()
	}
	a, err := r.TLSA(ctx, d)
	return seen(a.Info, err, len(a.Records))
}

func TestSignedDNSGivesEachFaultToTheResolver(t *testing.T) {
	t.Parallel()
	good := SignedZone{Name: "good.test", Records: zoneRecords("good.test") + `
		inside.good.test. CNAME mx.good.test.
		hashed.good.test. CNAME mx.hashed.test.
		outside.good.test. CNAME mx.unsigned.test.
		broken.good.test. CNAME mx.bogus.test.
		lost.good.test. CNAME nowhere.good.test.
		away.good.test. CNAME nowhere.example.
		*.wild.good.test. A 127.0.0.3
		`}
	s := NewSignedDNS(t, good,
		SignedZone{Name: "hashed.test", Records: zoneRecords("hashed.test"), NSEC3: true},
		SignedZone{Name: "unsigned.test", Fault: Unsigned,
			Records: zoneRecords("unsigned.test") + "in.unsigned.test. CNAME mx.good.test."},
		SignedZone{Name: "child.good.test", Records: zoneRecords("child.good.test"), Fault: Unsigned},
		SignedZone{Name: "expired.test", Records: zoneRecords("expired.test"), Fault: Expired},
		SignedZone{Name: "bogus.test", Records: zoneRecords("bogus.test"), Fault: Bogus},
		SignedZone{Name: "anchor.test", Records: zoneRecords("anchor.test"), Fault: WrongAnchor},
		SignedZone{Name: "partly.test", Records: zoneRecords("partly.test") + "al.partly.test. CNAME mx.partly.test.",
			Bogus: []string{"_25._tcp.mx.partly.test TLSA", "mx.partly.test AAAA", "al.partly.test CNAME"}},
		SignedZone{Name: "failing.test", Records: zoneRecords("failing.test"), Fault: Failing},
		SignedZone{Name: "good-but.test", Records: zoneRecords("good-but.test")},
		SignedZone{Name: "_tcp.mx.good-but.test", Fault: Failing},
		SignedZone{Name: "denial.test", Records: zoneRecords("denial.test"), Bogus: []string{"mx.denial.test NSEC"}},
	)
	r := asking(t, s)
	for _, c := range []struct{ qtype, name, want string }{
		{"MX", "good.test", "secure"},
		{"A", "mx.good.test", "secure"},
		{"AAAA", "mx.good.test", "secure"},
		{"TXT", "good.test", "secure"},
		{"TLSA", "_25._tcp.mx.good.test", "secure"},
		{"MX", "mx.good.test", "secure none"},
		{"TLSA", "_26._tcp.mx.good.test", "secure nxdomain"},
		{"A", "nowhere.good.test", "secure nxdomain"},
		{"A", "any.wild.good.test", "secure"},
		{"AAAA", "any.wild.good.test", "secure none"},
		{"A", "inside.good.test", "secure"},
		{"CNAME", "inside.good.test", "secure"},
		{"A", "hashed.good.test", "secure"},
		{"A", "outside.good.test", "insecure"},
		{"CNAME", "outside.good.test", "secure"},
		{"A", "broken.good.test", "bogus"},
		{"CNAME", "broken.good.test", "secure"},
		{"A", "lost.good.test", "secure nxdomain"},
		{"A", "away.good.test", "secure nxdomain"},
		{"MX", "child.good.test", "insecure"},
		{"A", "nowhere.child.good.test", "insecure nxdomain"},
		{"MX", "hashed.test", "secure"},
		{"MX", "mx.hashed.test", "secure none"},
		{"A", "nowhere.hashed.test", "secure nxdomain"},
		{"MX", "unsigned.test", "insecure"},
		{"TLSA", "_25._tcp.mx.unsigned.test", "insecure"},
		{"MX", "mx.unsigned.test", "insecure none"},
		{"A", "in.unsigned.test", "insecure"},
		{"A", "nowhere.unsigned.test", "insecure nxdomain"},
		{"MX", "expired.test", "bogus"},
		{"A", "nowhere.expired.test", "bogus"},
		{"MX", "bogus.test", "bogus"},
		{"TLSA", "_25._tcp.mx.bogus.test", "bogus"},
		{"MX", "mx.bogus.test", "bogus"},
		{"A", "nowhere.bogus.test", "bogus"},
		{"MX", "anchor.test", "bogus"},
		{"MX", "partly.test", "secure"},
		{"A", "mx.partly.test", "secure"},
		{"AAAA", "mx.partly.test", "bogus"},
		{"CNAME", "al.partly.test", "bogus"},
		{"A", "al.partly.test", "bogus"},
		{"TLSA", "_25._tcp.mx.partly.test", "bogus"},
		{"MX", "failing.test", "servfail"},
		{"A", "mx.good-but.test", "secure"},
		{"TLSA", "_25._tcp.mx.good-but.test", "servfail"},
		{"MX", "denial.test", "secure"},
		{"MX", "mx.denial.test", "bogus"},
		{"A", "nowhere.example", "secure nxdomain"},
	} {
		if got := ask(r, c.qtype, c.name); got != c.want {
			t.Errorf("%s of %s: %s, not %s", c.qtype, c.name, got, c.want)
		}
	}
}

// A zone that is broken and mended, and broken in another way, is seen at once: nothing between may keep what was.
func TestSignedDNSShowsAZoneThatIsReplaced(t *testing.T) {
	t.Parallel()
	zone := SignedZone{Name: "mended.test", Records: zoneRecords("mended.test")}
	s := NewSignedDNS(t, zone)
	r := asking(t, s)
	for _, c := range []struct {
		fault Fault
		bogus []string
		want  string
	}{
		{Bogus, nil, "bogus"}, {"", nil, "secure"}, {WrongAnchor, nil, "bogus"}, {"", []string{"mended.test MX"}, "bogus"},
		{Unsigned, nil, "insecure"}, {Expired, nil, "bogus"}, {Failing, nil, "servfail"}, {"", nil, "secure"},
	} {
		zone.Fault, zone.Bogus = c.fault, c.bogus
		s.Replace(zone)
		r.Forget() // a failure is kept for a moment
		if got := ask(r, "MX", "mended.test"); got != c.want {
			t.Errorf("%s %v: %s, not %s", c.fault, c.bogus, got, c.want)
		}
	}
	zone.Records += "new.mended.test. A 127.0.0.9\n"
	s.Replace(zone)
	if got := ask(r, "A", "new.mended.test"); got != "secure" {
		t.Errorf("the new name is %s", got)
	}
}
