package resolver_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/internal/dns"
	"postern/internal/dns/resolver"
	"postern/internal/lab/zone"
	"postern/internal/mail"
)

// serve starts a zone on the loopback and a resolver that asks it over real sockets.
func serve(t *testing.T, text string, change ...func(*resolver.Config)) (*resolver.Resolver, *zone.Server) {
	t.Helper()
	s, err := zone.Serve(text)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	cfg := resolver.Config{Servers: []string{s.Addr().String()}, TryTimeout: 50 * time.Millisecond, Rounds: 2}
	for _, f := range change {
		f(&cfg)
	}
	r, err := resolver.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r, s
}

func name(s string) mail.Domain { return mail.MustDomain(s) }

func many(n int, line func(i int) string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(line(i))
	}
	return b.String()
}

// world has every answer of the table below; the same names serve MX and address look-ups.
var world = `
clinic.test     300 MX 10 mx1.clinic.test
clinic.test     120 MX 20 MX2.Clinic.Test.
mx1.clinic.test A 192.0.2.1
mx1.clinic.test AAAA 2001:db8::1
null.test       MX 0 .
empty.test      TXT "no mail"
broken.test     servfail
forged.test     bogus
closed.test     refused
old.test        notimp
silent.test     timeout
noise.test      garbage
long.test       truncated
long.test       MX 5 mx.long.test
cut.test        cut
alias.test      CNAME chain.test
chain.test      30 CNAME clinic.test
lost.test       CNAME nowhere.test
bare.test       CNAME empty.test
badend.test     CNAME broken.test
ring.test       CNAME gnir.test
gnir.test       CNAME ring.test
!plain.test     MX 10 mx1.clinic.test
half.test       CNAME plain.test
v4only.test     A 192.0.2.7
split.test      A 192.0.2.8
split.test      AAAA servfail
odd.test        MX 1 a\.b.test
odd.test        MX 2 under_score.test
odd.test        MX 3 192.0.2.9
odd.test        MX 4 sp\032ace.test
text.test       TXT "v=STSv1; " "id=1;" 
text.test       TXT "quote \" and \255"
_25._tcp.mx.test TLSA 3 1 1 aabb
below.a.test    A 192.0.2.1
` + many(100, func(i int) string { return fmt.Sprintf("hundred.test MX %d mx%d.hundred.test\n", i, i) })

func TestMXAnswersByTheTable(t *testing.T) {
	r, _ := serve(t, world)
	for _, c := range []struct {
		name   string
		kind   dns.Kind
		hosts  string
		secure bool
	}{
		{name: "clinic.test", hosts: "10 mx1.clinic.test, 20 mx2.clinic.test", secure: true},
		{name: "null.test", hosts: "0 .", secure: true},
		{name: "empty.test", secure: true},
		{name: "a.test", secure: true}, // an empty non-terminal exists
		{name: "gone.test", kind: dns.NXDomain},
		{name: "broken.test", kind: dns.ServFail},
		{name: "forged.test", kind: dns.Bogus},
		{name: "closed.test", kind: dns.Refused},
		{name: "old.test", kind: dns.ServFail},
		{name: "silent.test", kind: dns.Timeout},
		{name: "noise.test", kind: dns.Timeout},
		{name: "long.test", hosts: "5 mx.long.test", secure: true},
		{name: "cut.test", kind: dns.Timeout},
		{name: "alias.test", hosts: "10 mx1.clinic.test, 20 mx2.clinic.test", secure: true},
		{name: "lost.test", kind: dns.NXDomain},
		{name: "bare.test", secure: true},
		{name: "badend.test", kind: dns.ServFail},
		{name: "ring.test", kind: dns.Malformed},
		{name: "plain.test", hosts: "10 mx1.clinic.test"},
		{name: "half.test", hosts: "10 mx1.clinic.test"},
	} {
		t.Run(c.name, func(t *testing.T) {
			answer, err := r.MX(t.Context(), name(c.name))
			if got := dns.KindOf(err); got != c.kind {
				t.Fatalf("error %v, want kind %d", err, c.kind)
			}
			var hosts []string
			for _, mx := range answer.Records {
				hosts = append(hosts, fmt.Sprint(mx.Pref, " ", mx.Text))
			}
			slices.Sort(hosts)
			if got := strings.Join(hosts, ", "); got != c.hosts {
				t.Errorf("hosts %q, want %q", got, c.hosts)
			}
			if answer.Secure != c.secure && c.kind != dns.NXDomain {
				t.Errorf("secure = %v, want %v", answer.Secure, c.secure)
			}
			if c.kind > dns.NXDomain && answer.TTL != 0 {
				t.Errorf("an error may be believed for %v", answer.TTL)
			}
		})
	}
}

