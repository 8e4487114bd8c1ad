package pgstore

import (
	"sync"
	"testing"
	"time"

	"postern/internal/platform/records"
	"postern/internal/queue"
	store "postern/internal/queue/pgstore"
	"postern/internal/queue/storetest"
)

func TestStore(t *testing.T) {
	t.Parallel() // each mostly waits for the disk
	storetest.RunLeased(t, func(t *testing.T) queue.Store {
		cfg := fresh(t)
		cfg.Keep = time.Minute // as gateways do
		return open(t, cfg)
	})
}

// Without mail that is kept everything is claimed in the database: the model alone tells enough.
func TestStoreThatKeepsNothing(t *testing.T) {
	t.Parallel()
	storetest.Model(t, func(t *testing.T) queue.Store { return open(t, fresh(t)) })
}

// Mail is kept for less than most claims of the model ask for, so that they have it from memory.
func TestStoreThatKeepsForAMoment(t *testing.T) {
	t.Parallel()
	keeps := func(t *testing.T) queue.Store {
		cfg := fresh(t)
		cfg.Keep = 15 * time.Second
		return open(t, cfg)
	}
	storetest.LeasedModel(t, keeps)
	t.Run("a lease that was longer than its claim", func(t *testing.T) {
		storetest.ModelSeed(t, keeps(t), 922582923162366133, 300)
	})
	t.Run("a lease that ends before its claim would", func(t *testing.T) {
		storetest.LeasedModelSeed(t, keeps(t), 365889101256883840, 300)
	})
}

func TestLedger(t *testing.T) {
	s := open(t, fresh(t))
	defer s.Close()
	storetest.RunLedger(t, s)
}

func TestRecords(t *testing.T) {
	t.Parallel()
	storetest.RunRecords(t, func(t *testing.T) (records.Store, func() records.Store) {
		cfg := fresh(t)
		s := open(t, cfg)
		t.Cleanup(func() { s.Close() })
		return s, func() records.Store {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			s = open(t, cfg)
			return s
		}
	})
}

func TestDurable(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	places := map[string]store.Config{}
	storetest.RunDurable(t, func(t *testing.T, place string) storetest.DurableStore {
		mu.Lock()
		defer mu.Unlock()
		if _, known := places[place]; !known {
			places[place] = fresh(t)
		}
		return open(t, places[place])
	})
}

func TestShared(t *testing.T) {
	t.Parallel()
	storetest.RunShared(t, func(t *testing.T) (a, b storetest.SharedStore) {
		cfg := fresh(t)
		a = open(t, cfg)
		cfg.Node = "gw2"
		return a, open(t, cfg)
	})
}
