// Package clientname finds the name of a client's address, for the Received line: the one that its network gives it
// (PTR) and that leads back to the address. What does not lead back is not the client's name, whoever says so.
//
// Three ends of a look-up are kept apart, because filters further on count against a client that has no name:
//
//	a name     a PTR name whose own addresses contain the client's
//	none       DNS answered, and there is no such name: no PTR, or none of them leads back
//	not known  DNS failed, took too long, or was not asked at all
//
// The law: a look-up delays nobody. It begins when the client connects and goes on beside the session; who needs the
// result waits for it briefly, and takes "not known" when that is over. Where DNS fails, a name that was found within
// the last day still holds. Nobody is asked about addresses that are not public: their names concern nobody outside.
//
// What is bounded: how many look-ups are under way, how long each takes, how many names of one address are followed,
// how many addresses are remembered and for how long. More clients than that are "not known".
package clientname

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"postern/internal/dns"
	"postern/internal/mail"
)

// Resolver is what is asked; *resolver.Resolver is one.
type Resolver interface {
	PTR(ctx context.Context, addr netip.Addr) (dns.PTRAnswer, error)
	Addrs(ctx context.Context, name mail.Domain) dns.Addresses
}

// Config is what Names needs. Resolver is required.
type Config struct {
	Resolver Resolver
	// Timeout bounds one look-up, Wait how long a result is waited for (0: 5 s, 2 s).
	Timeout, Wait time.Duration
	// LookUps bounds how many are under way (0: 64).
	LookUps int
	// Remembered bounds the addresses that are remembered, each For a time (0: 20,000, 10 min).
	Remembered int
	For        time.Duration
}

// Result is what came of a look-up. The zero Result is "not known".
type Result struct {
	// Name leads back to the address; zero where there is none, or where it is not known.
	Name mail.Domain
	// None says that DNS answered and there is no such name.
	None bool
}

// Names finds names. Safe for concurrent use.
type Names struct {
	cfg    Config
	ctx    context.Context // of every look-up
	cancel context.CancelFunc

	mu      sync.Mutex // guards what follows
	seen    map[netip.Addr]*LookUp
	order   []netip.Addr // as they came; a ring once it is full
	next    int          // of order, the oldest then
	flying  int
	group   sync.WaitGroup
	stopped bool
}

// LookUp is one that is under way or has ended. nil is one that was not made.
type LookUp struct {
	wait   time.Duration
	done   chan struct{}
	result Result    // set before done is closed
	until  time.Time // while it holds; zero while it is under way
	found  time.Time // when the name was found
}

const (
	maxNames   = 5              // of one address, that are followed
	failureFor = time.Minute    // how long a failure is remembered
	staleFor   = 24 * time.Hour // how long a name holds where DNS fails
)

// New returns Names that look up until Run ends.
func New(cfg Config) *Names {
	or(&cfg.Timeout, 5*time.Second)
	or(&cfg.Wait, 2*time.Second)
	or(&cfg.For, 10*time.Minute)
	or(&cfg.LookUps, 64)
	or(&cfg.Remembered, 20_000)
	n := &Names{cfg: cfg, seen: map[netip.Addr]*LookUp{}}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	return n
}

func or[T int | time.Duration](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}

// Run ends what is under way when ctx ends, and waits for it.
func (n *Names) Run(ctx context.Context) error {
	<-ctx.Done()
	n.cancel()
	n.mu.Lock()
	n.stopped = true
	n.mu.Unlock()
	n.group.Wait()
	return nil
}

// Begin begins to look up an address, unless that is known or under way. It returns at once. For an address that is not
// public, and where too many look-ups are under way, it returns nil.
func (n *Names) Begin(addr netip.Addr) *LookUp {
	addr = addr.Unmap().WithZone("")
	if !public(addr) {
		return nil
	}
	now := time.Now()
	n.mu.Lock()
	defer n.mu.Unlock()
	before := n.seen[addr]
	if before != nil && (before.until.IsZero() || now.Before(before.until)) {
		return before
	}
	if n.stopped || n.flying >= n.cfg.LookUps {
		return nil
	}
	l := &LookUp{wait: n.cfg.Wait, done: make(chan struct{})}
	n.remember(addr, l)
	n.flying++
	n.group.Go(func() { n.fly(addr, l, before) })
	return l
}

// public reports whether the names of an address concern anybody outside its network.
func public(a netip.Addr) bool {
	return a.IsGlobalUnicast() && !a.IsPrivate() && !shared.Contains(a)
}

// shared is the space between a provider and its customers (RFC 6598 §7).
var shared = netip.MustParsePrefix("100.64.0.0/10")

// remember keeps a look-up in place of the oldest. The caller holds mu.
func (n *Names) remember(addr netip.Addr, l *LookUp) {
	if _, there := n.seen[addr]; !there {
		if len(n.order) < n.cfg.Remembered {
			n.order = append(n.order, addr)
		} else {
			delete(n.seen, n.order[n.next])
			n.order[n.next] = addr
			n.next = (n.next + 1) % len(n.order)
		}
	}
	n.seen[addr] = l
}

// fly looks up and lands. before is what was known of the address.
func (n *Names) fly(addr netip.Addr, l, before *LookUp) {
	ctx, cancel := context.WithTimeout(n.ctx, n.cfg.Timeout)
	defer cancel()
	result := n.lookUp(ctx, addr)
	now := time.Now()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.flying--
	l.result, l.until, l.found = result, now.Add(n.cfg.For), now
	if result == (Result{}) {
		l.until = now.Add(failureFor)
		if before != nil && !before.result.Name.IsZero() && now.Sub(before.found) < staleFor {
			l.result, l.found = before.result, before.found
		}
	}
	close(l.done)
}

// lookUp asks for the names and holds each against the address.
func (n *Names) lookUp(ctx context.Context, addr netip.Addr) Result {
	answer, err := n.cfg.Resolver.PTR(ctx, addr)
	if dns.IsNXDomain(err) {
		return Result{None: true}
	}
	if err != nil {
		return Result{}
	}
	failed := false
	for _, name := range answer.Names[:min(len(answer.Names), maxNames)] {
		addrs := n.cfg.Resolver.Addrs(ctx, name)
		family := addrs.V6
		if addr.Is4() {
			family = addrs.V4
		}
		if slices.Contains(family.Addrs, addr) {
			return Result{Name: name}
		}
		failed = failed || family.Err != nil && !dns.IsNXDomain(family.Err)
	}
	return Result{None: !failed}
}

// Result waits for the end of the look-up, and not long.
func (l *LookUp) Result(ctx context.Context) Result {
	if l == nil {
		return Result{}
	}
	select {
	case <-l.done: // without a timer, as it is nearly always
		return l.result
	default:
	}
	timer := time.NewTimer(l.wait)
	defer timer.Stop()
	select {
	case <-l.done:
		return l.result
	case <-timer.C:
	case <-ctx.Done():
	}
	return Result{}
}
