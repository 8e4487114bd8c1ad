package resolver

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	wire "github.com/miekg/dns"

	"postern/internal/dns"
	"postern/internal/mail"
)

// scripted is a transport whose replies a test makes from the question.
func scripted(reply func(network string, q *wire.Msg) [][]byte) Transport {
	return func(ctx context.Context, network string, _ netip.AddrPort, query []byte, accept func([]byte) bool) error {
		var q wire.Msg
		if err := q.Unpack(query); err != nil {
			return err
		}
		for _, packet := range reply(network, &q) {
			if accept(packet) {
				return nil
			}
		}
		<-ctx.Done()
		return ctx.Err()
	}
}

func asking(t testing.TB, transport Transport) *Resolver {
	t.Helper()
	r, err := New(Config{Servers: []string{"127.0.0.1"}, Transport: transport, TryTimeout: time.Second, Rounds: 1})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func packed(t testing.TB, m *wire.Msg) []byte {
	t.Helper()
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func record(t testing.TB, text string) wire.RR {
	t.Helper()
	rr, err := wire.NewRR(text)
	if err != nil {
		t.Fatal(err)
	}
	return rr
}

var asked = mail.MustDomain("clinic.test")

// TestForgedAndBrokenPackets sends one crafted packet before the true one, over UDP; TCP always tells the truth.
func TestForgedAndBrokenPackets(t *testing.T) {
	for name, craft := range map[string]func(q, m *wire.Msg) []byte{
		"another ID":       func(q, m *wire.Msg) []byte { m.Id++; return packed(t, m) },
		"another name":     func(q, m *wire.Msg) []byte { m.Question[0].Name = "evil.test."; return packed(t, m) },
		"another type":     func(q, m *wire.Msg) []byte { m.Question[0].Qtype = wire.TypeTXT; return packed(t, m) },
		"another class":    func(q, m *wire.Msg) []byte { m.Question[0].Qclass = wire.ClassCHAOS; return packed(t, m) },
		"other capitals":   func(q, m *wire.Msg) []byte { m.Question[0].Name = swapCase(m.Question[0].Name); return packed(t, m) },
		"a question":       func(q, m *wire.Msg) []byte { m.Response = false; return packed(t, m) },
		"no question":      func(q, m *wire.Msg) []byte { m.Question = nil; return packed(t, m) },
		"two questions":    func(q, m *wire.Msg) []byte { m.Question = append(m.Question, m.Question[0]); return packed(t, m) },
		"an opcode":        func(q, m *wire.Msg) []byte { m.Opcode = wire.OpcodeUpdate; return packed(t, m) },
		"nothing":          func(q, m *wire.Msg) []byte { return nil },
		"eleven octets":    func(q, m *wire.Msg) []byte { return packed(t, m)[:11] },
		"half a record":    func(q, m *wire.Msg) []byte { p := packed(t, m); return p[:len(p)-3] },
		"half, truncated":  func(q, m *wire.Msg) []byte { m.Truncated = true; p := packed(t, m); return p[:len(p)-3] },
		"pointers in ring": func(q, m *wire.Msg) []byte { p := packed(t, q); p[2] |= 0x80; p[12], p[13] = 0xc0, 12; return p },
	} {
		synctest.Test(t, func(t *testing.T) {
			r := asking(t, scripted(func(network string, q *wire.Msg) [][]byte {
				good := new(wire.Msg).SetReply(q)
				good.RecursionAvailable = true
				good.Answer = []wire.RR{record(t, q.Question[0].Name+" 60 MX 10 good.test.")}
				forged := good.Copy()
				forged.Answer = []wire.RR{record(t, q.Question[0].Name+" 60 MX 10 evil.test.")}
				if network == "tcp" {
					return [][]byte{packed(t, good)}
				}
				return [][]byte{craft(q, forged), packed(t, good)}
			}))
			answer, err := r.MX(t.Context(), asked)
			if err != nil || len(answer.Records) != 1 || answer.Records[0].Text != "good.test" {
				t.Errorf("%s: %+v, %v", name, answer.Records, err)
			}
		})
	}
}

func swapCase(s string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' {
			return c - 32
		}
		if c >= 'A' && c <= 'Z' {
			return c + 32
		}
		return c
	}, s)
}

func TestServersThatKnowNoEDNSAreAskedWithout(t *testing.T) {
	r := asking(t, scripted(func(network string, q *wire.Msg) [][]byte {
		m := new(wire.Msg).SetReply(q)
		if q.IsEdns0() != nil {
			m.Rcode, m.Question = wire.RcodeFormatError, nil
		} else {
			m.Answer = []wire.RR{record(t, q.Question[0].Name+" 60 MX 10 good.test.")}
		}
		return [][]byte{packed(t, m)}
	}))
	if answer, err := r.MX(t.Context(), asked); err != nil || len(answer.Records) != 1 {
		t.Errorf("%+v, %v", answer, err)
	}
}

