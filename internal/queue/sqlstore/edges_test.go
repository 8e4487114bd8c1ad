package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"postern/internal/queue"
	"postern/internal/queue/group"
	"postern/internal/queue/sqlite"
	"postern/internal/queue/young"
)

// TestReplayRefused: what the database does not take at start is not given up: the store does not open, and the journal
// stays.
func TestReplayRefused(t *testing.T) {
	for table, finished := range map[string]bool{"message": true, "body": false} {
		t.Run(table, func(t *testing.T) {
			s := still(t, t.TempDir())
			defer s.Close()
			if err := put(t, s, "m", 100); err != nil {
				t.Fatal(err)
			}
			if finished {
				if err := finish(t, s); err != nil {
					t.Fatal(err)
				}
			}
			dir := image(t, s)
			c, err := sqlite.Dial(filepath.Join(dir, "queue.db"), sqlite.WalMode, sqlite.SyncFull)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if err := c.Script("CREATE TRIGGER stop BEFORE INSERT ON " + table + " BEGIN SELECT RAISE(ABORT, 'no'); END"); err != nil {
				t.Fatal(err)
			}
			if s, err := Open(t.Context(), Config{Dir: dir}); err == nil {
				s.Close()
				t.Error("the store opened without the mail of the journal")
			}
			if err := c.Script("DROP TRIGGER stop"); err != nil {
				t.Fatal(err)
			}
			after := open(t, dir)
			defer after.Close()
			if got := recordsOf(t, after); len(got) != 1 {
				t.Errorf("%d records, want the one that was accepted", len(got))
			}
		})
	}
}

// TestBrokenClaimsNothing: what is young is not given out by a store that can no longer settle it, or it would be sent
// again and again.
func TestBrokenClaimsNothing(t *testing.T) {
	s, w := watched(t, t.TempDir())
	defer s.Close()
	if err := put(t, s, "m", 100); err != nil {
		t.Fatal(err)
	}
	if err := finish(t, s, "none"); err != nil { // the site is known to be calm now
		t.Fatal(err)
	}
	w.fault["sync journal"] = errors.New("no")
	if err := put(t, s, "n", 100); !errors.Is(err, queue.ErrBroken) {
		t.Fatalf("accepting: %v", err)
	}
	work, err := s.Claim(t.Context(), queue.Claim{Site: "mx:b.test", Now: testTime, Until: testTime.Add(time.Hour)})
	if !errors.Is(err, queue.ErrBroken) || len(work) > 0 {
		t.Errorf("claimed %d (%v), want ErrBroken", len(work), err)
	}
}

// TestCalmIsUndone: a transaction that is undone takes back what was noted of a site in it.
func TestCalmIsUndone(t *testing.T) {
	s := still(t, t.TempDir())
	defer s.Close()
	if err := errors.Join(put(t, s, "m", 100), s.settleDown(t.Context())); err != nil {
		t.Fatal(err)
	}
	busy, release := make(chan struct{}), make(chan struct{})
	changes := []group.Change[*txn]{
		func(*txn) error { close(busy); <-release; return nil },
		func(t *txn) error { return t.Exec("UPDATE delivery SET state = 5") },
		func(t *txn) error { _, err := t.look("mx:b.test"); return err },
		func(t *txn) error { return errors.Join(t.Exec("DELETE FROM entry"), errors.New("no room")) },
	}
	change := changes[1]
	once := 0
	changes[1] = func(t *txn) error {
		if once++; once > 1 {
			return errors.New("no room")
		}
		return change(t)
	}
	changes[2] = func(look func(*txn) error) func(*txn) error {
		first := true
		return func(t *txn) error {
			if !first {
				return nil
			}
			first = false
			return look(t)
		}
	}(changes[2])
	var wg sync.WaitGroup
	for i, change := range changes { // in this order
		wg.Go(func() { _ = s.do(t.Context(), 0, change) })
		if i == 0 {
			<-busy
		}
		for s.changes.Queued() < i {
			runtime.Gosched()
		}
	}
	close(release)
	wg.Wait()
	if work := claimAll(t, s); len(work) != 1 {
		t.Errorf("claimed %d, want the one whose end was undone", len(work))
	}
}

