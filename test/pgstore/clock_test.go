package pgstore

import (
	"testing"
	"time"

	"postern/internal/queue/storeclock"
	"postern/internal/queue/storetest"
)

// TestClocksThatDiffer: one gateway is an hour ahead of the database and the other an hour behind.
func TestClocksThatDiffer(t *testing.T) {
	t.Parallel()
	storetest.RunClocks(t, func(t *testing.T) (both [2]storetest.Clocked) {
		cfg := fresh(t)
		for i, off := range []time.Duration{time.Hour, -time.Hour} {
			both[i] = storetest.Clocked{ClockedStore: storeclock.New(open(t, cfg), func() time.Duration { return off }), Off: off}
			cfg.Node = "gw2"
		}
		return both
	})
}

// TestWhatIsOverlookedGoesByTheClockOfTheDatabase, which is this machine's here, and not by that of who asks.
func TestWhatIsOverlookedGoesByTheClockOfTheDatabase(t *testing.T) {
	t.Parallel()
	s := open(t, fresh(t))
	defer s.Close()
	for n, due := range []time.Duration{-time.Minute, time.Minute} {
		sub := submission(t, s, n+1, []byte("x"))
		d := &sub.Deliveries[0]
		d.Due, d.NextHop = time.Now().Add(due), []string{"mx:due.test", "mx:later.test"}[n]
		if err := s.Accept(t.Context(), sub); err != nil {
			t.Fatal(err)
		}
	}
	sites, err := s.Overlooked(t.Context())
	if err != nil || len(sites) != 1 || sites[0] != "mx:due.test" {
		t.Errorf("%v, %v are overlooked", sites, err)
	}
}
