package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"postern/internal/queue"
	"postern/internal/queue/sqlite"
)

// TestLockedDatabase: while another program has the database locked for writing, mail is accepted, claimed, read,
// delivered and settled, beside somebody who wants it all in the database; what needs the database waits, and is done
// afterwards.
func TestLockedDatabase(t *testing.T) {
	s := opened(t, Config{Dir: t.TempDir(), still: true})
	defer s.Close()
	if err := errors.Join(put(t, s, "stored", 100), s.settleDown(t.Context()), put(t, s, "young", 100)); err != nil {
		t.Fatal(err)
	}
	other, err := sqlite.Dial(s.file(), "BEGIN IMMEDIATE")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	ctx, stop := context.WithTimeout(t.Context(), 8*time.Second) // less than a single wait for the lock was
	defer stop()
	var group sync.WaitGroup
	defer group.Wait()
	group.Go(func() {
		for ctx.Err() == nil {
			_ = s.settleDown(ctx) // it cannot
		}
	})
	var waiting []queue.Work
	for i := range 30 {
		id := queue.ID(fmt.Sprintf("m%d", i))
		if err := put(t, s, id, 100); err != nil {
			t.Fatal(err)
		}
		work, err := s.Claim(ctx, queue.Claim{Site: "mx:b.test", Now: testTime, Until: testTime.Add(time.Hour), Limit: 1 + i%2})
		if err != nil {
			t.Fatalf("after %d messages: %v", i, err)
		}
		for _, w := range work {
			if w.Message.ID == "stored" {
				waiting = append(waiting, w)
				continue
			}
			body, err := s.Open(ctx, w.Message.ID)
			if err == nil {
				err = errors.Join(body.Close(), s.Extend(ctx, []queue.Lease{w.Lease}, testTime.Add(2*time.Hour)),
					s.Settle(ctx, queue.Batch{Now: testTime, Settlements: []queue.Settlement{{Lease: w.Lease, State: queue.Delivered}}}))
			}
			if err != nil {
				t.Fatalf("%s: %v", w.Message.ID, err)
			}
		}
	}
	if ctx.Err() != nil {
		t.Fatal("sending waited for the lock")
	}
	if len(waiting) != 1 {
		t.Fatalf("of what is stored %d were claimed", len(waiting))
	}
	stop()
	settled := make(chan error, 1)
	group.Go(func() {
		settled <- s.Settle(t.Context(), queue.Batch{Now: testTime, Settlements: []queue.Settlement{{Lease: waiting[0].Lease, State: queue.Delivered}}})
	})
	select {
	case err := <-settled:
		t.Errorf("what needs the database was done without it: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	if err := other.Script("ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if err := <-settled; err != nil {
		t.Errorf("after the lock was given up: %v", err)
	}
	if got := recordsOf(t, s); len(got) != 32 || got["stored"].State != queue.Delivered {
		t.Errorf("%d records; what was stored is %v", len(got), got["stored"].State)
	}
}

// TestImpatience: a lock that stays is told of in the end, and nothing is left half done.
func TestImpatience(t *testing.T) {
	s := opened(t, Config{Dir: t.TempDir(), still: true})
	defer s.Close()
	other, err := sqlite.Dial(s.file(), "BEGIN IMMEDIATE")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := put(t, s, "m", 100); err != nil {
		t.Fatal(err)
	}
	err = s.doWithin(t.Context(), 50*time.Millisecond, 0, func(t *txn) error { return t.Exec("UPDATE totals SET run = run") })
	if sqlite.Primary(err) != sqlite.Busy {
		t.Errorf("%v, want that the database is locked", err)
	}
	if err := other.Script("ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if got := recordsOf(t, s); got["m"].State != queue.Queued {
		t.Errorf("%+v", got)
	}
}
