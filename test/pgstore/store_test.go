package pgstore

import (
	"testing"

	"postern/internal/platform/records"
	"postern/internal/queue"
	"postern/internal/queue/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) queue.Store { return open(t, fresh(t)) })
}

func TestLedger(t *testing.T) {
	s := open(t, fresh(t))
	defer s.Close()
	storetest.RunLedger(t, s)
}

func TestRecords(t *testing.T) {
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