func TestAReferralIsNoAnswer(t *testing.T) {
	r := asking(t, scripted(func(network string, q *wire.Msg) [][]byte {
		m := new(wire.Msg).SetReply(q)
		m.Ns = []wire.RR{record(t, "test. 60 NS ns.test.")}
		return [][]byte{packed(t, m)}
	}))
	if _, err := r.MX(t.Context(), asked); dns.KindOf(err) != dns.Refused {
		t.Errorf("error %v", err)
	}
}

func TestAChainIsFollowedOverSeveralRepliesAndBounded(t *testing.T) {
	for _, c := range []struct {
		links int
		kind  dns.Kind
	}{{0, 0}, {9, 0}, {10, 0}, {11, dns.Malformed}, {500, dns.Malformed}} {
		questions := 0
		r := asking(t, scripted(func(network string, q *wire.Msg) [][]byte {
			questions++
			m := new(wire.Msg).SetReply(q)
			m.RecursionAvailable, m.AuthenticatedData = true, questions != 3
			var n int
			if _, err := fmt.Sscanf(strings.ToLower(q.Question[0].Name), "a%d.test.", &n); err != nil {
				return nil
			}
			if n == c.links {
				m.Answer = []wire.RR{record(t, q.Question[0].Name+" 60 MX 10 good.test.")}
			} else {
				m.Answer = []wire.RR{record(t, fmt.Sprintf("%s 60 CNAME a%d.test.", q.Question[0].Name, n+1))}
			}
			return [][]byte{packed(t, m)}
		}))
		answer, err := r.MX(t.Context(), mail.MustDomain("a0.test"))
		if dns.KindOf(err) != c.kind {
			t.Errorf("%d links: %v", c.links, err)
		}
		if err == nil && (len(answer.Aliases) != c.links || answer.Secure != (c.links < 2)) {
			t.Errorf("%d links: %d aliases, secure %v", c.links, len(answer.Aliases), answer.Secure)
		}
		if questions > maxAliases+2 {
			t.Errorf("%d links took %d questions", c.links, questions)
		}
	}
}

func TestNegativeAnswersFollowTheSOA(t *testing.T) {
	for _, c := range []struct {
		soa   string
		rcode int
		want  time.Duration
	}{
		{"test. 600 SOA a. b. 1 1 1 1 60", wire.RcodeNameError, time.Minute},
		{"test. 30 SOA a. b. 1 1 1 1 60", wire.RcodeSuccess, 30 * time.Second},
		{"test. 86400 SOA a. b. 1 1 1 1 86400", wire.RcodeNameError, maxNegative},
		{"test. 4294967295 SOA a. b. 1 1 1 1 4294967295", wire.RcodeNameError, 0},
		{"", wire.RcodeNameError, noSOA},
	} {
		m := &wire.Msg{}
		m.Rcode, m.RecursionAvailable = c.rcode, true
		if c.soa != "" {
			m.Ns = []wire.RR{record(t, c.soa)}
		}
		reply, f := classify(m, true)
		if f != nil || reply.ttl != c.want || reply.nxdomain != (c.rcode == wire.RcodeNameError) {
			t.Errorf("%q: %+v, %v", c.soa, reply, f)
		}
	}
}

func TestExtendedErrorsTellBogusFromBroken(t *testing.T) {
	for code, want := range map[uint16]dns.Kind{
		wire.ExtendedErrorCodeDNSBogus:             dns.Bogus,
		wire.ExtendedErrorCodeSignatureExpired:     dns.Bogus,
		wire.ExtendedErrorCodeNoReachableAuthority: dns.ServFail,
		wire.ExtendedErrorCodeOther:                dns.ServFail,
	} {
		m := new(wire.Msg).SetEdns0(1232, false)
		m.Rcode = wire.RcodeServerFailure
		m.IsEdns0().Option = []wire.EDNS0{&wire.EDNS0_EDE{InfoCode: code, ExtraText: "hostile\r\n"}}
		if _, f := classify(m, true); f == nil || f.kind != want {
			t.Errorf("extended error %d: %v", code, f)
		}
	}
}

func TestTheCacheIsBounded(t *testing.T) {
	c := cache{limit: 100_000}
	now := time.Now()
	at := func(i int) question { return question{mail.MustDomain(fmt.Sprintf("n%d.test", i)), wire.TypeMX} }
	for i := range 10_000 {
		c.put(at(i), &reply{size: 100, expires: now.Add(time.Hour)}, nil, now)
		c.get(at(0), now) // in use, so it stays
	}
	if c.size > c.limit || len(c.entries) != c.recent.Len() || len(c.entries) > 200 || len(c.entries) < 50 {
		t.Errorf("size %d, %d entries, %d in the list", c.size, len(c.entries), c.recent.Len())
	}
	if _, _, ok := c.get(at(0), now); !ok {
		t.Error("an entry in use was dropped")
	}
	if _, _, ok := c.get(at(9_999), now.Add(time.Hour)); ok {
		t.Error("an expired entry was given out")
	}
	if _, _, ok := c.get(at(9_998), now.Add(-48*time.Hour)); ok {
		t.Error("an entry from the future was given out")
	}
	c.put(at(1), &reply{size: 50_000, expires: now.Add(time.Hour)}, nil, now)
	if _, _, ok := c.get(at(1), now); ok {
		t.Error("one reply took the place of all")
	}
}

func TestFailuresAreForgottenSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := true
		r := asking(t, scripted(func(network string, q *wire.Msg) [][]byte {
			m := new(wire.Msg).SetReply(q)
			m.RecursionAvailable = true
			if broken {
				m.Rcode = wire.RcodeServerFailure
			}
			return [][]byte{packed(t, m)}
		}))
		r.MX(t.Context(), asked)
		broken = false
		if _, err := r.MX(t.Context(), asked); dns.KindOf(err) != dns.ServFail {
			t.Errorf("at once: %v, want the failure that is kept", err)
		}
		time.Sleep(failureTTL)
		if _, err := r.MX(t.Context(), asked); err != nil {
			t.Errorf("after a moment: %v", err)
		}
	})
}

func TestASilentServerIsAskedLastForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var order []string
		dead := "192.0.2.1:53"
		r, err := New(Config{Servers: []string{"192.0.2.1", "192.0.2.2"}, TryTimeout: time.Second,
			Transport: func(ctx context.Context, network string, s netip.AddrPort, query []byte, accept func([]byte) bool) error {
				order = append(order, s.Addr().String())
				if s.String() == dead {
					<-ctx.Done()
					return ctx.Err()
				}
				var q wire.Msg
				q.Unpack(query)
				m := new(wire.Msg).SetReply(&q)
				m.RecursionAvailable = true
				accept(packed(t, m))
				return nil
			}})
		if err != nil {
			t.Fatal(err)
		}
		ask := func(n int) string {
			order = nil
			r.MX(t.Context(), mail.MustDomain(fmt.Sprintf("n%d.test", n)))
			return strings.Join(order, " ")
		}
		if got := ask(1); got != "192.0.2.1 192.0.2.2" {
			t.Errorf("first: %s", got)
		}
		if got := ask(2); got != "192.0.2.2" {
			t.Errorf("while it is silent: %s", got)
		}
		time.Sleep(maxBad)
		dead = ""
		if got := ask(3); got != "192.0.2.1" {
			t.Errorf("after a while: %s", got)
		}
		if got := ask(4); got != "192.0.2.1" {
			t.Errorf("after it answered: %s", got)
		}
	})
}

func TestResolvConfIsReadAgainWhenItChanges(t *testing.T) {
	file := filepath.Join(t.TempDir(), "resolv.conf")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := newServers(Config{ResolvConf: file})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	expect := func(want string) {
		t.Helper()
		now = now.Add(2 * time.Second)
		var got []string
		for _, x := range s.inOrder(now) {
			got = append(got, fmt.Sprint(x.addr, " ", x.trusted))
		}
		if text := strings.Join(got, ", "); text != want {
			t.Errorf("servers %q, want %q", text, want)
		}
	}
	expect("127.0.0.1:53 true") // no file: the loopback
	write("# comment\nsearch a.test\nnameserver 192.0.2.1\nnameserver 2001:db8::1 # second\nnameserver nonsense\n")
	expect("192.0.2.1:53 false, [2001:db8::1]:53 false")
	for range 3 {
		s.list[0].silent(now)
	}
	expect("[2001:db8::1]:53 false, 192.0.2.1:53 false")
	write("nameserver 192.0.2.1\noptions edns0 trust-ad\n")
	expect("192.0.2.1:53 true")
	write("nothing here\n")
	expect("192.0.2.1:53 true") // the last good list stays
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	expect("192.0.2.1:53 true")
	write("nameserver 192.0.2.99\n")
	expect("192.0.2.99:53 false")
}

func TestEachTryHasItsOwnIDAndCapitals(t *testing.T) {
	ids, names := map[uint16]bool{}, map[string]bool{}
	for range 200 {
		q, err := newQuery(question{mail.MustDomain("a-long-name-with-letters.clinic.test"), wire.TypeMX}, ednsSize)
		if err != nil {
			t.Fatal(err)
		}
		ids[q.id], names[q.name] = true, true
		if !strings.EqualFold(q.name, "a-long-name-with-letters.clinic.test.") {
			t.Fatalf("name %q", q.name)
		}
	}
	if len(ids) < 190 || len(names) < 190 {
		t.Errorf("%d IDs and %d spellings in 200 tries", len(ids), len(names))
	}
}

func TestErrorsNameWhoWasAskedAndKeepTheCause(t *testing.T) {
	cause := errors.New("boom")
	r := asking(t, func(context.Context, string, netip.AddrPort, []byte, func([]byte) bool) error { return cause })
	_, err := r.MX(t.Context(), asked)
	var e *dns.Error
	if !errors.As(err, &e) || e.Name != asked || e.Type != "MX" || e.Server != "127.0.0.1:53" {
		t.Errorf("error %+v", e)
	}
}
