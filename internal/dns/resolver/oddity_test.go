package resolver

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	wire "github.com/miekg/dns"

	"postern/internal/dns"
)

// silence is what a packet never comes of; refused is a network that cannot be used.
var errRefused = errors.New("connection refused")

// odd servers, retold from public reports about resolvers, routers and name servers in the field. Answer makes the
// reply to a question from the true one; nil is silence. NoTCP refuses TCP.
var oddities = map[string]struct {
	answer func(network string, q, m *wire.Msg) *wire.Msg
	raw    func(packet []byte) []byte
	noTCP  bool
	kind   dns.Kind // 0: the record is found
	within time.Duration
	said   string // in the error
}{
	"FORMERR to OPT, question echoed": {answer: withOPT(func(_, m *wire.Msg) *wire.Msg { return rcode(m, wire.RcodeFormatError) })},
	"FORMERR to OPT, header alone":    {answer: withOPT(func(_, m *wire.Msg) *wire.Msg { m.Question = nil; return rcode(m, wire.RcodeFormatError) })},
	"FORMERR to OPT, OPT echoed": {answer: withOPT(func(_, m *wire.Msg) *wire.Msg {
		m.SetEdns0(4096, false)
		return rcode(m, wire.RcodeFormatError)
	})},
	"NOTIMP to OPT":             {answer: withOPT(func(_, m *wire.Msg) *wire.Msg { return rcode(m, wire.RcodeNotImplemented) })},
	"NOTIMP to OPT, no TCP":     {noTCP: true, answer: withOPT(func(_, m *wire.Msg) *wire.Msg { return rcode(m, wire.RcodeNotImplemented) })},
	"SERVFAIL to OPT":           {answer: withOPT(func(_, m *wire.Msg) *wire.Msg { return rcode(m, wire.RcodeServerFailure) })},
	"BADVERS to OPT":            {answer: withOPT(func(_, m *wire.Msg) *wire.Msg { m.SetEdns0(1232, false); return rcode(m, wire.RcodeBadVers) })},
	"silent to OPT":             {answer: withOPT(func(_, m *wire.Msg) *wire.Msg { return nil }), within: 4 * time.Second},
	"silent to OPT, no TCP":     {noTCP: true, answer: withOPT(func(_, m *wire.Msg) *wire.Msg { return nil }), within: 4 * time.Second},
	"FORMERR to OPT over TCP":   {answer: overTCP(withOPT(func(_, m *wire.Msg) *wire.Msg { return rcode(m, wire.RcodeFormatError) }))},
	"NOTIMP to everything":      {answer: func(_ string, _, m *wire.Msg) *wire.Msg { return rcode(m, wire.RcodeNotImplemented) }, kind: dns.ServFail},
	"lower case, TCP":           {answer: overUDP(lowered)},
	"lower case, no TCP":        {answer: overUDP(lowered), noTCP: true},
	"upper case, no TCP":        {answer: overUDP(func(_, m *wire.Msg) *wire.Msg { return named(m, strings.ToUpper) }), noTCP: true},
	"lower case, liar, no TCP":  {answer: liar(), noTCP: true, kind: dns.Malformed, said: "capitals"},
	"lower case NXDOMAIN, once": {answer: changing(), noTCP: true, kind: dns.Malformed, said: "capitals"},
	"answer in another case": {answer: func(_ string, _, m *wire.Msg) *wire.Msg {
		m.Answer[0].Header().Name = strings.ToUpper(m.Answer[0].Header().Name)
		return m
	}},
	"cut short, TCP refused, answers when there is room": {noTCP: true, answer: func(_ string, q, m *wire.Msg) *wire.Msg {
		if opt := q.IsEdns0(); opt == nil || opt.UDPSize() < 4096 {
			m.Answer, m.Truncated = nil, true
		}
		return m
	}},
	"cut short, TCP refused":      {noTCP: true, answer: func(_ string, _, m *wire.Msg) *wire.Msg { m.Answer, m.Truncated = nil, true; return m }, kind: dns.Timeout, said: "cut short"},
	"cut short without saying so": {raw: func(p []byte) []byte { return p[:len(p)-4] }},
	"the same, no TCP":            {raw: func(p []byte) []byte { return p[:len(p)-4] }, noTCP: true, kind: dns.Timeout},
	"octets behind the end":       {raw: func(p []byte) []byte { return append(p, 0, 0, 0, 0, 0) }, noTCP: true},
	"no question in the reply":    {answer: overUDP(func(_, m *wire.Msg) *wire.Msg { m.Question = nil; return m })},
	"no question, no TCP":         {answer: overUDP(func(_, m *wire.Msg) *wire.Msg { m.Question = nil; return m }), noTCP: true, kind: dns.Malformed},
	"no question and NXDOMAIN": {answer: func(_ string, _, m *wire.Msg) *wire.Msg {
		m.Question, m.Answer = nil, nil
		return rcode(m, wire.RcodeNameError)
	}, kind: dns.Timeout},
	"another question in the reply": {answer: func(_ string, _, m *wire.Msg) *wire.Msg { m.Question[0].Name = "router.local."; return m }, kind: dns.Timeout},
	"the question twice":            {answer: func(_ string, _, m *wire.Msg) *wire.Msg { m.Question = append(m.Question, m.Question[0]); return m }, kind: dns.Timeout},
	"RA not set":                    {answer: func(_ string, _, m *wire.Msg) *wire.Msg { m.RecursionAvailable = false; return m }, noTCP: true},
	"RA not set and no answer":      {answer: func(_ string, _, m *wire.Msg) *wire.Msg { m.RecursionAvailable, m.Answer = false, nil; return m }, kind: dns.Refused},
	"NXDOMAIN with the record":      {answer: func(_ string, _, m *wire.Msg) *wire.Msg { m.Rcode = wire.RcodeNameError; return m }, noTCP: true},
	"the class of chaos": {answer: func(_ string, _, m *wire.Msg) *wire.Msg {
		m.Answer[0].Header().Class = wire.ClassCHAOS
		m.Ns = nil
		m.RecursionAvailable = false
		return m
	}, kind: dns.Malformed, noTCP: true, said: "something else"},
	"OPT twice": {answer: func(_ string, _, m *wire.Msg) *wire.Msg { m.SetEdns0(512, true); m.SetEdns0(512, true); return m }, noTCP: true},
}

