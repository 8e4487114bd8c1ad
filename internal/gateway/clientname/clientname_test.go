package clientname_test

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/gateway/clientname"
	"postern/internal/lab/testkit/zone"
)

const records = `
7.113.0.203.in-addr.arpa   600 PTR mail.world.test.
mail.world.test            600 A 203.0.113.7
8.113.0.203.in-addr.arpa   PTR liar.bank.test.
liar.bank.test             A 203.0.113.99
9.113.0.203.in-addr.arpa   PTR liar.bank.test.
9.113.0.203.in-addr.arpa   PTR nine.world.test.
nine.world.test            A 203.0.113.9
10.113.0.203.in-addr.arpa  servfail
11.113.0.203.in-addr.arpa  timeout
12.113.0.203.in-addr.arpa  PTR half.world.test.
half.world.test            A servfail
13.113.0.203.in-addr.arpa  PTR gone.world.test.
14.113.0.203.in-addr.arpa  PTR unknown.
15.113.0.203.in-addr.arpa  PTR mail.world.test.
7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.f.f.f.1.0.0.0.2.ip6.arpa PTR six.world.test.
six.world.test             AAAA 2000:1fff::7
five.world.test            A 203.0.113.200
16.113.0.203.in-addr.arpa  PTR a.many.test.
16.113.0.203.in-addr.arpa  PTR b.many.test.
16.113.0.203.in-addr.arpa  PTR c.many.test.
16.113.0.203.in-addr.arpa  PTR d.many.test.
16.113.0.203.in-addr.arpa  PTR e.many.test.
16.113.0.203.in-addr.arpa  PTR f.many.test.
f.many.test                A 203.0.113.16
`

func story(t *testing.T, cfg clientname.Config, f func(n *clientname.Names, dns *zone.Resolver)) {
	synctest.Test(t, func(t *testing.T) {
		dns := zone.New(t, records)
		cfg.Resolver = dns
		n := clientname.New(cfg)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		go func() { done <- n.Run(ctx) }()
		f(n, dns)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func find(n *clientname.Names, addr string) string {
	r := n.Begin(netip.MustParseAddr(addr)).Result(context.Background())
	if r.None {
		return "none"
	}
	return r.Name.String()
}

func TestOnlyANameThatLeadsBackIsTheClients(t *testing.T) {
	story(t, clientname.Config{}, func(n *clientname.Names, _ *zone.Resolver) {
		for addr, want := range map[string]string{
			"203.0.113.7": "mail.world.test", "::ffff:203.0.113.7": "mail.world.test", "203.0.113.9": "nine.world.test", "2000:1fff::7": "six.world.test",
			"203.0.113.8": "none", "203.0.113.13": "none", "203.0.113.14": "none", "203.0.113.15": "none", "203.0.113.77": "none",
			"203.0.113.16": "none", // the one that leads back is the sixth
			"203.0.113.10": "", "203.0.113.11": "", "203.0.113.12": "",
			"10.1.2.3": "", "127.0.0.1": "", "192.168.1.1": "", "169.254.1.1": "", "fe80::1": "", "fd00::1": "", "::1": "", "100.64.1.1": "",
		} {
			if got := find(n, addr); got != want {
				t.Errorf("%s: %q, want %q", addr, got, want)
			}
		}
	})
}

func TestPrivateAddressesAreNotAskedAbout(t *testing.T) {
	story(t, clientname.Config{}, func(n *clientname.Names, dns *zone.Resolver) {
		find(n, "10.1.2.3")
		if dns.Asked() > 0 {
			t.Errorf("%d questions", dns.Asked())
		}
	})
}

func TestNobodyWaitsLong(t *testing.T) {
	story(t, clientname.Config{}, func(n *clientname.Names, _ *zone.Resolver) {
		start := time.Now()
		l := n.Begin(netip.MustParseAddr("203.0.113.11"))
		if time.Since(start) > 0 {
			t.Error("to begin takes time")
		}
		l.Result(context.Background())
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("waited %v", took)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		start = time.Now()
		l.Result(ctx)
		if took := time.Since(start); took > time.Millisecond {
			t.Errorf("a session that ends waited %v", took)
		}
		time.Sleep(4 * time.Second) // the look-up has its own end
		start = time.Now()
		if got := find(n, "203.0.113.11"); got != "" || time.Since(start) > 0 {
			t.Errorf("%q after %v: a failure is not remembered", got, time.Since(start))
		}
	})
}

func TestWhatWasFoundIsRememberedAndHoldsWhileDNSFails(t *testing.T) {
	story(t, clientname.Config{}, func(n *clientname.Names, dns *zone.Resolver) {
		find(n, "203.0.113.7")
		asked := dns.Asked()
		if got := find(n, "203.0.113.7"); got != "mail.world.test" || dns.Asked() != asked {
			t.Errorf("%q with %d more questions", got, dns.Asked()-asked)
		}
		dns.Set("7.113.0.203.in-addr.arpa servfail")
		time.Sleep(11 * time.Minute)
		if got := find(n, "203.0.113.7"); got != "mail.world.test" {
			t.Errorf("while DNS fails: %q", got)
		}
		dns.Set("7.113.0.203.in-addr.arpa PTR gone.world.test.") // it answers
		time.Sleep(2 * time.Minute)
		if got := find(n, "203.0.113.7"); got != "none" {
			t.Errorf("when there is none any more: %q", got)
		}
		dns.Set(records)
		time.Sleep(11 * time.Minute)
		find(n, "203.0.113.7")
		dns.Set("7.113.0.203.in-addr.arpa servfail")
		time.Sleep(25 * time.Hour)
		if got := find(n, "203.0.113.7"); got != "" {
			t.Errorf("after a day: %q", got)
		}
	})
}

func TestLookUpsAreBounded(t *testing.T) {
	story(t, clientname.Config{LookUps: 3, Remembered: 10}, func(n *clientname.Names, dns *zone.Resolver) {
		dns.Set("113.0.203.in-addr.arpa timeout\n7.113.0.203.in-addr.arpa PTR mail.world.test.\nmail.world.test A 203.0.113.7\n" + func() (out string) {
			for i := 100; i < 103; i++ {
				out += fmt.Sprintf("%d.113.0.203.in-addr.arpa timeout\n", i)
			}
			return out
		}())
		begun := 0
		for i := 100; i < 103; i++ {
			if n.Begin(netip.AddrFrom4([4]byte{203, 0, 113, byte(i)})) != nil {
				begun++
			}
		}
		if n.Begin(netip.MustParseAddr("203.0.113.7")) != nil || begun != 3 {
			t.Errorf("%d look-ups begun, and one more", begun)
		}
		time.Sleep(6 * time.Second)
		if got := find(n, "203.0.113.7"); got != "mail.world.test" {
			t.Errorf("when there is room again: %q", got)
		}
		for i := range 30 {
			find(n, fmt.Sprintf("198.51.100.%d", i))
		}
		asked := dns.Asked()
		dns.Forget()
		find(n, "203.0.113.7")
		if dns.Asked() == asked {
			t.Error("more addresses are remembered than the limit")
		}
	})
}
