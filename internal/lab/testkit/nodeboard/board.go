// Package nodeboard is a nodes.Registry in memory, which gateways in one process share: what a database is to gateways
// on several machines. Its clock is that of the process, shifted by Clock; a gateway's own may be another.
//
// A Line is the way of one gateway to it. It can be cut, and slowed, and loses what a test wants lost.
//
// Conform holds any Registry to what the port says.
package nodeboard

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"postern/internal/gateway/nodes"
)

// Board is the memory. New makes one.
type Board struct {
	// Clock is by how much the clock of the board differs from that of the process.
	Clock time.Duration

	mu     sync.Mutex // guards what follows
	nodes  map[string]*nodes.Entry
	turns  map[string]*turn
	newest nodes.Mark
	told   []func()
}

type turn struct {
	session      string // "" rests
	since, until time.Time
}

// New returns an empty Board.
func New() *Board { return &Board{nodes: map[string]*nodes.Entry{}, turns: map[string]*turn{}} }

// Now is the time of the board.
func (b *Board) Now() time.Time { return time.Now().Add(b.Clock) }

// Tell has f called whenever all gateways are told of something, as NOTIFY does.
func (b *Board) Tell(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.told = append(b.told, f)
}

// notify calls whoever wants to be told. The caller holds mu.
func (b *Board) notify() {
	for _, f := range b.told {
		f()
	}
}

// Rules stores a revision of the rules.
func (b *Board) Rules(revision int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.newest.Rules = max(b.newest.Rules, revision)
}

// Accepts reports whether the board would take the acceptance of a message from a session now.
func (b *Board) Accepts(session string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.nodes[session]
	return e != nil && e.Until.After(b.Now())
}

// Renew implements nodes.Registry.
func (b *Board) Renew(_ context.Context, r nodes.Report) (nodes.Answer, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.Now()
	e := b.nodes[r.Session]
	if !r.Anew && (e == nil || !e.Until.After(now)) {
		return nodes.Answer{}, nodes.ErrEnded
	}
	if e == nil {
		for session, old := range b.nodes {
			if gone := now.Sub(old.Until); gone >= 0 && (old.Name == r.Name || gone > nodes.Forgotten) {
				delete(b.nodes, session)
			}
		}
		e = &nodes.Entry{Joined: now}
		b.nodes[r.Session] = e
	}
	r.InForce = r.InForce.Max(e.InForce)
	e.Report, e.Renewed, e.Until = r, now, now.Add(r.Lease)
	a := nodes.Answer{Now: now, Newest: b.newest}
	for session, e := range b.nodes {
		if e.Until.After(now) {
			a.Live++
			if session < r.Session {
				a.Rank++
			}
		}
	}
	return a, nil
}

// Leave implements nodes.Registry.
func (b *Board) Leave(_ context.Context, session string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.nodes[session]; e != nil {
		e.Until = b.Now()
	}
	return nil
}

// Nodes implements nodes.Registry.
func (b *Board) Nodes(context.Context) (nodes.Roll, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := nodes.Roll{Now: b.Now()}
	for _, e := range b.nodes {
		out.Nodes = append(out.Nodes, *e)
	}
	slices.SortFunc(out.Nodes, func(x, y nodes.Entry) int {
		return cmp.Or(cmp.Compare(x.Name, y.Name),
			x.Joined.Compare(y.Joined))
	})
	return out, nil
}

// Raise implements nodes.Registry.
func (b *Board) Raise(_ context.Context, m nodes.Mark) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.newest = b.newest.Max(m)
	b.notify()
	return nil
}

// Take implements nodes.Registry.
func (b *Board) Take(_ context.Context, t nodes.Turn) (time.Duration, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now, old := b.Now(), b.turns[t.Name]
	if old != nil && old.session != t.Session && old.until.After(now) {
		if woken := t.Wake && old.session == "" && now.Sub(old.since) > nodes.WakeAfter; !woken {
			return old.until.Sub(now), nil
		}
	}
	b.turns[t.Name] = &turn{t.Session, now, now.Add(t.For)}
	return 0, nil
}

// Rest implements nodes.Registry.
func (b *Board) Rest(_ context.Context, t nodes.Turn) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	now, old := b.Now(), b.turns[t.Name]
	if old == nil || old.session == t.Session || !old.until.After(now) {
		b.turns[t.Name] = &turn{"", now, now.Add(t.For)}
	}
	return nil
}

// Drop implements nodes.Registry.
func (b *Board) Drop(_ context.Context, name string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, there := b.turns[name]; there {
		delete(b.turns, name)
		b.notify()
	}
	return nil
}

// Turns implements nodes.Registry.
func (b *Board) Turns(_ context.Context, names []string) (map[string]time.Duration, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := map[string]time.Duration{}
	for _, name := range names {
		if t := b.turns[name]; t != nil {
			out[name] = max(t.until.Sub(b.Now()), 0)
		}
	}
	return out, nil
}

// ErrCut is what a gateway hears whose line is cut.
var ErrCut = errors.New("the board cannot be reached")

// Line is the way of one gateway to a Board. The zero values of its functions are a line without faults.
type Line struct {
	Board *Board
	// Delay is how long a message is under way, there and back each; Lose says that it does not come through, of the
	// answer alone where back is set. Each is asked anew for every one.
	Delay func() time.Duration
	Lose  func(back bool) bool
}

// over makes one call over the line.
func (l *Line) over(ctx context.Context, call func() error) error {
	if err := l.pass(ctx, false); err != nil {
		return err
	}
	if err := call(); err != nil {
		return err
	}
	return l.pass(ctx, true)
}

func (l *Line) pass(ctx context.Context, back bool) error {
	if l.Delay != nil {
		timer := time.NewTimer(l.Delay())
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if l.Lose != nil && l.Lose(back) {
		return ErrCut
	}
	return ctx.Err()
}

// Renew implements nodes.Registry.
func (l *Line) Renew(ctx context.Context, r nodes.Report) (a nodes.Answer, err error) {
	err = l.over(ctx, func() (err error) { a, err = l.Board.Renew(ctx, r); return err })
	return a, err
}

// Leave implements nodes.Registry.
func (l *Line) Leave(ctx context.Context, session string) error {
	return l.over(ctx, func() error { return l.Board.Leave(ctx, session) })
}

// Nodes implements nodes.Registry.
func (l *Line) Nodes(ctx context.Context) (r nodes.Roll, err error) {
	err = l.over(ctx, func() (err error) { r, err = l.Board.Nodes(ctx); return err })
	return r, err
}

// Raise implements nodes.Registry.
func (l *Line) Raise(ctx context.Context, m nodes.Mark) error {
	return l.over(ctx, func() error { return l.Board.Raise(ctx, m) })
}

// Take implements nodes.Registry.
func (l *Line) Take(ctx context.Context, t nodes.Turn) (wait time.Duration, err error) {
	err = l.over(ctx, func() (err error) { wait, err = l.Board.Take(ctx, t); return err })
	return wait, err
}

// Rest implements nodes.Registry.
func (l *Line) Rest(ctx context.Context, t nodes.Turn) error {
	return l.over(ctx, func() error { return l.Board.Rest(ctx, t) })
}

// Drop implements nodes.Registry.
func (l *Line) Drop(ctx context.Context, name string) error {
	return l.over(ctx, func() error { return l.Board.Drop(ctx, name) })
}

// Turns implements nodes.Registry.
func (l *Line) Turns(ctx context.Context, names []string) (out map[string]time.Duration, err error) {
	err = l.over(ctx, func() (err error) { out, err = l.Board.Turns(ctx, names); return err })
	return out, err
}
