package route

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/dns"
	"postern/internal/dns/resolver"
	"postern/internal/event"
	"postern/internal/lab/testkit/zone"
	labzone "postern/internal/lab/zone"
	"postern/internal/mail"
	"postern/internal/policy"
)

// world has one domain for every row of the tables below.
var world = `
good.test       MX 20 mx2.good.test
good.test       MX 10 mx1.good.test
mx1.good.test   A 192.0.2.1
mx1.good.test   AAAA 2001:db8::1
mx2.good.test   A 192.0.2.2
broken.test     servfail
forged.test     bogus
closed.test     refused
silent.test     timeout
cut.test        cut
null.test       MX 0 .
nulls.test      MX 0 .
nulls.test      MX 10 mx1.good.test
implicit.test   A 192.0.2.3
bare.test       TXT "nothing for mail"
deaf.test       MX servfail
deaf.test       A 192.0.2.3
impbad.test     A servfail
impbad.test     AAAA servfail
half.test       MX 10 half6.test
half6.test      A 192.0.2.4
half6.test      AAAA servfail
aliased.test    CNAME good.test
tocname.test    MX 10 alias.tocname.test
alias.tocname.test CNAME mx1.good.test
noaddr.test     MX 10 bare.test
noaddr.test     MX 20 mx2.good.test
nowhere.test    MX 10 gone1.nowhere.test
nowhere.test    MX 20 gone2.nowhere.test
mixed.test      MX 10 gone.mixed.test
mixed.test      MX 20 broken.test
dead.test       MX 10 broken.test
dead.test       MX 10 silent.test
dead.test       MX 20 mx2.good.test
private.test    MX 10 priv.private.test
priv.private.test A 127.0.0.1
priv.private.test A 10.1.2.3
priv.private.test AAAA ::1
partly.test     MX 10 part.partly.test
part.partly.test A 10.1.2.3
part.partly.test A 192.0.2.5
mapped.test     MX 10 m.mapped.test
m.mapped.test   AAAA ::ffff:127.0.0.1
m.mapped.test   AAAA ::127.0.0.1
m.mapped.test   AAAA 64:ff9b::7f00:1
m.mapped.test   AAAA 2002:7f00:1::1
m.mapped.test   AAAA 64:ff9b::e000:1
never.test      MX 10 n.never.test
n.never.test    A 0.0.0.0
n.never.test    A 224.0.0.1
n.never.test    A 255.255.255.255
n.never.test    AAAA ::
n.never.test    AAAA ff02::1
local.test      MX 10 localhost
ipmx.test       MX 10 192.0.2.6
ipmx127.test    MX 10 127.0.0.1
odd.test        MX 10 a\.b.test
odd.test        MX 20 mx2.good.test
oddonly.test    MX 10 a\.b.test
loop.test       MX 10 GW.example.com.
behind.test     MX 5 mx1.good.test
behind.test     MX 10 gw.example.com
behind.test     MX 10 mx2.good.test
behind.test     MX 20 mx3.behind.test
loopaddr.test   MX 10 me.loopaddr.test
loopaddr.test   MX 20 mx2.good.test
me.loopaddr.test A 198.51.100.1
me.loopaddr.test A 192.0.2.9
imploop.test    A 198.51.100.1
twice.test      MX 10 mx1.good.test
twice.test      MX 20 MX1.good.test
many.test       MX 10 addrs.many.test
ring.test       CNAME ring.test
` + repeat(100, "hundred.test MX # mx#.hundred.test\nmx#.hundred.test A 192.0.2.77\n") +
	repeat(30, "addrs.many.test A 192.0.2.#\n") + repeat(30, "addrs.many.test AAAA 2001:db8::#\n")

// repeat writes line n times, with the numbers from 1 for each "#".
func repeat(n int, line string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.ReplaceAll(line, "#", fmt.Sprint(i+1)))
	}
	return b.String()
}

var deny = []netip.Prefix{
	netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"), netip.MustParsePrefix("::ffff:10.0.0.0/104"),
}

