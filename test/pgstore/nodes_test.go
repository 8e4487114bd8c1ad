package pgstore

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"postern/internal/gateway/nodes"
	"postern/internal/lab/testkit/nodeboard"
	"postern/internal/operator/audit"
	"postern/internal/queue"
	"postern/internal/queue/pgnodes"
	store "postern/internal/queue/pgstore"
	"postern/internal/queue/postgres"
)

// registry is where the gateways of a store meet.
func registry(t testing.TB, s *store.Store) *pgnodes.Registry {
	r := s.Nodes()
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func TestRegistry(t *testing.T) {
	t.Parallel()
	s := open(t, fresh(t))
	defer s.Close()
	nodeboard.Conform(t, registry(t, s), time.Sleep, func(revision int64) {
		r, err := s.AppendRules(context.Background(), "# none\n", audit.Entry{At: begin, By: "test", Action: "rules apply"})
		if err != nil || r.Number != revision {
			t.Errorf("revision %d, %v", r.Number, err)
		}
	})
}

func joins(t testing.TB, r *pgnodes.Registry, session string, lease time.Duration) {
	t.Helper()
	if _, err := r.Renew(t.Context(), nodes.Report{Session: session, Name: session, Lease: lease, Anew: true}); err != nil {
		t.Fatal(err)
	}
}

// TestMailIsAcceptedUnderALeaseOnly: before it begins, and after it has ended, nothing is stored.
func TestMailIsAcceptedUnderALeaseOnly(t *testing.T) {
	t.Parallel()
	cfg := fresh(t)
	cfg.Session = "gw1"
	s := open(t, cfg)
	defer s.Close()
	r := registry(t, s)
	accept := func(n int) error {
		sub := submission(t, s, n, []byte("x\r\n"))
		defer sub.Body.Discard()
		return s.Accept(t.Context(), sub)
	}
	if err := accept(1); !errors.Is(err, store.ErrNoLease) {
		t.Errorf("before it joined: %v", err)
	}
	joins(t, r, "gw1", time.Minute)
	if err := accept(2); err != nil {
		t.Errorf("under a lease: %v", err)
	}
	joins(t, r, "gw2", time.Minute)
	if err := r.Leave(t.Context(), "gw1"); err != nil {
		t.Fatal(err)
	}
	if err := accept(3); !errors.Is(err, store.ErrNoLease) {
		t.Errorf("after it ended, while another's runs: %v", err)
	}
	if got := states(t, s); got[1] != 1 {
		t.Errorf("%v are stored, want one", got)
	}
}

// TestWhoHearsThatALeaseHasEndedHasWaitedForItsMail: a transaction that found the lease running is over when somebody
// is told that it has ended, however long it stood still.
func TestWhoHearsThatALeaseHasEndedHasWaitedForItsMail(t *testing.T) {
	t.Parallel()
	cfg := fresh(t)
	s := open(t, cfg)
	defer s.Close()
	r := registry(t, s)
	joins(t, r, "gw1", time.Second)
	parsed, err := postgres.Parse(cfg.URL, cfg.Schema, 1)
	if err != nil {
		t.Fatal(err)
	}
	c, err := postgres.Dial(t.Context(), parsed)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Script(t.Context(), "BEGIN"); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Change(t.Context(), pgnodes.Fence, "gw1"); n != 1 || err != nil {
		t.Fatalf("%d rows, %v", n, err)
	}
	if err := r.Leave(t.Context(), "gw1"); err != nil { // renewing and leaving do not wait for it
		t.Fatal(err)
	}
	var over atomic.Bool
	told := make(chan bool)
	go func() {
		roll, err := r.Nodes(context.Background())
		told <- err == nil && len(roll.Nodes) == 1 && roll.Nodes[0].StateAt(roll.Now) == nodes.Gone && over.Load()
	}()
	time.Sleep(100 * time.Millisecond)
	over.Store(true)
	if err := c.Script(t.Context(), "COMMIT"); err != nil {
		t.Fatal(err)
	}
	if !<-told {
		t.Error("it was told before the transaction was over, or not that the lease has ended")
	}
}

// TestListening: what one gateway raises or drops is heard by another.
func TestListening(t *testing.T) {
	t.Parallel()
	s := open(t, fresh(t))
	defer s.Close()
	r, other := registry(t, s), registry(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	heard, ended := make(chan struct{}, 10), make(chan struct{})
	go func() { defer close(ended); r.Listen(ctx, func() { heard <- struct{}{} }) }()
	<-heard // it listens
	if err := other.Raise(t.Context(), nodes.Mark{Number: 7}); err != nil {
		t.Fatal(err)
	}
	<-heard
	if _, err := other.Take(t.Context(), nodes.Turn{Name: "site x", Session: "a", For: time.Minute}); err != nil {
		t.Fatal(err)
	}
	if err := other.Drop(t.Context(), "site x"); err != nil {
		t.Fatal(err)
	}
	<-heard
	cancel()
	<-ended
}

// TestLeasesAreReckonedByOneClock: a gateway whose clock is wrong by an hour neither takes what another has leased nor
// keeps it for longer than it said.
func TestLeasesAreReckonedByOneClock(t *testing.T) {
	t.Parallel()
	for name, wrong := range map[string]time.Duration{"fast": time.Hour, "slow": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			right := fresh(t)
			other := right
			other.Ahead = func() time.Duration { return -wrong }
			a, b := open(t, right), open(t, other)
			defer a.Close()
			defer b.Close()
			sub := submission(t, a, 1, []byte("x\r\n"))
			sub.Deliveries[0].Due = begin.Add(-2 * time.Hour) // due by every clock
			if err := a.Accept(t.Context(), sub); err != nil {
				t.Fatal(err)
			}
			id := sub.Deliveries[0].ID
			takes := func(s *store.Store, now time.Time) int {
				t.Helper()
				work, err := s.Claim(t.Context(), queue.Claim{IDs: []queue.DeliveryID{id}, Now: now, Until: now.Add(time.Minute)})
				if err != nil {
					t.Fatal(err)
				}
				return len(work)
			}
			at := begin
			for _, step := range []struct {
				what string
				by   *store.Store
				off  time.Duration
				wait time.Duration
				n    int
			}{
				{"the wrong clock takes it", b, wrong, 0, 1},
				{"the right one does not, half a minute later", a, 0, 30 * time.Second, 0},
				{"nor the wrong one", b, wrong, 0, 0},
				{"when the minute is over the right one does", a, 0, 31 * time.Second, 1},
				{"and the wrong one does not", b, wrong, 30 * time.Second, 0},
				{"before that minute is over", b, wrong, 31 * time.Second, 1},
			} {
				at = at.Add(step.wait)
				if n := takes(step.by, at.Add(step.off)); n != step.n {
					t.Errorf("%s: %d", step.what, n)
				}
			}
		})
	}
}
