// Package gate counts the calls that are under way in a store, and lets none in once it is closed.
package gate

import (
	"context"
	"sync"

	"postern/internal/queue"
)

// Gate is open, and nobody is in. Safe for concurrent use.
type Gate struct {
	inside sync.WaitGroup
	mu     sync.Mutex // guards closed
	closed bool
}

// Enter lets a call in, which Leaves. Nobody comes in with a context that has ended, or once the gate is closed
// (queue.ErrClosed).
func (g *Gate) Enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return queue.ErrClosed
	}
	g.inside.Add(1)
	return nil
}

// Leave lets a call out.
func (g *Gate) Leave() { g.inside.Done() }

// Closed reports whether the gate is closed.
func (g *Gate) Closed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.closed
}

// Close closes the gate and waits until all are out. A second Close does nothing, and says that it is not the first.
func (g *Gate) Close() (first bool) {
	g.mu.Lock()
	first = !g.closed
	g.closed = true
	g.mu.Unlock()
	if first {
		g.inside.Wait()
	}
	return first
}
