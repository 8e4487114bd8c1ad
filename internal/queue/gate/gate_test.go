package gate

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"postern/internal/queue"
)

// TestCloseWaitsForWhoIsIn and lets nobody else in; a second Close does not wait.
func TestCloseWaitsForWhoIsIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Gate
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := g.Enter(ended); !errors.Is(err, context.Canceled) {
			t.Errorf("with a context that has ended: %v", err)
		}
		if err := g.Enter(t.Context()); err != nil || g.Closed() {
			t.Fatalf("%v, closed: %v", err, g.Closed())
		}
		closed := make(chan bool, 1)
		go func() { closed <- g.Close() }()
		synctest.Wait()
		if err := g.Enter(t.Context()); !errors.Is(err, queue.ErrClosed) || !g.Closed() {
			t.Errorf("while it closes: %v, closed: %v", err, g.Closed())
		}
		if g.Close() {
			t.Error("the second says that it is the first")
		}
		select {
		case <-closed:
			t.Error("closed while somebody was in")
		default:
		}
		g.Leave()
		if !<-closed {
			t.Error("the first says that it is not")
		}
	})
}
