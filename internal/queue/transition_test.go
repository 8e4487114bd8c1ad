package queue_test

import (
	"testing"
	"time"

	"postern/internal/queue"
)

func TestReleasedMailIsTriedBeforeItsWindowEndsIt(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name          string
		expires, want time.Duration // from now
	}{
		{"inside its window", time.Hour, time.Hour},
		{"the window ended while it was held", -time.Hour, time.Minute},
		{"the window ends in a moment", time.Second, time.Minute},
	} {
		d := queue.Delivery{State: queue.Held, ExpiresAt: now.Add(c.expires)}
		if !(&queue.Action{Kind: queue.Release, Now: now}).Apply(&d) {
			t.Fatalf("%s: not released", c.name)
		}
		if d.State != queue.Queued || !d.Due.Equal(now) || d.Deadline.Sub(now) != c.want {
			t.Errorf("%s: %v, due %v, deadline in %v, want %v", c.name, d.State, d.Due, d.Deadline.Sub(now), c.want)
		}
	}
}
