package examiner

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"postern/internal/platform/pause"
)

// manners keep one address from being examined twice at a time, and let it rest in between. The loopback is ours and
// needs no rest.
type manners struct {
	pause time.Duration

	mu    sync.Mutex // guards turns and what is in them
	turns map[netip.Addr]*turn
}

// turn is one address's.
type turn struct {
	busy  chan struct{} // holds one token while the address is being examined
	users int           // who examines it or waits to
	next  time.Time     // not before this
}

// enter waits for the turn at every one of ips; the caller calls what it returns when it is done with them. Addresses
// are taken in order, so that two callers never wait for each other. When ctx ends it stops waiting; whoever goes on
// then gets nowhere, because dialling ends with the same ctx.
func (m *manners) enter(ctx context.Context, ips ...netip.Addr) (leave func()) {
	ips = slices.Clone(ips)
	slices.SortFunc(ips, netip.Addr.Compare)
	ips = slices.DeleteFunc(slices.Compact(ips), netip.Addr.IsLoopback)
	var held []netip.Addr
	for _, ip := range ips {
		if !m.take(ctx, ip) {
			break
		}
		held = append(held, ip)
	}
	return func() {
		for _, ip := range held {
			m.release(ip)
		}
	}
}

func (m *manners) take(ctx context.Context, ip netip.Addr) bool {
	t := m.join(ip)
	select {
	case t.busy <- struct{}{}:
	case <-ctx.Done():
		m.part(ip, t)
		return false
	}
	m.mu.Lock()
	rest := time.Until(t.next)
	m.mu.Unlock()
	pause.For(ctx, rest)
	return true
}

func (m *manners) join(ip netip.Addr) *turn {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.turns == nil {
		m.turns = map[netip.Addr]*turn{}
	}
	t := m.turns[ip]
	if t == nil {
		t = &turn{busy: make(chan struct{}, 1)}
		m.turns[ip] = t
	}
	t.users++
	return t
}

func (m *manners) release(ip netip.Addr) {
	m.mu.Lock()
	t := m.turns[ip]
	t.next = time.Now().Add(m.pause)
	m.mu.Unlock()
	<-t.busy
	m.part(ip, t)
}

// many is how many addresses are remembered before those that have rested are forgotten.
const many = 256

func (m *manners) part(ip netip.Addr, t *turn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t.users--
	if len(m.turns) <= many {
		return
	}
	now := time.Now()
	for ip, t := range m.turns {
		if t.users == 0 && now.After(t.next) {
			delete(m.turns, ip)
		}
	}
}

// breathe is the pause between two of many connections to one address.
func (m *manners) breathe(ctx context.Context, ip netip.Addr) {
	if !ip.IsLoopback() {
		pause.For(ctx, m.pause/4)
	}
}
