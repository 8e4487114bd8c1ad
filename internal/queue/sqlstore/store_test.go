package sqlstore

import (
	"context"
	"testing"
	"time"

	"postern/internal/queue"
	"postern/internal/queue/storetest"
)

func open(t *testing.T, dir string) *Store {
	t.Helper()
	return opened(t, Config{Dir: dir})
}

func opened(t *testing.T, cfg Config) *Store {
	t.Helper()
	s, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestStore runs the suite on a store as it is, on one with hardly any mail in the journal, and on one whose mail moves
// from the journal into the database all the time.
func TestStore(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) queue.Store{
		"plain":  func(t *testing.T) queue.Store { return open(t, t.TempDir()) },
		"tiny":   func(t *testing.T) queue.Store { return opened(t, Config{Dir: t.TempDir(), Young: 1}) },
		"moving": func(t *testing.T) queue.Store { return moving(opened(t, Config{Dir: t.TempDir()})) },
	} {
		if testing.Short() && name != "moving" {
			continue // under the race detector: the mode in which most happens side by side
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel() // each mostly waits for the disk
			storetest.Run(t, open)
		})
	}
}

// moving keeps mail moving into the database until the store is closed.
func moving(s *Store) *Store {
	go func() {
		for s.gate.Enter(context.Background()) == nil {
			_ = s.settleDown(context.Background()) // whatever becomes of it, a caller is told the same
			s.gate.Leave()
			time.Sleep(100 * time.Microsecond)
		}
	}()
	return s
}
