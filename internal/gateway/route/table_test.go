package route

import (
	"net/netip"
	"strings"
	"testing"

	"postern/internal/event"
	"postern/internal/mail"
	"postern/internal/policy"
)

func name(s string) mail.Domain { return mail.MustDomain(s) }

// at reads "host", "host:port", "ip" or "[ip]:port" for tests.
func at(text string) HostPort {
	if ap, err := netip.ParseAddrPort(text); err == nil {
		return HostPort{IP: ap.Addr(), Port: ap.Port()}
	}
	if ip, err := netip.ParseAddr(text); err == nil {
		return HostPort{IP: ip}
	}
	host, port, _ := strings.Cut(text, ":")
	h := HostPort{Host: name(host)}
	for _, c := range port {
		h.Port = h.Port*10 + uint16(c-'0')
	}
	return h
}

func hosts(texts ...string) []HostPort {
	var out []HostPort
	for _, t := range texts {
		out = append(out, at(t))
	}
	return out
}

func mustTable(t *testing.T, cfg Config) *Table {
	t.Helper()
	table, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestTheClosestMatchNamesTheNextHop(t *testing.T) {
	table := mustTable(t, Config{
		Own: []Own{
			{Domain: name("example.com"), To: hosts("mail.internal:2525", "192.0.2.5")},
			{Domain: name("routed.example"), Trust: "ca.pem"},
		},
		Routes: []Route{
			{Match: []string{"*.test"}, To: hosts("any.relay.example")},
			{Match: []string{"*.partner.test", "Partner.TEST."}, To: hosts("mx.partner.test:26")},
			{Match: []string{"exact.partner.test"}, To: hosts("[2001:db8::1]:25")},
			{Match: []string{"routed.example", "example.com"}, To: hosts("smart.example")},
			{Match: []string{"*.bücher.example"}, To: hosts("b.example")},
		},
	})
	for domain, want := range map[string]string{
		"example.com":                  "own:mail.internal:2525,192.0.2.5:25",
		"routed.example":               "to:smart.example:25",
		"partner.test":                 "to:mx.partner.test:26",
		"a.partner.test":               "to:mx.partner.test:26",
		"a.b.partner.test":             "to:mx.partner.test:26",
		"exact.partner.test":           "to:[2001:db8::1]:25",
		"x.exact.partner.test":         "to:mx.partner.test:26",
		"notpartner.test":              "to:any.relay.example:25",
		"test":                         "mx:test",
		"a.xn--bcher-kva.example":      "to:b.example:25",
		"clinic.example":               "mx:clinic.example",
		"sub.example.com":              "mx:sub.example.com",
		"[192.0.2.1]":                  "mx:[192.0.2.1]",
		"[IPv6:2001:db8::2]":           "mx:[IPv6:2001:db8::2]",
		"xn--bcher-kva.example":        "mx:xn--bcher-kva.example",
		"deep.a.xn--bcher-kva.example": "to:b.example:25",
	} {
		if got := table.NextHop(name(domain), policy.Requirement{}).String(); got != want {
			t.Errorf("%s: %q, want %q", domain, got, want)
		}
	}
}

func TestARouteForEverythingTakesLiteralsToo(t *testing.T) {
	table := mustTable(t, Config{
		Own:    []Own{{Domain: name("example.com"), To: hosts("mail.internal")}},
		Routes: []Route{{Match: []string{"*"}, To: hosts("smart.example")}},
	})
	for domain, want := range map[string]string{
		"clinic.test": "to:smart.example:25", "[192.0.2.1]": "to:smart.example:25", "example.com": "own:mail.internal:25",
	} {
		if got := table.NextHop(name(domain), policy.Requirement{}).String(); got != want {
			t.Errorf("%s: %q, want %q", domain, got, want)
		}
	}
}

func TestDomainsShareANextHopOnlyWhereTheirNamesNeedNoProof(t *testing.T) {
	table := mustTable(t, Config{Routes: []Route{{Match: []string{"*"}, To: hosts("smart.example")}}})
	byMX := policy.Requirement{Channel: policy.Authenticated, Peer: []policy.PeerDemand{policy.PublicDemand()}}
	byDomain := policy.Requirement{Channel: policy.Authenticated, Peer: []policy.PeerDemand{
		policy.PublicDemand(), {Trust: policy.PublicTrust, Names: policy.Names{Domain: true}}}}
	if a, b := table.NextHop(name("a.test"), byMX), table.NextHop(name("b.test"), byMX); a != b {
		t.Errorf("%q and %q differ", a, b)
	}
	if got, want := table.NextHop(name("a.test"), byDomain).String(), "to:smart.example:25@a.test"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestOwnDomainsAreKnown(t *testing.T) {
	own := Own{Domain: name("example.com"), To: hosts("mail.internal"), Trust: "ca.pem", Pins: []string{"sha256:00"}, Require: policy.Authenticated}
	table := mustTable(t, Config{Own: []Own{own}})
	got, ok := table.Own(name("example.com"))
	if !ok || got.Trust != "ca.pem" || got.Require != policy.Authenticated || len(got.Pins) != 1 || got.To[0].Port != 25 {
		t.Errorf("Own = %+v, %v", got, ok)
	}
	if _, ok := table.Own(name("sub.example.com")); ok || table.Serves(name("sub.example.com")) || !table.Serves(name("example.com")) {
		t.Error("only the domain itself is ours, not what lies below")
	}
	if table.Leg(name("example.com")) != event.OutOwn || table.Leg(name("clinic.test")) != event.OutWorld {
		t.Error("the legs are wrong")
	}
}

func TestBadTablesAreRefusedWithTheReason(t *testing.T) {
	ok := hosts("mx.test")
	for _, c := range []struct {
		want string
		cfg  Config
	}{
		{"example.com is configured twice", Config{Own: []Own{{Domain: name("example.com"), To: ok}, {Domain: name("example.com"), To: ok}}}},
		{"a domain without a name", Config{Own: []Own{{To: ok}}}},
		{"needs either a name or an address", Config{Own: []Own{{Domain: name("example.com"), To: []HostPort{{Port: 25}}}}}},
		{"needs either a name or an address", Config{Routes: []Route{{Match: []string{"a.test"},
			To: []HostPort{{Host: name("mx.test"), IP: netip.MustParseAddr("192.0.2.1")}}}}}},
		{"0.0.0.0 is not the address of a host", Config{Routes: []Route{{Match: []string{"a.test"}, To: hosts("0.0.0.0:25")}}}},
		{"224.0.0.1 is not the address of a host", Config{Routes: []Route{{Match: []string{"a.test"}, To: hosts("[::ffff:224.0.0.1]:25")}}}},
		{"matches nothing", Config{Routes: []Route{{To: ok}}}},
		{"names no host", Config{Routes: []Route{{Match: []string{"a.test"}}}}},
		{`"*" is routed twice`, Config{Routes: []Route{{Match: []string{"*"}, To: ok}, {Match: []string{"*"}, To: ok}}}},
		{`"A.test" is routed twice`, Config{Routes: []Route{{Match: []string{"a.test", "A.test"}, To: ok}}}},
		{`"*.a.test" is routed twice`, Config{Routes: []Route{{Match: []string{"*.a.test"}, To: ok}, {Match: []string{"*.a.test"}, To: ok}}}},
		{`"a.*.test" is neither`, Config{Routes: []Route{{Match: []string{"a.*.test"}, To: ok}}}},
		{`"" is neither`, Config{Routes: []Route{{Match: []string{""}, To: ok}}}},
	} {
		if _, err := New(c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want %q", err, c.want)
		}
	}
}
