package nodes

import (
	"context"
	"time"
)

// Member is one gateway as people see it.
type Member struct {
	Entry
	State State
	Self  bool
	// Alone says that there can be no others, and no lease.
	Alone bool
	// Age is since its last renewal, Left until its lease ends: below 0 it ended so long ago.
	Age, Left time.Duration
}

// Members lists the gateways of the store, in order of name; one that stands alone lists itself.
func (n *Node) Members(ctx context.Context) ([]Member, error) {
	if n.alone() {
		return []Member{n.self()}, nil
	}
	roll, err := n.cfg.Registry.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]Member, len(roll.Nodes))
	for i, e := range roll.Nodes {
		out[i] = n.member(e, roll.Now)
	}
	return out, nil
}

// member is an entry at a time of the store.
func (n *Node) member(e Entry, now time.Time) Member {
	return Member{Entry: e, State: e.StateAt(now), Self: e.Session == n.cfg.Session, Age: now.Sub(e.Renewed),
		Left: e.Until.Sub(now)}
}

// among is one of so many gateways that live, the rank-th of them.
type among struct{ live, rank int }

// Among returns how many gateways live, and the how-manieth of them this is, counted from 0, as of the last renewal.
// Each of them has another rank, but while one comes or goes.
func (n *Node) Among() (gateways, rank int) {
	if n.alone() {
		return 1, 0
	}
	a := n.among.Load()
	if a == nil {
		return 1, 0 // it may do nothing yet
	}
	return max(a.live, 1), a.rank
}

// self is a gateway that stands alone.
func (n *Node) self() Member {
	if n == nil {
		return Member{State: Live, Self: true, Alone: true}
	}
	return Member{State: Live, Self: true, Alone: true,
		Entry: Entry{Joined: n.joined, Report: Report{Session: n.cfg.Session, Name: n.cfg.Name,
			Release: n.cfg.Release, API: n.cfg.API, InForce: n.cfg.InForce(), Held: n.held()}}}
}

// Pulse is how this gateway stands with the store, for monitoring; ok is false for one that stands alone.
type Pulse struct {
	State   State
	Age     time.Duration // since the last renewal that succeeded began; 0 before the first
	Latency time.Duration // of that
}

// Pulse returns it.
func (n *Node) Pulse() (p Pulse, ok bool) {
	if n.alone() {
		return Pulse{State: Live}, false
	}
	p.State = n.State()
	if r := n.renews.Load(); r != nil {
		p.Age, p.Latency = r.began.since(), r.latency
	}
	return p, true
}