func worldConfig(r dns.Resolver) Config {
	return Config{
		Hostname:     name("gw.example.com"),
		DenyNetworks: deny,
		LocalAddrs:   []netip.AddrPort{netip.MustParseAddrPort("198.51.100.1:25")},
		Resolver:     r,
		HostsFile:    "none",
	}
}

// picture prints a plan in one line: "10 host [addresses]", with the reason where there are none.
func picture(p *Plan) string {
	var hops []string
	for _, h := range p.Hops {
		addrs := slices.Clone(h.Addrs)
		slices.SortFunc(addrs, netip.Addr.Compare)
		text := fmt.Sprint(h.Pref, " ", h.Host, " ", addrs)
		if h.Problem != nil {
			text = fmt.Sprint(h.Pref, " ", h.Host, " ", h.Problem.Reason)
		}
		hops = append(hops, text)
	}
	return strings.Join(hops, ", ")
}

// rows is CASES 36 and more: what DNS says, and what becomes of the delivery.
var rows = []struct {
	domain    string
	plan      string // as picture prints it
	reason    policy.Reason
	permanent bool
	text      string
}{
	{domain: "good.test", plan: "10 mx1.good.test [192.0.2.1 2001:db8::1], 20 mx2.good.test [192.0.2.2]"},
	{domain: "gone.test", reason: policy.DNSNXDomain, permanent: true, text: "the domain gone.test does not exist"},
	{domain: "broken.test", reason: policy.DNSServfail, text: "cannot look up the mail exchangers of broken.test: the DNS servers could not find out (SERVFAIL)"},
	{domain: "closed.test", reason: policy.DNSServfail, text: "cannot look up the mail exchangers of closed.test: the DNS servers refused to answer"},
	{domain: "forged.test", reason: policy.DNSSECBogus, text: "cannot look up the mail exchangers of forged.test: the answer failed DNSSEC validation"},
	{domain: "silent.test", reason: policy.DNSTimeout, text: "cannot look up the mail exchangers of silent.test: no DNS server answered"},
	{domain: "cut.test", reason: policy.DNSTimeout, text: "cannot look up the mail exchangers of cut.test: no DNS server answered (the answer is cut short, and the server does not answer over TCP)"},
	{domain: "ring.test", reason: policy.DNSServfail, text: "cannot look up the mail exchangers of ring.test: the DNS servers gave no usable answer"},
	{domain: "null.test", reason: policy.DNSNullMX, permanent: true, text: "the domain null.test says that it takes no mail (null MX)"},
	{domain: "nulls.test", plan: "10 mx1.good.test [192.0.2.1 2001:db8::1]"},
	{domain: "implicit.test", plan: "0 implicit.test [192.0.2.3]"},
	{domain: "bare.test", reason: policy.DNSNoAddress, permanent: true, text: "the domain bare.test has neither an MX record nor an address"},
	{domain: "deaf.test", reason: policy.DNSServfail, text: "cannot look up the mail exchangers of deaf.test: the DNS servers could not find out (SERVFAIL)"},
	{domain: "impbad.test", reason: policy.DNSServfail, text: "cannot look up the addresses of impbad.test: the DNS servers could not find out (SERVFAIL)"},
	{domain: "half.test", plan: "10 half6.test [192.0.2.4]"},
	{domain: "aliased.test", plan: "10 mx1.good.test [192.0.2.1 2001:db8::1], 20 mx2.good.test [192.0.2.2]"},
	{domain: "tocname.test", plan: "10 alias.tocname.test [192.0.2.1 2001:db8::1]"},
	{domain: "noaddr.test", plan: "10 bare.test dns-no-address, 20 mx2.good.test [192.0.2.2]"},
	{domain: "nowhere.test", reason: policy.DNSNoAddress, text: "none of the 2 hosts for nowhere.test can be used: the host gone1.nowhere.test does not exist"},
	{domain: "mixed.test", reason: policy.DNSServfail, text: "none of the 2 hosts for mixed.test can be used: cannot look up the addresses of broken.test: the DNS servers could not find out (SERVFAIL)"},
	{domain: "private.test", reason: policy.MXPrivate, text: "priv.private.test has the address ::1, to which mail is never delivered"},
	{domain: "partly.test", plan: "10 part.partly.test [192.0.2.5]"},
	{domain: "mapped.test", reason: policy.MXPrivate},
	{domain: "never.test", reason: policy.MXPrivate},
	{domain: "local.test", reason: policy.MXPrivate},
	{domain: "ipmx.test", plan: "10  [192.0.2.6]"},
	{domain: "ipmx127.test", reason: policy.MXPrivate, text: "127.0.0.1 has the address 127.0.0.1, to which mail is never delivered"},
	{domain: "odd.test", plan: "10  dns-no-address, 20 mx2.good.test [192.0.2.2]"},
	{domain: "oddonly.test", reason: policy.DNSNoAddress, text: `the MX record names "a\\.b.test", which is no host name`},
	{domain: "loop.test", reason: policy.MXLoop, permanent: true, text: "mail for loop.test loops back to us: this gateway is its best mail exchanger, and no route says where to deliver"},
	{domain: "behind.test", plan: "5 mx1.good.test [192.0.2.1 2001:db8::1]"},
	{domain: "loopaddr.test", reason: policy.MXLoop, permanent: true},
	{domain: "imploop.test", reason: policy.MXLoop, permanent: true, text: "imploop.test has no MX record and is this gateway itself, and no route says where to deliver"},
	{domain: "twice.test", plan: "10 mx1.good.test [192.0.2.1 2001:db8::1]"},
	{domain: "[192.0.2.1]", plan: "0  [192.0.2.1]"},
	{domain: "[IPv6:2001:db8::1]", plan: "0  [2001:db8::1]"},
	{domain: "[127.0.0.1]", reason: policy.MXPrivate, permanent: true, text: "[127.0.0.1] has the address 127.0.0.1, to which mail is never delivered"},
	{domain: "[IPv6:::ffff:10.0.0.1]", reason: policy.MXPrivate, permanent: true},
	{domain: "[198.51.100.1]", reason: policy.MXLoop, permanent: true, text: "[198.51.100.1] has the address 198.51.100.1, at which this gateway itself listens"},
}

