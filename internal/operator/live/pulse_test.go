package live

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/event"
)

func TestAPulseWakesWhoWaitsAndNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Pulse
		p.Emit(event.Connected{}) // a connection alone changes no page
		if p.Beats() != 0 {
			t.Fatal("a connection is a beat")
		}
		got := make(chan uint64)
		for range 3 {
			go func() {
				n, err := p.After(t.Context(), 0)
				if err != nil {
					t.Error(err)
				}
				got <- n
			}()
		}
		synctest.Wait()
		p.Emit(event.Settled{})
		for range 3 {
			if n := <-got; n != 1 {
				t.Errorf("beat %d", n)
			}
		}
		if n, err := p.After(t.Context(), 0); n != 1 || err != nil {
			t.Errorf("what was missed: %d, %v", n, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if n, err := p.After(ctx, 1); n != 1 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("nothing happened: %d, %v", n, err)
		}
	})
}
