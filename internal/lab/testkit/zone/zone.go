// Package zone is a DNS zone in memory for tests: the real resolver with a wire of its own, so that a test in a
// synctest bubble meets the same caching, retrying and classifying as the world does, without a socket.
package zone

import (
	"context"
	"errors"
	"net/netip"
	"sync/atomic"
	"testing"

	"postern/internal/dns/resolver"
	labzone "postern/internal/lab/zone"
)

// Resolver is a dns.Resolver over a zone in the text form of lab/zone. Answers come at once; a name that fails with
// "timeout" stays silent for as long as the resolver waits. It is safe for concurrent use.
type Resolver struct {
	*resolver.Resolver
	t     testing.TB
	zone  atomic.Pointer[labzone.Zone]
	asked atomic.Int64
}

// New makes a Resolver; a zone that cannot be parsed fails the test.
func New(t testing.TB, text string) *Resolver {
	t.Helper()
	r := &Resolver{t: t}
	r.load(text)
	inner, err := resolver.New(resolver.Config{Servers: []string{"127.0.0.1"}, Transport: r.exchange})
	if err != nil {
		t.Fatal(err)
	}
	r.Resolver = inner
	return r
}

// Set replaces the zone and forgets what was cached.
func (r *Resolver) Set(text string) {
	r.t.Helper()
	r.load(text)
	r.Forget()
}

func (r *Resolver) load(text string) {
	r.t.Helper()
	z, err := labzone.Parse(text)
	if err != nil {
		r.t.Fatal(err)
	}
	r.zone.Store(z)
}

// Asked returns how many questions went out.
func (r *Resolver) Asked() int { return int(r.asked.Load()) }

func (r *Resolver) exchange(ctx context.Context, network string, _ netip.AddrPort, query []byte,
	accept func([]byte) bool) error {
	r.asked.Add(1)
	if reply := r.zone.Load().Answer(network, query); reply != nil && accept(reply) {
		return nil
	}
	if network == "tcp" {
		return errors.New("the stream was closed")
	}
	<-ctx.Done()
	return ctx.Err()
}