func checkRows(t *testing.T, r dns.Resolver) {
	table := mustTable(t, worldConfig(r))
	for _, c := range rows {
		plan, problem := table.Plan(t.Context(), name(c.domain))
		switch {
		case problem == nil && c.reason != "":
			t.Errorf("%s: plan %q, want %s", c.domain, picture(plan), c.reason)
		case problem == nil:
			if got := picture(plan); got != c.plan {
				t.Errorf("%s: plan %q, want %q", c.domain, got, c.plan)
			}
			checkHops(t, plan)
		case problem.Reason != c.reason || problem.Permanent != c.permanent || c.text != "" && problem.Text != c.text:
			t.Errorf("%s: %s permanent=%v %q, want %s %v %q", c.domain, problem.Reason, problem.Permanent, problem.Text, c.reason, c.permanent, c.text)
		}
	}
}

// checkHops checks what holds for every plan through MX.
func checkHops(t *testing.T, plan *Plan) {
	t.Helper()
	if plan.ByAdmin || plan.Leg != event.OutWorld {
		t.Errorf("%s: byAdmin %v, leg %s", plan.Domain, plan.ByAdmin, plan.Leg)
	}
	for _, h := range plan.Hops {
		if h.Port != 25 || (h.Problem == nil) != (len(h.Addrs) > 0) {
			t.Errorf("%s: hop %+v", plan.Domain, h)
		}
	}
}

func TestEveryDNSAnswerHasItsOutcomeInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { checkRows(t, zone.New(t, world)) })
}

func TestEveryDNSAnswerHasItsOutcomeOverSockets(t *testing.T) {
	s, err := labzone.Serve(world)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r, err := resolver.New(resolver.Config{Servers: []string{s.Addr().String()}, TryTimeout: 50 * time.Millisecond, Rounds: 2})
	if err != nil {
		t.Fatal(err)
	}
	checkRows(t, r)
}

func TestOneDeadExchangerDoesNotDecideForTheDomain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plan, problem := mustTable(t, worldConfig(zone.New(t, world))).Plan(t.Context(), name("dead.test"))
		if problem != nil {
			t.Fatal(problem)
		}
		last := plan.Hops[2]
		if len(plan.Hops) != 3 || last.Host != name("mx2.good.test") || last.Problem != nil {
			t.Errorf("plan %s", picture(plan))
		}
		for _, h := range plan.Hops[:2] {
			if h.Problem == nil || h.Problem.Permanent {
				t.Errorf("hop %+v", h)
			}
		}
	})
}

