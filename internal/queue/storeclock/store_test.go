package storeclock_test

import (
	"testing"
	"time"

	"postern/internal/queue"
	"postern/internal/queue/memstore"
	"postern/internal/queue/storeclock"
	"postern/internal/queue/storetest"
)

// shifted is a store as a machine sees it whose clock is off.
func shifted(s storeclock.Kept, off time.Duration) *storeclock.Store {
	return storeclock.New(s, func() time.Duration { return off })
}

// TestStore: whatever the clock, the store is as it is without.
func TestStore(t *testing.T) {
	for name, off := range map[string]time.Duration{"ahead": time.Hour, "behind": -25 * time.Hour, "right": 0} {
		t.Run(name, func(t *testing.T) {
			storetest.Run(t, func(*testing.T) queue.Store { return shifted(memstore.New(), off) })
			storetest.RunLedger(t, shifted(memstore.New(), off))
		})
	}
}

// handle is one of two on a store, which is closed once.
type handle struct{ *storeclock.Store }

// Close closes nothing.
func (handle) Close() error { return nil }

func TestClocksThatDiffer(t *testing.T) {
	storetest.RunClocks(t, func(t *testing.T) [2]storetest.Clocked {
		s := memstore.New()
		return [2]storetest.Clocked{
			{ClockedStore: handle{shifted(s, time.Hour)}, Off: time.Hour},
			{ClockedStore: handle{shifted(s, -time.Hour)}, Off: -time.Hour},
		}
	})
}