func rcode(m *wire.Msg, code int) *wire.Msg {
	m.Answer, m.Rcode = nil, code
	return m
}

func named(m *wire.Msg, f func(string) string) *wire.Msg {
	m.Question[0].Name = f(m.Question[0].Name)
	return m
}

func lowered(_, m *wire.Msg) *wire.Msg { return named(m, strings.ToLower) }

func withOPT(f func(q, m *wire.Msg) *wire.Msg) func(string, *wire.Msg, *wire.Msg) *wire.Msg {
	return func(_ string, q, m *wire.Msg) *wire.Msg {
		if q.IsEdns0() != nil {
			return f(q, m)
		}
		return m
	}
}

func overUDP(f func(q, m *wire.Msg) *wire.Msg) func(string, *wire.Msg, *wire.Msg) *wire.Msg {
	return func(network string, q, m *wire.Msg) *wire.Msg {
		if network == "udp" {
			return f(q, m)
		}
		return m
	}
}

// overTCP cuts every reply over UDP short, and answers TCP by f.
func overTCP(f func(string, *wire.Msg, *wire.Msg) *wire.Msg) func(string, *wire.Msg, *wire.Msg) *wire.Msg {
	return func(network string, q, m *wire.Msg) *wire.Msg {
		if network == "udp" {
			m.Answer, m.Truncated = nil, true
			return m
		}
		return f(network, q, m)
	}
}

