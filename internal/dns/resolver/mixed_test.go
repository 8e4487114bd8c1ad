package resolver_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"postern/internal/dns"
	"postern/internal/dns/resolver"
	"postern/internal/lab/zone"
)

// A validating server on the loopback and, for when that is down, one far away that validates nothing: the list of many
// a resolv.conf. What the one says of signatures is not unsaid by the other.
func TestWhatATrustedServerSaysIsNotUnsaidByAnother(t *testing.T) {
	for _, c := range []struct {
		trusted string // what the server on the loopback says
		kind    dns.Kind
	}{
		{"a.test bogus", dns.Bogus},
		{"a.test servfail", dns.ServFail},
		{"a.test MX 10 mx.test", dns.Kind(0)},
	} {
		near, err := zone.Parse(c.trusted + "\n")
		if err != nil {
			t.Fatal(err)
		}
		far, err := zone.Parse("!a.test MX 10 forged.test\n")
		if err != nil {
			t.Fatal(err)
		}
		transport := func(_ context.Context, network string, at netip.AddrPort, query []byte, accept func([]byte) bool) error {
			if at.Addr().IsLoopback() {
				accept(near.Answer(network, query))
			} else {
				accept(far.Answer(network, query))
			}
			return nil
		}
		for _, servers := range [][]string{{"127.0.0.1", "192.0.2.53"}, {"192.0.2.53", "127.0.0.1"}} {
			r, err := resolver.New(resolver.Config{Servers: servers, Transport: transport, TryTimeout: 50 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			if answer, err := r.MX(t.Context(), name("a.test")); dns.KindOf(err) != c.kind || err == nil && !answer.Secure {
				t.Errorf("%s, servers %q: the answer is %+v, %v", c.trusted, servers, answer.Records, err)
			}
		}
	}
}

// A trusted server that is silent about one question, because somebody holds up the answers of that zone, is not made
// good by one that validates nothing: what it says is unsigned, and all that is published would be gone.
func TestASilentTrustedServerIsNotReplacedByOneThatValidatesNothing(t *testing.T) {
	far, err := zone.Parse("!a.test MX 10 forged.test\n")
	if err != nil {
		t.Fatal(err)
	}
	transport := func(ctx context.Context, network string, at netip.AddrPort, query []byte, accept func([]byte) bool) error {
		if at.Addr().IsLoopback() {
			<-ctx.Done()
			return ctx.Err()
		}
		accept(far.Answer(network, query))
		return nil
	}
	servers := []string{"127.0.0.1", "192.0.2.53"}
	r, err := resolver.New(resolver.Config{Servers: servers, Transport: transport, TryTimeout: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if answer, err := r.MX(t.Context(), name("a.test")); dns.KindOf(err) != dns.Timeout {
		t.Errorf("the answer is %+v, %v", answer.Records, err)
	}
	if idle := r.Idle(); len(idle) != 1 || idle[0].String() != "192.0.2.53:53" {
		t.Errorf("never asked: %v", idle)
	}
	r, err = resolver.New(resolver.Config{Servers: servers, TrustAD: resolver.TrustNone, Transport: transport, TryTimeout: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if answer, err := r.MX(t.Context(), name("a.test")); err != nil || len(answer.Records) != 1 || answer.Secure || len(r.Idle()) != 0 {
		t.Errorf("where nobody is trusted the next one is asked: %+v, %v, %v", answer, err, r.Idle())
	}
}