func TestAHundredExchangersArriveOverTCP(t *testing.T) {
	r, _ := serve(t, world)
	answer, err := r.MX(t.Context(), name("hundred.test"))
	if err != nil || len(answer.Records) != 100 {
		t.Fatalf("%d records, %v", len(answer.Records), err)
	}
}

func TestAliasesAreTold(t *testing.T) {
	r, _ := serve(t, world)
	answer, err := r.MX(t.Context(), name("alias.test"))
	if err != nil {
		t.Fatal(err)
	}
	if answer.Name != name("clinic.test") || !slices.Equal(answer.Aliases, []mail.Domain{name("alias.test"), name("chain.test")}) {
		t.Errorf("name %v, aliases %v", answer.Name, answer.Aliases)
	}
	c, err := r.CNAME(t.Context(), name("alias.test"))
	if err != nil || c.Target != name("chain.test") || len(c.Aliases) != 0 {
		t.Errorf("CNAME = %+v, %v", c, err)
	}
	c, err = r.CNAME(t.Context(), name("clinic.test"))
	if err != nil || !c.Target.IsZero() {
		t.Errorf("CNAME of a name that is no alias = %+v, %v", c, err)
	}
}

func TestNamesNoHostCanHaveAreKeptApart(t *testing.T) {
	r, _ := serve(t, world)
	answer, err := r.MX(t.Context(), name("odd.test"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[uint16]dns.MX{
		1: {Pref: 1, Text: `a\.b.test`},
		2: {Pref: 2, Text: "under_score.test", Host: name("under_score.test")},
		3: {Pref: 3, Text: "192.0.2.9", Host: name("192.0.2.9")},
		4: {Pref: 4, Text: `sp\ ace.test`},
	}
	for _, mx := range answer.Records {
		if mx != want[mx.Pref] {
			t.Errorf("%+v, want %+v", mx, want[mx.Pref])
		}
	}
	if len(answer.Records) != len(want) {
		t.Errorf("%d records, want %d", len(answer.Records), len(want))
	}
}

func TestEachFamilyIsReportedByItself(t *testing.T) {
	r, _ := serve(t, world)
	for _, c := range []struct {
		name   string
		all    string
		v4, v6 dns.Kind
	}{
		{"mx1.clinic.test", "[2001:db8::1 192.0.2.1]", 0, 0},
		{"v4only.test", "[192.0.2.7]", 0, 0},
		{"split.test", "[192.0.2.8]", 0, dns.ServFail},
		{"gone.test", "[]", dns.NXDomain, dns.NXDomain},
		{"silent.test", "[]", dns.Timeout, dns.Timeout},
	} {
		a := r.Addrs(t.Context(), name(c.name))
		if got := fmt.Sprint(a.All()); got != c.all || dns.KindOf(a.V4.Err) != c.v4 || dns.KindOf(a.V6.Err) != c.v6 {
			t.Errorf("%s: %v, %v, %v", c.name, got, a.V4.Err, a.V6.Err)
		}
	}
}

func TestTextsAndTLSAKeepEveryOctet(t *testing.T) {
	r, _ := serve(t, world)
	txt, err := r.TXT(t.Context(), name("text.test"))
	slices.Sort(txt.Texts)
	if err != nil || !slices.Equal(txt.Texts, []string{"quote \" and \xff", "v=STSv1; id=1;"}) {
		t.Errorf("TXT = %q, %v", txt.Texts, err)
	}
	tlsa, err := r.TLSA(t.Context(), name("_25._tcp.mx.test"))
	if err != nil || len(tlsa.Records) != 1 || string(tlsa.Records[0].Data) != "\xaa\xbb" || tlsa.Records[0].Usage != 3 {
		t.Errorf("TLSA = %+v, %v", tlsa, err)
	}
}

func TestAnAddressLiteralIsNoName(t *testing.T) {
	r, s := serve(t, world)
	if _, err := r.MX(t.Context(), name("[192.0.2.1]")); !dns.IsNXDomain(err) {
		t.Errorf("error %v", err)
	}
	if s.Asked() != 0 {
		t.Error("it was asked for")
	}
}

func TestAnswersAreKeptAsLongAsTheirTTLSays(t *testing.T) {
	r, s := serve(t, `
a.test        300 MX 10 mx.test
zero.test         MX 10 mx.test
chain.test     30 CNAME a.test
huge.test 2000000 MX 10 mx.test
broken.test       servfail
`)
	for _, c := range []struct {
		name string
		ttl  time.Duration
		kept bool
	}{
		{"a.test", 5 * time.Minute, true},
		{"zero.test", 0, false},
		{"chain.test", 30 * time.Second, true},
		{"huge.test", time.Hour, true},
		{"broken.test", time.Hour, true}, // that it is broken is kept for a moment
		{"gone.test", 0, false},          // our zone's SOA says 0
	} {
		answer, err := r.MX(t.Context(), name(c.name))
		if err == nil && (answer.TTL > c.ttl || answer.TTL < c.ttl-time.Second) {
			t.Errorf("%s: TTL %v, want %v", c.name, answer.TTL, c.ttl)
		}
		before := s.Asked()
		r.MX(t.Context(), name(c.name))
		if kept := s.Asked() == before; kept != c.kept {
			t.Errorf("%s: kept = %v, want %v", c.name, kept, c.kept)
		}
	}
	before := s.Asked()
	r.Forget()
	r.MX(t.Context(), name("a.test"))
	if s.Asked() == before {
		t.Error("Forget left the cache")
	}
}

func TestManyCallersShareOneQuestion(t *testing.T) {
	r, s := serve(t, "slow.test timeout\n")
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := r.MX(t.Context(), name("slow.test")); dns.KindOf(err) != dns.Timeout {
				t.Errorf("error %v", err)
			}
		})
	}
	wg.Wait()
	if s.Asked() > 2 {
		t.Errorf("%d questions, want one for each round", s.Asked())
	}
}