// liar answers each time something else, in lower case.
func liar() func(string, *wire.Msg, *wire.Msg) *wire.Msg {
	n := 0
	return func(_ string, _, m *wire.Msg) *wire.Msg {
		n++
		m.Answer[0].(*wire.MX).Preference = uint16(n)
		return lowered(nil, m)
	}
}

// changing says once that there is no such name, in lower case.
func changing() func(string, *wire.Msg, *wire.Msg) *wire.Msg {
	n := 0
	return func(_ string, _, m *wire.Msg) *wire.Msg {
		if n++; n == 1 {
			m = rcode(m, wire.RcodeNameError)
		}
		return lowered(nil, m)
	}
}

// odd makes the transport of a server; others than MX questions are answered with nothing there is.
func oddTransport(t *testing.T, noTCP bool, answer func(string, *wire.Msg, *wire.Msg) *wire.Msg, raw func([]byte) []byte, asked *int) Transport {
	return func(ctx context.Context, network string, _ netip.AddrPort, query []byte, accept func([]byte) bool) error {
		*asked++
		if network == "tcp" && noTCP {
			return errRefused
		}
		var q wire.Msg
		if err := q.Unpack(query); err != nil {
			return err
		}
		m := new(wire.Msg).SetReply(&q)
		m.RecursionAvailable = true
		m.Answer = []wire.RR{record(t, q.Question[0].Name+" 60 MX 10 good.test.")}
		if answer != nil {
			m = answer(network, &q, m)
		}
		if m != nil {
			packet := packed(t, m)
			if raw != nil && network == "udp" {
				packet = raw(packet)
			}
			if accept(packet) {
				return nil
			}
		}
		<-ctx.Done()
		return ctx.Err()
	}
}

// TestOddServers: no oddity stops mail where there is a safe way around, and none becomes "there is no such name".
func TestOddServers(t *testing.T) {
	for name, c := range oddities {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asked2, began := 0, time.Now()
				r, err := New(Config{Servers: []string{"192.0.2.53"}, Transport: oddTransport(t, c.noTCP, c.answer, c.raw, &asked2), TryTimeout: time.Second})
				if err != nil {
					t.Fatal(err)
				}
				answer, err := r.MX(t.Context(), asked)
				if kind := dns.KindOf(err); kind != c.kind {
					t.Fatalf("error %v after %v and %d questions", err, time.Since(began), asked2)
				}
				found := len(answer.Records) == 1 && answer.Records[0].Text == "good.test"
				if c.kind == 0 && !found {
					t.Errorf("%+v", answer)
				}
				var e *dns.Error
				if c.kind != 0 && (!errors.As(err, &e) || !strings.Contains(e.Error(), c.said)) {
					t.Errorf("the error says %v", err)
				}
				if took := time.Since(began); c.kind == 0 && took > c.within {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// TestAnOddityIsRemembered: after two times OPT was in the way the server is asked once, without.
func TestAnOddityIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		questions := 0
		r, err := New(Config{Servers: []string{"192.0.2.53"}, TryTimeout: time.Second, Transport: oddTransport(t, false,
			withOPT(func(_, m *wire.Msg) *wire.Msg { return rcode(m, wire.RcodeNotImplemented) }), nil, &questions)})
		if err != nil {
			t.Fatal(err)
		}
		var got []int
		for range 4 {
			questions = 0
			r.Forget()
			if _, err := r.MX(t.Context(), asked); err != nil {
				t.Fatal(err)
			}
			got = append(got, questions)
		}
		time.Sleep(2 * time.Hour)
		questions = 0
		if _, err := r.MX(t.Context(), asked); err != nil || questions != 2 {
			t.Errorf("later: %d questions, %v", questions, err)
		}
		if got[0] != 2 || got[1] != 2 || got[2] != 1 || got[3] != 1 {
			t.Errorf("questions: %v", got)
		}
	})
}

