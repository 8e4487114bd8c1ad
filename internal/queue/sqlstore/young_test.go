package sqlstore

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"postern/internal/attempt"
	"postern/internal/policy"
	"postern/internal/queue"
	"postern/internal/queue/sqlite"
	"postern/internal/queue/young"
)

// still opens a store whose mover moves nothing by itself.
func still(t *testing.T, dir string) *Store {
	t.Helper()
	return opened(t, Config{Dir: dir, still: true})
}

// image copies a data folder as it is at this moment: what a kill would leave.
func image(t *testing.T, s *Store) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "image")
	if out, err := exec.Command("cp", "-a", s.cfg.Dir, to).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return to
}

// recordsOf lists every delivery by the ID of its message.
func recordsOf(t *testing.T, s *Store) map[queue.ID]queue.Record {
	t.Helper()
	out := map[queue.ID]queue.Record{}
	for r, err := range s.List(t.Context(), queue.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		if _, twice := out[r.Message.ID]; twice {
			t.Errorf("G2: %s has two records", r.Message.ID)
		}
		out[r.Message.ID] = r
	}
	return out
}

func claimAll(t *testing.T, s *Store) []queue.Work {
	t.Helper()
	work, err := s.Claim(t.Context(), queue.Claim{Site: "mx:b.test", Now: testTime, Until: testTime.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	return work
}

// TestJournalOutlives: what was accepted and delivered is there after a crash, in whichever of the two places it was.
func TestJournalOutlives(t *testing.T) {
	s := still(t, t.TempDir())
	defer s.Close()
	if err := errors.Join(put(t, s, "moved-waits", 500), put(t, s, "moved-done", 500), finish(t, s, "moved-done"),
		s.settleDown(t.Context()), put(t, s, "waits", 500), put(t, s, "large-waits", 200<<10), put(t, s, "done", 500),
		put(t, s, "large-done", 200<<10)); err != nil {
		t.Fatal(err)
	}
	a := &attempt.Attempt{At: testTime, Tries: []attempt.Try{{Host: "mx.b.test", Used: true}}}
	for _, w := range claimAll(t, s) {
		if w.Message.ID == "done" || w.Message.ID == "large-done" {
			err := s.Settle(t.Context(), queue.Batch{Now: testTime, Settlements: []queue.Settlement{{Lease: w.Lease,
				State: queue.Delivered, Attempt: a, Reached: policy.Encrypted, Reason: policy.CertExpired}}})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 2 {
		after := open(t, image(t, s))
		got := recordsOf(t, after)
		for id, want := range map[queue.ID]queue.State{"moved-waits": queue.Queued, "moved-done": queue.Delivered,
			"waits": queue.Queued, "large-waits": queue.Queued, "done": queue.Delivered, "large-done": queue.Delivered} {
			if got[id].State != want {
				t.Errorf("%s is %s, want %s", id, got[id].State, want)
			}
		}
		if r := got["done"]; len(got) != 6 || r.Attempts != 1 || len(r.History) != 1 || r.History[0].Tries[0].Host != "mx.b.test" ||
			r.Reached != policy.Encrypted || r.Reason != policy.CertExpired || !r.FinishedAt.Equal(testTime) {
			t.Errorf("%d records; of what was delivered: %+v", len(got), r.Delivery)
		}
		wantContent(t, after, "waits", 500)
		wantContent(t, after, "large-waits", 200<<10)
		if n := spooled(t, after); n != 1 {
			t.Errorf("%d body files, want that of the one that waits", n)
		}
		if err := put(t, after, "waits", 10); err == nil {
			t.Error("an ID of the journal was taken twice")
		}
		if err := after.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPurgedStaysPurged: what was purged does not come back from a journal that still tells of it.
func TestPurgedStaysPurged(t *testing.T) {
	s := still(t, t.TempDir())
	defer s.Close()
	if err := errors.Join(put(t, s, "first", 100), put(t, s, "second", 100), finish(t, s, "second")); err != nil {
		t.Fatal(err)
	}
	before := image(t, s)
	if n, err := s.Purge(t.Context(), testTime.Add(time.Hour), 10); err != nil || n != 1 {
		t.Fatalf("purged %d, %v", n, err)
	}
	after := image(t, s) // with the journal of before: the worst case
	if err := errors.Join(os.RemoveAll(filepath.Join(after, "journal")),
		os.Rename(filepath.Join(before, "journal"), filepath.Join(after, "journal"))); err != nil {
		t.Fatal(err)
	}
	again := open(t, after)
	defer again.Close()
	if got := recordsOf(t, again); len(got) != 1 || got["first"].State != queue.Queued {
		t.Errorf("records after the crash: %v, want the one that waits", got)
	}
}

// TestReplayStops: a crash while the journal is brought into the database loses nothing: it is read again, from where
// the database says it was.
func TestReplayStops(t *testing.T) {
	s := still(t, t.TempDir())
	const many = 2*young.Chunk + 10
	for i := range many {
		if err := put(t, s, queue.ID(fmt.Sprintf("m%04d", i)), 10); err != nil {
			t.Fatal(err)
		}
	}
	dir := image(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	saved := filepath.Join(t.TempDir(), "journal")
	copyDir := func(from, to string) {
		t.Helper()
		if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	copyDir(filepath.Join(dir, "journal"), saved)
	// A trigger stops the second chunk of the first try.
	c, err := sqlite.Dial(filepath.Join(dir, "queue.db"), sqlite.WalMode, sqlite.SyncFull)
	if err != nil {
		t.Fatal(err)
	}
	stop := fmt.Sprintf("CREATE TRIGGER stop BEFORE INSERT ON message WHEN new.seq > %d BEGIN SELECT RAISE(ABORT, 'power'); END", young.Chunk+5)
	if err := c.Script(stop); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Config{Dir: dir}); err == nil {
		t.Fatal("the store opened")
	}
	applied, err := c.Number(t.Context(), "SELECT applied FROM totals")
	if err != nil || applied != young.Chunk {
		t.Errorf("applied is %d (%v), want the first chunk", applied, err)
	}
	if err := errors.Join(c.Script("DROP TRIGGER stop"), c.Close()); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time with a journal that ought to be gone
		again := open(t, dir)
		if got := recordsOf(t, again); len(got) != many {
			t.Errorf("%d records, want %d", len(got), many)
		}
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
		copyDir(saved, dir)
	}
}

// TestMovedWhileClaimed: a delivery that moves into the database while a worker has it settles all the same, in every
// way.
func TestMovedWhileClaimed(t *testing.T) {
	for name, st := range map[string]queue.Settlement{
		"delivered": {State: queue.Delivered},
		"failed":    {State: queue.Failed},
		"deferred":  {State: queue.Queued, Due: testTime.Add(time.Hour)},
	} {
		t.Run(name, func(t *testing.T) {
			s := still(t, t.TempDir())
			defer s.Close()
			if err := put(t, s, "m", 200<<10); err != nil {
				t.Fatal(err)
			}
			work := claimAll(t, s)
			if err := s.settleDown(t.Context()); err != nil || len(work) != 1 {
				t.Fatalf("claimed %d, %v", len(work), err)
			}
			if again := claimAll(t, s); len(again) > 0 {
				t.Fatal("the move lost the lease")
			}
			st.Lease = work[0].Lease
			if err := s.Settle(t.Context(), queue.Batch{Now: testTime, Settlements: []queue.Settlement{st}}); err != nil {
				t.Fatal(err)
			}
			if got := recordsOf(t, s)["m"]; got.State != st.State {
				t.Errorf("it is %s", got.State)
			}
			if n, want := spooled(t, s), map[bool]int{true: 1}[st.State.Waiting()]; n != want {
				t.Errorf("%d body files, want %d", n, want)
			}
		})
	}
}

// TestNothingIsMissed: while mail moves into the database all the time, every delivery is claimed once, and a claim
// that finds nothing after everything was accepted leaves nothing behind.
func TestNothingIsMissed(t *testing.T) {
	s := open(t, t.TempDir())
	defer s.Close()
	const many = 600
	var accepts, movers, workers sync.WaitGroup
	stop, accepted := make(chan struct{}), make(chan struct{})
	for g := range 3 {
		accepts.Go(func() {
			for i := range many / 3 {
				if err := put(t, s, queue.ID(fmt.Sprintf("m%d-%05d", g, i)), 10); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	movers.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				if err := s.settleDown(t.Context()); err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	var mu sync.Mutex
	claimed := map[queue.ID]int{}
	serve := func() int {
		work, err := s.Claim(t.Context(), queue.Claim{Site: "mx:b.test", Now: testTime, Until: testTime.Add(time.Hour), Limit: 7})
		if err != nil {
			t.Error(err)
		}
		b := queue.Batch{Now: testTime}
		for i, w := range work {
			mu.Lock()
			claimed[w.Message.ID]++
			mu.Unlock()
			st := queue.Settlement{Lease: w.Lease, State: queue.Delivered}
			if i%5 == 4 {
				st.State = queue.Failed
			}
			b.Settlements = append(b.Settlements, st)
		}
		if err := s.Settle(t.Context(), b); err != nil {
			t.Error(err)
		}
		return len(work)
	}
	for range 3 {
		workers.Go(func() {
			for last := false; ; {
				if serve() == 0 && last {
					return
				}
				select {
				case <-accepted:
					last = true
				default:
				}
			}
		})
	}
	accepts.Wait()
	close(accepted)
	workers.Wait()
	close(stop)
	movers.Wait()
	for id, n := range claimed {
		if n != 1 {
			t.Errorf("%s was claimed %d times", id, n)
		}
	}
	st, err := s.Stats(t.Context())
	if err != nil || len(claimed) != many || st.States[queue.Delivered]+st.States[queue.Failed] != many {
		t.Errorf("%d of %d claimed; Stats %+v (%v)", len(claimed), many, st, err)
	}
}

// TestYoungIsBounded: mail that nobody takes does not pile up in memory, and the journal does not grow without end.
func TestYoungIsBounded(t *testing.T) {
	const most, many, size = 256 << 10, 600, 5000
	s, err := Open(t.Context(), Config{Dir: t.TempDir(), Young: most})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i := range many {
		if err := put(t, s, queue.ID(fmt.Sprintf("m%04d", i)), size); err != nil {
			t.Fatal(err)
		}
		s.mu.Lock()
		over := s.young.Overfull(most + size)
		s.mu.Unlock()
		if over {
			t.Fatalf("more than twice %d bytes are held after %d messages", most, i+1)
		}
	}
	if got := recordsOf(t, s); len(got) != many {
		t.Errorf("%d records, want %d", len(got), many)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if states, bytes := s.young.Counts(); !s.young.Empty() || s.young.Due(0) || states != [6]int64{} || bytes != 0 {
		t.Errorf("nothing is young any more, and this is left: %+v", s.young)
	}
}