func TestACallerWhoGivesUpLeavesTheQuestionToOthers(t *testing.T) {
	r, s := serve(t, "slow.test timeout\n", func(c *resolver.Config) { c.TryTimeout = 300 * time.Millisecond })
	impatient, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() {
		_, err := r.MX(impatient, name("slow.test"))
		first <- err
	}()
	for s.Asked() == 0 {
		time.Sleep(time.Millisecond)
	}
	second := make(chan error, 1)
	go func() {
		_, err := r.MX(t.Context(), name("slow.test"))
		second <- err
	}()
	if err := s.Set("slow.test MX 10 mx.test\n"); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-first; dns.KindOf(err) != dns.Timeout {
		t.Errorf("the one who gave up got %v", err)
	}
	if err := <-second; err != nil {
		t.Errorf("the other one got %v", err)
	}
}

func TestAnotherServerAnswersWhenOneCannot(t *testing.T) {
	good, err := zone.Serve("a.test MX 10 mx.test\n")
	if err != nil {
		t.Fatal(err)
	}
	defer good.Close()
	for _, failure := range []string{"servfail", "refused", "timeout", "notimp", "garbage", "cut"} {
		bad, err := zone.Serve("a.test " + failure + "\n")
		if err != nil {
			t.Fatal(err)
		}
		r, err := resolver.New(resolver.Config{
			Servers:    []string{bad.Addr().String(), good.Addr().String()},
			TryTimeout: 50 * time.Millisecond,
		})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			answer, err := r.MX(t.Context(), name("a.test"))
			if err != nil || len(answer.Records) != 1 {
				t.Errorf("%s: %+v, %v", failure, answer, err)
			}
		}
		if failure == "timeout" && bad.Asked() != 1 {
			t.Errorf("a silent server was asked %d times, want once", bad.Asked())
		}
		bad.Close()
	}
}