func TestAHundredExchangersAreABoundedNumberOfQuestions(t *testing.T) {
	r := zone.New(t, world)
	plan, problem := mustTable(t, worldConfig(r)).Plan(t.Context(), name("hundred.test"))
	if problem != nil {
		t.Fatal(problem)
	}
	if len(plan.Hops) != 10 || plan.Hops[0].Host != name("mx1.hundred.test") || plan.Hops[9].Host != name("mx10.hundred.test") {
		t.Errorf("plan %s", picture(plan))
	}
	if r.Asked() > 2+2*10 {
		t.Errorf("%d questions", r.Asked())
	}
}

func TestAddressesAreBoundedAndFamiliesTakeTurns(t *testing.T) {
	r := zone.New(t, world)
	table := mustTable(t, worldConfig(r))
	orders := map[string]bool{}
	for range 20 {
		plan, problem := table.Plan(t.Context(), name("many.test"))
		if problem != nil {
			t.Fatal(problem)
		}
		addrs := plan.Hops[0].Addrs
		if len(addrs) != 8 {
			t.Fatalf("%d addresses, want 8", len(addrs))
		}
		for i, ip := range addrs {
			if ip.Is6() != (i%2 == 0) {
				t.Fatalf("families do not take turns: %v", addrs)
			}
		}
		orders[fmt.Sprint(addrs)] = true
	}
	if len(orders) < 10 {
		t.Errorf("%d orders in 20 plans: the addresses are not shuffled", len(orders))
	}
}

func TestEqualExchangersAreShuffled(t *testing.T) {
	r := zone.New(t, repeat(8, "flat.test MX 10 mx#.flat.test\nmx#.flat.test A 192.0.2.#\n")+"flat.test MX 5 best.flat.test\nbest.flat.test A 192.0.2.99\n")
	table := mustTable(t, worldConfig(r))
	second := map[string]int{}
	for range 100 {
		plan, problem := table.Plan(t.Context(), name("flat.test"))
		if problem != nil {
			t.Fatal(problem)
		}
		if plan.Hops[0].Host != name("best.flat.test") {
			t.Fatalf("plan %s", picture(plan))
		}
		second[plan.Hops[1].Host.String()]++
	}
	if len(second) < 6 {
		t.Errorf("of eight equal exchangers these came first: %v", second)
	}
}

func TestNamedHostsKeepTheirOrderAndMayBePrivate(t *testing.T) {
	file := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(file, []byte("# comment\n10.0.0.7 mailhost Mail.Internal # our own\nfd00::7\tmail.internal\nnonsense mail.internal\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := worldConfig(zone.New(t, world+"mail.internal A 192.0.2.66\n"))
	cfg.HostsFile = file
	cfg.Own = []Own{{Domain: name("example.com"), To: hosts("gone.good.test", "mail.internal:2525", "priv.private.test", "127.0.0.1:10025", "localhost")}}
	cfg.Routes = []Route{{Match: []string{"*"}, To: hosts("mx1.good.test:587")}}
	table := mustTable(t, cfg)
	plan, problem := table.Plan(t.Context(), name("example.com"))
	if problem != nil {
		t.Fatal(problem)
	}
	want := "0 gone.good.test dns-no-address, 0 mail.internal [10.0.0.7 fd00::7], " +
		"0 priv.private.test [10.1.2.3 127.0.0.1 ::1], 0  [127.0.0.1], 0 localhost [127.0.0.1 ::1]"
	if got := picture(plan); got != want {
		t.Errorf("plan %q, want %q", got, want)
	}
	if !plan.ByAdmin || plan.Leg != event.OutOwn || plan.Hops[1].Port != 2525 || plan.Hops[2].Port != 25 || !plan.Hops[3].Proven {
		t.Errorf("plan %+v", plan)
	}
	plan, problem = table.Plan(t.Context(), name("clinic.example"))
	if problem != nil || picture(plan) != "0 mx1.good.test [192.0.2.1 2001:db8::1]" || plan.Leg != event.OutWorld || plan.Hops[0].Port != 587 {
		t.Errorf("plan %+v, %v", plan, problem)
	}
}

func TestNamedHostsThatCannotBeUsedMakeMailWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := worldConfig(zone.New(t, world))
		cfg.LocalAddrs = []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:25")}
		cfg.Routes = []Route{
			{Match: []string{"a.test"}, To: hosts("gone.good.test")},
			{Match: []string{"b.test"}, To: hosts("broken.test", "bare.test")},
			{Match: []string{"c.test"}, To: hosts("127.0.0.1:25")},
			{Match: []string{"d.test"}, To: hosts("n.never.test")},
		}
		table := mustTable(t, cfg)
		for domain, want := range map[string]policy.Reason{
			"a.test": policy.DNSNoAddress, "b.test": policy.DNSServfail, "c.test": policy.MXLoop, "d.test": policy.MXPrivate,
		} {
			if _, p := table.Plan(t.Context(), name(domain)); p == nil || p.Reason != want || p.Permanent {
				t.Errorf("%s: %+v, want %s that waits", domain, p, want)
			}
		}
	})
}

