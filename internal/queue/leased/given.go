package leased

import (
	"sync"
	"time"

	"postern/internal/queue"
)

// Given are the leases that this process gave, with what a settlement needs of their deliveries. The zero Given has
// none. Safe for concurrent use.
type Given struct {
	mu   sync.Mutex // guards what follows
	held map[queue.DeliveryID]*Delivery
}

// Delivery is one under a lease, as it was when the lease was given: without what a settlement does not need.
type Delivery struct {
	queue.Delivery
	Facts string
	token int64
	until time.Time // by the clock of the store
}

// leasesMost bounds the memory; of leases that are not remembered the database is asked.
const leasesMost = 1 << 14

// Note remembers a lease on a delivery, which had a state before, and facts.
func (g *Given) Note(lease queue.Lease, until time.Time, d *queue.Delivery, was queue.State, facts string) {
	one := &Delivery{Delivery: *d, Facts: facts, token: lease.Token, until: until}
	one.State, one.History = was, nil
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.held) >= leasesMost || g.held == nil {
		g.held = map[queue.DeliveryID]*Delivery{}
	}
	g.held[lease.Delivery] = one
}

// Prolong remembers new ends of leases, and reports whether one ends sooner than before.
func (g *Given) Prolong(leases []queue.Lease, until time.Time) (sooner bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, l := range leases {
		if one := g.held[l.Delivery]; one != nil && one.token == l.Token {
			sooner = sooner || until.Before(one.until)
			one.until = until
		}
	}
	return sooner
}

// NextEnd is when the next lease at a site ends, if that is before next; zero is never.
func (g *Given) NextEnd(site queue.SiteKey, now, next time.Time) time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, one := range g.held {
		if one.Site == site && one.until.After(now) && (next.IsZero() || one.until.Before(next)) {
			next = one.until
		}
	}
	return next
}

// Of are the deliveries of leases, if all of them are remembered; they are the caller's.
func (g *Given) Of(leases []queue.Lease) (out []Delivery, all bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	out = make([]Delivery, len(leases))
	for i, l := range leases {
		one := g.held[l.Delivery]
		if one == nil || one.token != l.Token || one.Wish != nil {
			return nil, false
		}
		out[i] = *one
	}
	return out, true
}

// Forget drops leases that ended.
func (g *Given) Forget(ids []int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, id := range ids {
		delete(g.held, queue.DeliveryID(id))
	}
}
