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

// TestTheClockOfTheDatabaseIsHeard: it runs on this machine, so that the two agree. What becomes of mail where they do
// not is told by TestClocksThatDiffer, and by test/cluster.
func TestTheClockOfTheDatabaseIsHeard(t *testing.T) {
	t.Parallel()
	s := open(t, fresh(t))
	defer s.Close()
	r := registry(t, s)
	if err := r.Hear(t.Context()); err != nil || r.Ahead() != 0 {
		t.Errorf("%v ahead of the database on the same machine, %v", r.Ahead(), err)
	}
	joins(t, r, "gw1", time.Minute)
	if by := r.Ahead(); by != 0 {
		t.Errorf("%v ahead after a renewal", by)
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
