package resolver

import (
	"context"
	"net/netip"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"postern/internal/dns"
)

// FuzzReplies hands the resolver a packet with the right ID, and whatever else the fuzzer thinks of, over UDP and TCP.
// It must neither panic nor hang, every error must be a *dns.Error, and what it believed must have come from the
// packet.
func FuzzReplies(f *testing.F) {
	seed := func(build func(m *wire.Msg)) {
		m := new(wire.Msg)
		m.SetQuestion("clinic.test.", wire.TypeMX)
		m.Response = true
		build(m)
		f.Add(packed(f, m), uint16(wire.TypeMX))
	}
	for _, rr := range []string{
		"clinic.test. 60 MX 10 mx.clinic.test.", "clinic.test. 60 MX 0 .", "clinic.test. 60 CNAME clinic.test.",
		"clinic.test. 60 CNAME other.test.", "clinic.test. 60 A 192.0.2.1", "clinic.test. 60 AAAA 2001:db8::1",
		`clinic.test. 60 TXT "a" "b\255"`, "clinic.test. 60 TLSA 3 1 1 aabb", `clinic.test. 60 MX 1 a\.b\000.test.`,
	} {
		seed(func(m *wire.Msg) { m.Answer = []wire.RR{record(f, rr)} })
	}
	for rcode := range 11 {
		seed(func(m *wire.Msg) { m.Rcode = rcode })
	}
	seed(func(m *wire.Msg) { m.Truncated = true })
	f.Add([]byte{}, uint16(wire.TypeA))
	f.Add([]byte{0, 0, 0x80, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0xc0, 12, 0, 15, 0, 1}, uint16(wire.TypeMX))
	f.Fuzz(func(t *testing.T, packet []byte, qtype uint16) {
		r, err := New(Config{Servers: []string{"127.0.0.1"}, TryTimeout: time.Second, Rounds: 1, Transport: mirror(packet)})
		if err != nil {
			t.Fatal(err)
		}
		ctx := t.Context()
		_, e1 := r.MX(ctx, asked)
		_, e2 := r.CNAME(ctx, asked)
		_, e3 := r.TXT(ctx, asked)
		_, e4 := r.TLSA(ctx, asked)
		a := r.Addrs(ctx, asked)
		_, _, e5 := r.follow(ctx, asked, qtype)
		for _, err := range []error{e1, e2, e3, e4, e5, a.V4.Err, a.V6.Err} {
			if _, ok := err.(*dns.Error); err != nil && !ok {
				t.Fatalf("error %T %v", err, err)
			}
		}
		for _, ip := range a.V4.Addrs {
			if !ip.Is4() {
				t.Fatalf("A record with %v", ip)
			}
		}
		for _, ip := range a.V6.Addrs {
			if !ip.Is6() {
				t.Fatalf("AAAA record with %v", ip)
			}
		}
	})
}

// mirror answers with packet under the ID, and with the question, of the query: what a forger hopes for.
func mirror(packet []byte) Transport {
	return func(_ context.Context, _ string, _ netip.AddrPort, query []byte, accept func([]byte) bool) error {
		reply := append([]byte(nil), packet...)
		copy(reply, query[:2])
		if len(reply) > 12 && len(query) > 12 {
			var q wire.Msg
			if q.Unpack(query) == nil {
				end := 12 + len(q.Question[0].Name) + 1 + 4
				if len(reply) >= end {
					copy(reply[12:end], query[12:end])
				}
			}
		}
		if !accept(reply) {
			return errUnfit
		}
		return nil
	}
}
