package nodes_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/internal/gateway/nodes"
	"postern/internal/lab/testkit/nodeboard"
)

// ledger is the rules as a store keeps them: the newest revision, and the number that everything in force has.
type ledger struct {
	board *nodeboard.Board
	mu    sync.Mutex
	now   nodes.Mark
}

// append stores a revision and gives it a number.
func (l *ledger) append() nodes.Mark {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now = nodes.Mark{Rules: l.now.Rules + 1, Number: l.now.Number + 2}
	l.board.Rules(l.now.Rules)
	return l.now
}

func (l *ledger) read() nodes.Mark {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now
}

// gateway is one of those on a board.
type gateway struct {
	*nodes.Node
	session string
	view    atomic.Pointer[nodes.Mark]
	cut     atomic.Bool // from the board
	frozen  atomic.Bool // its renewals neither end nor fail
	resumed atomic.Int32
	lost    atomic.Int32
	stop    func()
}

const lease = 30 * time.Second

// join starts a gateway that knows the rules of now. random, when not nil, makes its line a bad one.
func join(t *testing.T, l *ledger, name string, random *rand.Rand) *gateway {
	t.Helper()
	g := &gateway{session: fmt.Sprint(name, "-", rand.Uint64())}
	start := l.read()
	g.view.Store(&start)
	var mu sync.Mutex
	line := &nodeboard.Line{Board: l.board,
		Delay: func() time.Duration {
			if g.frozen.Load() {
				return time.Hour
			}
			if random == nil {
				return time.Millisecond
			}
			mu.Lock()
			defer mu.Unlock()
			return time.Duration(random.Int64N(int64(300 * time.Millisecond)))
		},
		Lose: func(bool) bool {
			mu.Lock()
			defer mu.Unlock()
			return g.cut.Load() || random != nil && random.IntN(20) == 0
		}}
	g.Node = nodes.New(nodes.Config{Registry: line, Session: g.session, Name: name, Lease: lease,
		InForce: func() nodes.Mark { return *g.view.Load() },
		Reload: func(ctx context.Context) error {
			if g.cut.Load() || g.frozen.Load() {
				return nodeboard.ErrCut
			}
			m := l.read()
			g.view.Store(&m)
			return nil
		},
		Resumed: func() { g.resumed.Add(1) }, Lost: func(error) { g.lost.Add(1) }})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := g.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	l.board.Tell(g.Poke)
	g.stop = func() { cancel(); <-ended }
	return g
}

// apply changes the rules at a gateway, as an administrator does.
func (g *gateway) apply(ctx context.Context, l *ledger) (nodes.Mark, nodes.Agreed, error) {
	m := l.append()
	g.view.Store(&m)
	agreed, err := g.Agree(ctx, m, nil)
	return m, agreed, err
}

// accept takes a message in: judged by what is in force, and stored after a while. by is what it was judged by.
func (g *gateway) accept(ctx context.Context, l *ledger, takes time.Duration) (by nodes.Mark, at time.Time, ok bool) {
	end, err := g.Begin(ctx)
	if err != nil {
		return by, at, false
	}
	defer end()
	by = *g.view.Load()
	time.Sleep(takes)
	return by, time.Now(), l.board.Accepts(g.session)
}

// wait lets time pass.
func wait(d time.Duration) { time.Sleep(d) }