func TestADeadServerCostsNoTimeAndATemporaryError(t *testing.T) {
	s, err := zone.Serve("")
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	r, err := resolver.New(resolver.Config{Servers: []string{s.Addr().String()}, TryTimeout: 40 * time.Millisecond, Rounds: 2})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if _, err := r.MX(t.Context(), name("a.test")); dns.KindOf(err) != dns.Timeout {
		t.Errorf("error %v, want a timeout", err)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestTheWholeQuestionIsBounded(t *testing.T) {
	r, _ := serve(t, "slow.test timeout\n", func(c *resolver.Config) {
		c.TryTimeout, c.Rounds, c.Total = time.Minute, 5, 100*time.Millisecond
	})
	began := time.Now()
	if _, err := r.MX(t.Context(), name("slow.test")); dns.KindOf(err) != dns.Timeout {
		t.Errorf("error %v", err)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("took %v, want 100ms", took)
	}
}

func TestOnlyATrustedServerMakesAnAnswerSecure(t *testing.T) {
	z, err := zone.Parse("a.test MX 10 mx.test\n!b.test MX 10 mx.test\n")
	if err != nil {
		t.Fatal(err)
	}
	transport := func(_ context.Context, network string, _ netip.AddrPort, query []byte, accept func([]byte) bool) error {
		accept(z.Answer(network, query))
		return nil
	}
	for _, c := range []struct {
		server string
		trust  resolver.Trust
		secure bool
	}{
		{"127.0.0.1", resolver.TrustLoopback, true},
		{"[::1]:5353", resolver.TrustLoopback, true},
		{"127.9.9.9:53", resolver.TrustLoopback, true},
		{"192.0.2.53", resolver.TrustLoopback, false},
		{"2001:db8::53", resolver.TrustLoopback, false},
		{"192.0.2.53", resolver.TrustAll, true},
		{"::ffff:127.0.0.1", resolver.TrustLoopback, true},
		{"127.0.0.1", resolver.TrustNone, false},
	} {
		r, err := resolver.New(resolver.Config{Servers: []string{c.server}, TrustAD: c.trust, Transport: transport})
		if err != nil {
			t.Fatal(err)
		}
		answer, err := r.MX(t.Context(), name("a.test"))
		if err != nil || answer.Secure != c.secure {
			t.Errorf("%s, trust-ad %v: secure = %v, %v", c.server, c.trust, answer.Secure, err)
		}
		if answer, _ := r.MX(t.Context(), name("b.test")); answer.Secure {
			t.Errorf("%s: an answer without AD is secure", c.server)
		}
	}
}

func TestServersAreCheckedAtStart(t *testing.T) {
	for _, bad := range []string{"localhost", "192.0.2.1:0", "192.0.2.1:x", "", "[2001:db8::1", "192.0.2.1:70000"} {
		if _, err := resolver.New(resolver.Config{Servers: []string{bad}}); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
	for _, good := range []string{"192.0.2.1", "192.0.2.1:5353", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:53", "fe80::1%lo"} {
		if _, err := resolver.New(resolver.Config{Servers: []string{good}}); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
}
