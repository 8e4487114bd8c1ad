package nodes_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/gateway/nodes"
	"postern/internal/lab/testkit/nodeboard"
)

// TestOneDoesItForAll: a duty stays with who has it while it asks again, and goes to another when that one is gone;
// turns come one after the other, and nobody waits longer than the bound.
func TestOneDoesItForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{board: nodeboard.New()}
		l.append()
		a, b := join(t, l, "gw-a", nil), join(t, l, "gw-b", nil)
		defer a.stop()
		defer b.stop()
		wait(time.Second)
		for range 10 {
			if !a.Duty(t.Context(), "reports") || b.Duty(t.Context(), "reports") || !b.Duty(t.Context(), "orders of "+t.Name()) {
				t.Fatal("the duty is not with one")
			}
			wait(20 * time.Second)
		}
		a.cut.Store(true)
		wait(31 * time.Second)
		if a.Duty(t.Context(), "reports") || !b.Duty(t.Context(), "reports") {
			t.Error("the duty stays with who is gone")
		}
		a.cut.Store(false)
		wait(2 * time.Second)

		end, err := a.Turn(t.Context(), "rules")
		if err != nil {
			t.Fatal(err)
		}
		go func() { wait(10 * time.Second); end() }()
		began := time.Now()
		endOfB, err := b.Turn(t.Context(), "rules")
		if took := time.Since(began); err != nil || took < 10*time.Second || took > 12*time.Second {
			t.Fatalf("after %v: %v", took, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := a.Turn(ctx, "rules"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("who asks went away: %v", err)
		}
		over := make(chan struct{})
		go func() { // b is never done
			for {
				select {
				case <-over:
					return
				case <-time.After(10 * time.Second):
					_, _ = b.Turn(t.Context(), "rules")
				}
			}
		}()
		began = time.Now()
		if _, err := a.Turn(t.Context(), "rules"); !errors.Is(err, nodes.ErrTaken) || time.Since(began) > 2*lease+2*time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		close(over)
		endOfB()
	})
}
