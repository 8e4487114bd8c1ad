package route_test

import (
	"net/netip"
	"strings"
	"testing"

	"postern/internal/gateway/route"
	"postern/internal/mail"
	"postern/internal/policy"
)

func source(t *testing.T, texts ...string) route.Source {
	t.Helper()
	var addrs []netip.Addr
	for _, text := range texts {
		addrs = append(addrs, netip.MustParseAddr(text))
	}
	s, err := route.NewSource(addrs)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestASourceIsOneAddressOfEachFamily(t *testing.T) {
	for texts, want := range map[string]string{
		"":                               "",
		"192.0.2.5":                      "192.0.2.5",
		"2001:db8::5":                    "2001:db8::5",
		"2001:db8::5 192.0.2.5":          "192.0.2.5,2001:db8::5",
		"::ffff:192.0.2.5":               "192.0.2.5",
		"192.0.2.5 192.0.2.6":            "!one family",
		"192.0.2.5 ::ffff:192.0.2.6":     "!one family",
		"2001:db8::5 fe80::1":            "!one family",
		"0.0.0.0":                        "!not an address",
		"::":                             "!not an address",
		"224.0.0.1":                      "!not an address",
		"fe80::1%eth0":                   "!not an address",
		"192.0.2.5 2001:db8::5 10.0.0.1": "!one family",
	} {
		var addrs []netip.Addr
		for text := range strings.FieldsSeq(texts) {
			addrs = append(addrs, netip.MustParseAddr(text))
		}
		s, err := route.NewSource(addrs)
		if wrong, bad := strings.CutPrefix(want, "!"); bad != (err != nil) || bad && !strings.Contains(err.Error(), wrong) || !bad && s.String() != want {
			t.Errorf("%s: %q, %v, want %q", texts, s, err, want)
		}
	}
	s := source(t, "192.0.2.5")
	for to, want := range map[string]string{"198.51.100.1": "192.0.2.5", "::ffff:198.51.100.1": "192.0.2.5", "2001:db8::1": "invalid IP"} {
		if got := s.For(netip.MustParseAddr(to)).String(); got != want {
			t.Errorf("to %s from %s, want %s", to, got, want)
		}
	}
}

// TestNoTwoSourcesShareANextHop: what waits at one next hop may share connections.
func TestNoTwoSourcesShareANextHop(t *testing.T) {
	hosts := []route.HostPort{{IP: netip.MustParseAddr("198.51.100.1")}}
	cfg := route.Config{Hostname: mail.MustDomain("gw.test"), HostsFile: "none",
		Manner: route.Manner{Source: source(t, "192.0.2.5", "2001:db8::5")},
		Own:    []route.Own{{Domain: mail.MustDomain("home.test"), To: hosts}},
		Routes: []route.Route{
			{Match: []string{"a.test", "*.a.test", "b.test"}, To: hosts},
			{Match: []string{"x.a.test"}, Manner: route.Manner{Source: source(t, "192.0.2.6")}},
			{Match: []string{"c.test"}, To: hosts, Manner: route.Manner{Source: source(t, "2001:db8::7")}},
			{Match: []string{"*"}, Manner: route.Manner{Source: source(t, "192.0.2.8")}},
		}}
	table, err := route.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for domain, want := range map[string]struct{ from, hop string }{
		"a.test":    {"192.0.2.8,2001:db8::5", "to:198.51.100.1:25~192.0.2.8"},
		"b.test":    {"192.0.2.8,2001:db8::5", "to:198.51.100.1:25~192.0.2.8"},
		"x.a.test":  {"192.0.2.6,2001:db8::5", "to:198.51.100.1:25~192.0.2.6"},
		"c.test":    {"192.0.2.5,2001:db8::7", "to:198.51.100.1:25~2001:db8::7"},
		"else.test": {"192.0.2.8,2001:db8::5", "mx:else.test"},
		"home.test": {"", "own:198.51.100.1:25"},
	} {
		d := mail.MustDomain(domain)
		if got := table.Source(d).String(); got != want.from {
			t.Errorf("%s from %q, want %q", domain, got, want.from)
		}
		hop := table.NextHop(d, policy.Requirement{})
		if hop.String() != want.hop {
			t.Errorf("%s waits at %s, want %s", domain, hop, want.hop)
		}
		if read, err := route.ParseNextHop(hop.String()); err != nil || read != hop {
			t.Errorf("%s is read as %+v, %v", hop, read, err)
		}
	}
	named := route.NextHop{By: route.ByRoute, Hosts: "[2001:db8::1]:25,mx.test:26", Source: source(t, "192.0.2.5", "2001:db8::5"), Domain: mail.MustDomain("a.test")}
	if read, err := route.ParseNextHop(named.String()); err != nil || read != named || named.String() != "to:[2001:db8::1]:25,mx.test:26~192.0.2.5,2001:db8::5@a.test" {
		t.Errorf("%s is read as %+v, %v", named, read, err)
	}
	for _, text := range []string{"to:mx.test:25~", "to:mx.test:25~x", "to:mx.test:25~192.0.2.5,192.0.2.6", "to:mx.test:25~0.0.0.0@a.test"} {
		if read, err := route.ParseNextHop(text); err == nil {
			t.Errorf("%s is read as %+v", text, read)
		}
	}

	cfg.Routes[1].Manner.Source = source(t, "192.0.2.9")
	other, err := route.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if other.Digest() == table.Digest() {
		t.Error("what waits is not moved when the source of a route changes")
	}
}
