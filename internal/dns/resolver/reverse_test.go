package resolver_test

import (
	"context"
	"fmt"
	"net/netip"
	"testing"

	"postern/internal/dns"
	"postern/internal/dns/resolver"
	labzone "postern/internal/lab/zone"
)

func TestTheNamesOfAnAddress(t *testing.T) {
	server, err := labzone.Serve(`
7.2.0.192.in-addr.arpa    PTR Mail.World.test.
7.2.0.192.in-addr.arpa    PTR other.world.test.
8.2.0.192.in-addr.arpa    CNAME 8.0/25.2.0.192.in-addr.arpa.
8.0/25.2.0.192.in-addr.arpa PTR small.world.test.
9.2.0.192.in-addr.arpa    PTR a\040b.world.test.
9.2.0.192.in-addr.arpa    PTR [192.0.2.9].
10.2.0.192.in-addr.arpa   servfail
11.2.0.192.in-addr.arpa   CNAME 12.2.0.192.in-addr.arpa.
12.2.0.192.in-addr.arpa   CNAME 11.2.0.192.in-addr.arpa.
13.2.0.192.in-addr.arpa   TXT "no name"
14.2.0.192.in-addr.arpa   CNAME 14.rev.world.test.
14.rev.world.test         PTR fourteen.world.test.
7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa PTR six.world.test.
`)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	r, err := resolver.New(resolver.Config{Servers: []string{server.Addr().String()}})
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]string{
		"192.0.2.7": "[mail.world.test other.world.test]", "192.0.2.8": "[small.world.test]", "::ffff:192.0.2.7": "[mail.world.test other.world.test]",
		"192.0.2.14": "[fourteen.world.test]", "2001:db8::7": "[six.world.test]", "2001:db8::7%eth0": "[six.world.test]",
		"192.0.2.9": "[]", "192.0.2.13": "[]",
	} {
		a, err := r.PTR(context.Background(), netip.MustParseAddr(address))
		if got := fmt.Sprint(a.Names); err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", address, got, err, want)
		}
	}
	for address, want := range map[string]dns.Kind{"192.0.2.10": dns.ServFail, "192.0.2.15": dns.NXDomain} {
		if _, err := r.PTR(context.Background(), netip.MustParseAddr(address)); dns.KindOf(err) != want {
			t.Errorf("%s: %v", address, err)
		}
	}
	if a, err := r.PTR(context.Background(), netip.MustParseAddr("192.0.2.11")); err == nil {
		t.Errorf("a loop of aliases: %v", a)
	}
}