// TestJournalIsGivenUp: the journal does not grow although nothing is left in it at any time.
func TestJournalIsGivenUp(t *testing.T) {
	s, err := Open(t.Context(), Config{Dir: t.TempDir(), SmallBody: 16 << 20, Young: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i := range 14 {
		if err := errors.Join(put(t, s, queue.ID(fmt.Sprintf("m%02d", i)), 12<<20), finish(t, s), s.settleDown(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	files, err := os.ReadDir(filepath.Join(s.cfg.Dir, "journal"))
	if err != nil || len(files) > 4 {
		t.Errorf("%d segments for no mail at all (%v)", len(files), err)
	}
}

// TestLargeBodiesKeepNoBuffer: what is in a file is not in memory too.
func TestLargeBodiesKeepNoBuffer(t *testing.T) {
	s := still(t, t.TempDir())
	defer s.Close()
	if err := put(t, s, "large", 200<<10); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := cap(s.young.Get("large").Body.Data); n > 0 {
		t.Errorf("%d bytes are held besides the file", n)
	}
}

// TestImpatientReader: whoever gives up waiting for the database does not make it look full to others.
func TestImpatientReader(t *testing.T) {
	s := still(t, t.TempDir())
	defer s.Close()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for i := 0; ; i++ {
		if err := put(t, s, queue.ID(fmt.Sprintf("m%02d", i)), 10); err != nil {
			t.Fatal(err)
		}
		if s.settleDown(gone) != nil {
			break
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.young.Stuck != nil {
		t.Errorf("new mail would be refused with %v", s.young.Stuck)
	}
}

// TestExtendOrClaim: a lease that ran out is prolonged or claimed by another, never both (G4).
func TestExtendOrClaim(t *testing.T) {
	s := still(t, t.TempDir())
	defer s.Close()
	if err := put(t, s, "m", 10); err != nil {
		t.Fatal(err)
	}
	now := testTime
	claim := func() []queue.Work {
		work, err := s.Claim(t.Context(), queue.Claim{Site: "mx:b.test", Now: now, Until: now.Add(time.Second)})
		if err != nil {
			t.Error(err)
		}
		return work
	}
	work := claim()
	for range 3000 {
		now = now.Add(time.Minute)
		var extended error
		var claimed []queue.Work
		var wg sync.WaitGroup
		wg.Go(func() { extended = s.Extend(t.Context(), []queue.Lease{work[0].Lease}, now.Add(time.Second)) })
		wg.Go(func() {
			runtime.Gosched()
			claimed = claim()
		})
		wg.Wait()
		if (extended == nil) == (len(claimed) == 1) {
			t.Fatalf("prolonged: %v, claimed by another: %d", extended, len(claimed))
		}
		if len(claimed) == 1 {
			work = claimed
		}
	}
}

// TestOneID: an ID is taken once, by mail that comes in or by a notice, whichever is first.
func TestOneID(t *testing.T) {
	s := still(t, t.TempDir())
	defer s.Close()
	commit := s.writer.commit
	committing, release := make(chan struct{}), make(chan struct{})
	s.writer.commit = func() error {
		s.writer.commit = commit
		close(committing)
		<-release
		return commit()
	}
	notice, err := message(t, s, "same", 10)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var settled error
	wg.Go(func() { settled = s.Settle(t.Context(), queue.Batch{Now: testTime, New: []*queue.Submission{notice}}) })
	<-committing
	accepted := put(t, s, "same", 20)
	close(release)
	wg.Wait()
	if settled != nil || accepted == nil {
		t.Errorf("the notice: %v; the mail: %v; want only the notice", settled, accepted)
	}
	if err := s.settleDown(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestWaitingClaimHoldsNothing: a claim that waits for mail on its way into the database holds no leases meanwhile:
// they could run out before its worker knows of them.
func TestWaitingClaimHoldsNothing(t *testing.T) {
	s := still(t, t.TempDir())
	defer s.Close()
	if err := errors.Join(put(t, s, "stored1", 10), put(t, s, "stored2", 10), s.settleDown(t.Context()), put(t, s, "young", 10)); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	moving := s.young.Take(func(*young.Message) bool { return true })
	s.mu.Unlock()
	claim := func(at time.Duration, limit int) []queue.Work {
		work, err := s.Claim(t.Context(), queue.Claim{Site: "mx:b.test", Now: testTime.Add(at), Until: testTime.Add(at + time.Second), Limit: limit})
		if err != nil {
			t.Error(err)
		}
		return work
	}
	s.mu.Lock()
	token := s.lastToken
	s.mu.Unlock()
	var first []queue.Work
	var wg sync.WaitGroup
	wg.Go(func() { first = claim(0, 10) })
	for waits := false; !waits; { // until it has been to the database and waits
		s.mu.Lock()
		waits = s.lastToken >= token+2
		s.mu.Unlock()
		time.Sleep(time.Millisecond)
	}
	second := claim(2*time.Second, 1)
	s.mu.Lock()
	s.young.Thaw(moving)
	s.cond.Broadcast()
	s.mu.Unlock()
	wg.Wait()
	if len(second) != 1 || len(first) != 2 {
		t.Errorf("claimed %d and %d, want 1 and the other 2", len(second), len(first))
	}
	for _, w := range first {
		if len(second) == 1 && w.ID == second[0].ID {
			t.Errorf("%s was claimed by two", w.Message.ID)
		}
	}
}