// TestAServerThatDropsAAAACostsLittle: with an address of the other family at hand nobody waits long, and less when it
// is known. An answer ends it.
func TestAServerThatDropsAAAACostsLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		drops := true
		r, err := New(Config{Servers: []string{"192.0.2.53"}, Transport: func(ctx context.Context, _ string, _ netip.AddrPort, query []byte, accept func([]byte) bool) error {
			var q wire.Msg
			if err := q.Unpack(query); err != nil {
				return err
			}
			m := new(wire.Msg).SetReply(&q)
			m.RecursionAvailable = true
			if q.Question[0].Qtype == wire.TypeA {
				m.Answer = []wire.RR{record(t, q.Question[0].Name+" 60 A 192.0.2.1")}
			} else if drops {
				<-ctx.Done()
				return ctx.Err()
			} else {
				m.Answer = []wire.RR{record(t, q.Question[0].Name+" 60 AAAA 2001:db8::1")}
			}
			accept(packed(t, m))
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		for i, most := range []time.Duration{3 * time.Second, 3 * time.Second, time.Second / 2, time.Second / 2} {
			r.Forget()
			began := time.Now()
			a := r.Addrs(t.Context(), asked)
			if took := time.Since(began); took > most || len(a.V4.Addrs) != 1 || a.Err() != nil || dns.KindOf(a.V6.Err) != dns.Timeout {
				t.Errorf("delivery %d: %v, %+v", i, took, a)
			}
		}
		drops = false
		for range 2 {
			r.Forget()
			if a := r.Addrs(t.Context(), asked); len(a.V6.Addrs) != 1 {
				t.Errorf("%+v", a)
			}
		}
	})
}

// TestABadServerIsPassedOver: one of two refuses; it is asked once, and then after the other.
func TestABadServerIsPassedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		heard := map[string]int{}
		r, err := New(Config{Servers: []string{"192.0.2.1", "192.0.2.2"}, Transport: func(_ context.Context, _ string, server netip.AddrPort, query []byte, accept func([]byte) bool) error {
			var q wire.Msg
			if err := q.Unpack(query); err != nil {
				return err
			}
			heard[server.Addr().String()]++
			m := new(wire.Msg).SetReply(&q)
			m.RecursionAvailable = true
			m.Answer = []wire.RR{record(t, q.Question[0].Name+" 60 MX 10 good.test.")}
			if server.Addr().String() == "192.0.2.1" {
				m = rcode(m, wire.RcodeRefused)
			}
			accept(packed(t, m))
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		for range 4 {
			r.Forget()
			if answer, err := r.MX(t.Context(), asked); err != nil || len(answer.Records) != 1 {
				t.Fatalf("%+v, %v", answer, err)
			}
		}
		if heard["192.0.2.1"] != 1 || heard["192.0.2.2"] != 4 {
			t.Errorf("heard: %v", heard)
		}
	})
}

// A server on the loopback that writes names in lower case and does not answer over TCP keeps its word about
// signatures, where all it says agrees: without it whatever is published would silently be gone.
func TestCapitalsDoNotTakeSignaturesAway(t *testing.T) {
	for _, c := range []struct {
		name   string
		ad     []bool // of the replies, in turn
		secure bool
		kind   dns.Kind
	}{
		{"signed", []bool{true, true, true}, true, 0},
		{"not signed", []bool{false, false, false}, false, 0},
		{"one says so and two do not", []bool{true, false, false}, false, dns.Malformed},
		{"two say so and one does not", []bool{true, true, false}, false, dns.Malformed},
	} {
		said, questions := 0, 0
		answer := func(_ string, _, m *wire.Msg) *wire.Msg {
			m.AuthenticatedData = c.ad[said]
			said++
			return lowered(nil, m)
		}
		r, err := New(Config{Servers: []string{"127.0.0.1"}, TryTimeout: time.Second, Rounds: 1, Transport: oddTransport(t, true, answer, nil, &questions)})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := r.MX(t.Context(), asked); dns.KindOf(err) != c.kind || got.Secure != c.secure {
			t.Errorf("%s: secure %v, %v", c.name, got.Secure, err)
		}
	}
}