func TestListeningEverywhereIncludesTheLoopback(t *testing.T) {
	for _, c := range []struct {
		listen, dial string
		local        bool
	}{
		{"0.0.0.0:25", "127.0.0.1:25", true},
		{"0.0.0.0:25", "127.0.0.2:25", true},
		{"0.0.0.0:25", "[::1]:25", false},
		{"[::]:25", "127.0.0.1:25", true},
		{"[::]:25", "[::1]:25", true},
		{"[::]:25", "127.0.0.1:26", false},
		{"0.0.0.0:25", "192.0.2.1:25", false},
		{"[::ffff:192.0.2.1]:25", "192.0.2.1:25", true},
		{"192.0.2.1:0", "192.0.2.1:2525", true},
	} {
		table := mustTable(t, Config{LocalAddrs: []netip.AddrPort{netip.MustParseAddrPort(c.listen)}})
		dial := netip.MustParseAddrPort(c.dial)
		if got := table.local(dial.Addr(), dial.Port()); got != c.local {
			t.Errorf("listening at %s, dialling %s: %v, want %v", c.listen, c.dial, got, c.local)
		}
	}
}

func TestThePlanIsBoundedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := worldConfig(zone.New(t, repeat(10, "slow.test MX # mx#.slow.test\nmx#.slow.test timeout\n")))
		cfg.Timeout = 7 * time.Second
		began := time.Now()
		_, problem := mustTable(t, cfg).Plan(t.Context(), name("slow.test"))
		if problem == nil || problem.Reason != policy.DNSTimeout || time.Since(began) > 7*time.Second {
			t.Errorf("%+v after %v", problem, time.Since(began))
		}
	})
}

// flipping answers every address question with another address, as a zone with TTL 0 can.
type flipping struct {
	dns.Resolver
	asked int
}

func (f *flipping) Addrs(ctx context.Context, d mail.Domain) dns.Addresses {
	f.asked++
	ip := netip.MustParseAddr("192.0.2.1")
	if f.asked > 1 {
		ip = netip.MustParseAddr("127.0.0.1")
	}
	return dns.Addresses{V4: dns.Family{Addrs: []netip.Addr{ip}}}
}

func TestAnAddressThatFlipsIsJudgedEachTimeAndAskedOnce(t *testing.T) {
	f := &flipping{Resolver: zone.New(t, "flip.test MX 10 mx.flip.test\n")}
	table := mustTable(t, worldConfig(f))
	plan, problem := table.Plan(t.Context(), name("flip.test"))
	if problem != nil || picture(plan) != "10 mx.flip.test [192.0.2.1]" || f.asked != 1 {
		t.Errorf("plan %+v, %v, asked %d times", plan, problem, f.asked)
	}
	if _, problem = table.Plan(t.Context(), name("flip.test")); problem == nil || problem.Reason != policy.MXPrivate {
		t.Errorf("after the flip: %+v", problem)
	}
}
