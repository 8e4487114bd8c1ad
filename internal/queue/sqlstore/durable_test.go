package sqlstore

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"postern/internal/mail"
	"postern/internal/operator/audit"
	"postern/internal/queue"
	"postern/internal/queue/spool"
	"postern/internal/queue/sqlite"
	"postern/internal/queue/wal"
)

// witness is the disk, with every call written down, and faults where they are asked for.
type witness struct {
	spool.OS
	mu    sync.Mutex
	calls []string
	fault map[string]error // by call, used up by the first
}

func (w *witness) note(call string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = append(w.calls, call)
	err := w.fault[call]
	delete(w.fault, call)
	return err
}

// take returns the calls since the last take.
func (w *witness) take() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := strings.Join(w.calls, ", ")
	w.calls = nil
	return out
}

func (w *witness) Create(path string) (spool.File, error) {
	if err := w.note("create body"); err != nil {
		return nil, err
	}
	f, err := w.OS.Create(path)
	return &witnessFile{f, w}, err
}

func (w *witness) SyncDir(path string) error {
	if filepath.Base(path) != "spool" {
		return w.OS.SyncDir(path)
	}
	return errors.Join(w.note("sync folder"), w.OS.SyncDir(path))
}

func (w *witness) Remove(path string) error {
	if err := w.note("remove body"); err != nil {
		return err
	}
	return w.OS.Remove(path)
}

type witnessFile struct {
	spool.File
	w *witness
}

func (f *witnessFile) Write(p []byte) (int, error) {
	if err := f.w.note("write body"); err != nil {
		return 0, err
	}
	return f.File.Write(p)
}

func (f *witnessFile) Sync() error { return errors.Join(f.w.note("sync body"), f.File.Sync()) }

// journalWitness is the disk of the journal, with its writes and syncs written down.
type journalWitness struct {
	wal.Disk
	w *witness
}

func (j *journalWitness) Create(path string) (wal.File, error) {
	f, err := j.Disk.Create(path)
	if filepath.Base(path) == "synced" {
		return f, err // on which nothing depends
	}
	return &journalFile{f, j.w}, err
}

type journalFile struct {
	wal.File
	w *witness
}

func (f *journalFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.w.note("write journal"); err != nil {
		return 0, err
	}
	return f.File.WriteAt(p, off)
}

func (f *journalFile) Sync() error { return errors.Join(f.w.note("sync journal"), f.File.Sync()) }

// watched opens a store whose file calls and commits go through a witness.
func watched(t *testing.T, dir string) (*Store, *witness) {
	t.Helper()
	w := &witness{fault: map[string]error{}}
	s, err := Open(t.Context(), Config{Dir: dir, SmallBody: 1000, disk: w, journalDisk: &journalWitness{Disk: wal.OS(), w: w}})
	if err != nil {
		t.Fatal(err)
	}
	w.take()
	commit := s.writer.commit
	s.writer.commit = func() error {
		if err := w.note("commit"); err != nil {
			return err
		}
		return commit()
	}
	return s, w
}

var testTime = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// message makes a submission with a body of n bytes to a@b.test.
func message(t *testing.T, s *Store, id queue.ID, n int) (*queue.Submission, error) {
	t.Helper()
	d, err := s.NewDraft(t.Context())
	if err != nil {
		return nil, err
	}
	to := queue.NewDelivery{NextHop: "mx:b.test"}
	to.Recipient.Address, to.Due, to.ExpiresAt = mail.MustAddress("a@b.test"), testTime, testTime.Add(time.Hour)
	sub := &queue.Submission{Message: queue.Message{ID: id, AcceptedAt: testTime}, Deliveries: []queue.NewDelivery{to}, Body: d}
	_, err = d.Write(bytes.Repeat([]byte(id[:1]), n))
	return sub, err
}

// put accepts a message; a refused one is discarded, as its owner would.
func put(t *testing.T, s *Store, id queue.ID, n int) error {
	t.Helper()
	sub, err := message(t, s, id, n)
	if err == nil {
		err = s.Accept(t.Context(), sub)
	}
	if sub != nil && err != nil {
		_ = sub.Body.Discard()
	}
	return err
}

// finish delivers what waits at mx:b.test, or only these messages.
func finish(t *testing.T, s *Store, only ...queue.ID) error {
	t.Helper()
	work, err := s.Claim(t.Context(), queue.Claim{Site: "mx:b.test", Now: testTime, Until: testTime.Add(time.Minute)})
	if err != nil {
		return err
	}
	for _, w := range work {
		if len(only) > 0 && !slices.Contains(only, w.Message.ID) {
			s.unlease([]queue.Lease{w.Lease})
			continue
		}
		st := queue.Settlement{Lease: w.Lease, State: queue.Delivered}
		if err := s.Settle(t.Context(), queue.Batch{Now: testTime, Settlements: []queue.Settlement{st}}); err != nil {
			return err
		}
	}
	return nil
}

// bounce fails what waits at mx:b.test, with a notice.
func bounce(t *testing.T, s *Store, notice queue.ID) error {
	t.Helper()
	work, err := s.Claim(t.Context(), queue.Claim{Site: "mx:b.test", Now: testTime, Until: testTime.Add(time.Minute)})
	if err != nil {
		return err
	}
	sub, err := message(t, s, notice, 50)
	if err != nil {
		return err
	}
	b := queue.Batch{Now: testTime, New: []*queue.Submission{sub}}
	for _, w := range work {
		b.Settlements = append(b.Settlements, queue.Settlement{Lease: w.Lease, State: queue.Failed})
	}
	return s.Settle(t.Context(), b)
}

// spooled counts body files.
func spooled(t *testing.T, s *Store) int {
	t.Helper()
	names, err := os.ReadDir(filepath.Join(s.cfg.Dir, "spool"))
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

func wantContent(t *testing.T, s *Store, id queue.ID, n int) {
	t.Helper()
	r, err := s.Open(t.Context(), id)
	if err != nil {
		t.Fatalf("message %s: %v", id, err)
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(got, bytes.Repeat([]byte(id[:1]), n)) {
		t.Errorf("message %s has another body (%d bytes, want %d; %v)", id, len(got), n, err)
	}
}

// TestTranscript is the order of file calls that G1 stands on. A lost sync is a lost word here.
func TestTranscript(t *testing.T) {
	s, w := watched(t, t.TempDir())
	defer s.Close()
	for _, tt := range []struct {
		name, want string
		run        func() error
	}{
		{"accept small", "write journal, sync journal", func() error { return put(t, s, "small", 1000) }},
		{"accept large", "create body, write body, write body, write body, sync body, sync folder, write journal, sync journal",
			func() error { return put(t, s, "large", 2500) }},
		{"claim and deliver one", "write journal, sync journal", func() error { return finish(t, s, "small") }},
		{"claim and deliver the other", "write journal, sync journal, remove body", func() error { return finish(t, s, "large") }},
		{"bring both into the database", "commit", func() error { return s.settleDown(t.Context()) }},
		{"accept, and fail with a notice", "write journal, sync journal, commit", func() error {
			return errors.Join(put(t, s, "fails", 100), bounce(t, s, "notice"))
		}},
		{"claim nothing", "", func() error {
			_, err := s.Claim(t.Context(), queue.Claim{Overdue: true, Now: testTime})
			return err
		}},
		{"discard large", "create body, write body, remove body", func() error {
			sub, err := message(t, s, "gone", 1500)
			if err != nil {
				return err
			}
			return sub.Body.Discard()
		}},
		{"accept what exists", "create body, write body, write body, sync body, sync folder, remove body", func() error {
			if put(t, s, "large", 1500) == nil {
				return errors.New("it was accepted")
			}
			return nil
		}},
	} {
		if err := tt.run(); err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if got := w.take(); got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, got, tt.want)
		}
	}
}

// TestFaults lets each file call fail once while a large message is accepted.
func TestFaults(t *testing.T) {
	for _, tt := range []struct {
		call  string
		fault error
		want  error // of the accept that met the fault; nil: any
		final bool  // the handle takes nothing more
	}{
		{"create body", syscall.ENOSPC, queue.ErrFull, false},
		{"create body", syscall.EIO, nil, false},
		{"write body", syscall.ENOSPC, queue.ErrFull, false},
		{"write body", syscall.EDQUOT, queue.ErrFull, false},
		{"write body", syscall.EIO, nil, false},
		{"sync body", syscall.ENOSPC, queue.ErrBroken, true},
		{"sync body", syscall.EIO, queue.ErrBroken, true},
		{"sync folder", syscall.EIO, queue.ErrBroken, true},
		{"sync folder", &fs.PathError{Op: "open", Path: "spool", Err: syscall.EMFILE}, nil, false},
		{"write journal", syscall.ENOSPC, queue.ErrFull, false},
		{"write journal", syscall.EIO, nil, false},
		{"sync journal", syscall.EIO, queue.ErrBroken, true},
	} {
		t.Run(fmt.Sprintf("%s, %v", tt.call, tt.fault), func(t *testing.T) {
			dir := t.TempDir()
			s, w := watched(t, dir)
			if err := put(t, s, "before", 2000); err != nil {
				t.Fatal(err)
			}
			w.fault[tt.call] = tt.fault
			err := put(t, s, "during", 2000)
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			if err := put(t, s, "after", 2000); errors.Is(err, queue.ErrBroken) != tt.final || err != nil && !tt.final {
				t.Errorf("the next message: %v; is the fault final: %v", err, tt.final)
			}
			if tt.final {
				wantBroken(t, s)
			} else if n := spooled(t, s); n != 2 {
				t.Errorf("%d body files for 2 messages", n)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, dir)
			defer s.Close()
			wantContent(t, s, "before", 2000)
			if n, want := spooled(t, s), map[bool]int{false: 2, true: 1}[tt.final]; n != want && tt.call != "sync journal" {
				t.Errorf("%d body files after opening again, want %d", n, want)
			}
			if err := put(t, s, "later", 2000); err != nil {
				t.Errorf("a message after opening again: %v", err)
			}
		})
	}
}

// wantBroken checks that a broken handle accepts and settles nothing.
func wantBroken(t *testing.T, s *Store) {
	t.Helper()
	_, draft := s.NewDraft(t.Context())
	_, claim := s.Claim(t.Context(), queue.Claim{Overdue: true, Now: testTime})
	_, act := s.Act(t.Context(), queue.Action{Kind: queue.Retry, Now: testTime})
	for name, err := range map[string]error{"NewDraft": draft, "Claim": claim, "Act": act,
		"Settle": s.Settle(t.Context(), queue.Batch{Now: testTime})} {
		if !errors.Is(err, queue.ErrBroken) {
			t.Errorf("%s of a broken store: %v, want ErrBroken", name, err)
		}
	}
}

// TestUnremovable: a body file that cannot be deleted spoils nothing and goes with a later purge.
func TestUnremovable(t *testing.T) {
	s, w := watched(t, t.TempDir())
	defer s.Close()
	if err := put(t, s, "large", 2000); err != nil {
		t.Fatal(err)
	}
	w.fault["remove body"] = syscall.EIO
	if err := finish(t, s); err != nil {
		t.Fatalf("delivering: %v", err)
	}
	sub, err := message(t, s, "writing", 2000)
	if err != nil || spooled(t, s) != 2 {
		t.Fatalf("%d body files, want the left over and the draft (%v)", spooled(t, s), err)
	}
	if _, err := s.Purge(t.Context(), testTime, 10); err != nil {
		t.Fatal(err)
	}
	if n := spooled(t, s); n != 1 {
		t.Errorf("%d body files after the purge, want the draft's", n)
	}
	if err := s.Accept(t.Context(), sub); err != nil {
		t.Fatal(err)
	}
	wantContent(t, s, "writing", 2000)
}

// TestFull fills the database: new mail is refused with ErrFull when the journal holds all it may, and until there is
// room again. What is queued goes on being delivered.
func TestFull(t *testing.T) {
	s, err := Open(t.Context(), Config{Dir: t.TempDir(), Young: 100 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	limit := func(pages string) {
		if err := s.do(t.Context(), 0, func(txn *txn) error { return txn.c.Script("PRAGMA max_page_count=" + pages) }); err != nil {
			t.Fatal(err)
		}
	}
	limit("60")
	stored := 0
	for err == nil && stored < 1000 {
		if err = put(t, s, queue.ID(fmt.Sprintf("m%d", stored)), 5000); err == nil {
			stored++
		}
	}
	if !errors.Is(err, queue.ErrFull) || stored == 0 {
		t.Fatalf("after %d messages: %v, want ErrFull", stored, err)
	}
	if err := finish(t, s); err != nil {
		t.Fatalf("delivering with a full disk: %v", err)
	}
	limit("100000")
	if err := s.settleDown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := put(t, s, "again", 5000); err != nil {
		t.Errorf("a message after room was made: %v", err)
	}
	st, err := s.Stats(t.Context())
	if err != nil || st.States[queue.Delivered] != int64(stored) || st.States[queue.Queued] != 1 {
		t.Errorf("Stats %+v (%v), want %d delivered and 1 queued", st, err, stored)
	}
}

// TestGroupIsolation: in one group of requests, those that cannot be done do not take others with them.
func TestGroupIsolation(t *testing.T) {
	s := open(t, t.TempDir())
	defer s.Close()
	var wg sync.WaitGroup
	errs := make([]error, 40)
	// The writer is kept busy so that the others meet in one group.
	busy, release := make(chan struct{}), make(chan struct{})
	wg.Go(func() {
		_ = s.do(t.Context(), 0, func(*txn) error {
			close(busy)
			<-release
			return nil
		})
	})
	<-busy
	for i := range errs {
		wg.Go(func() {
			if i%4 == 3 { // writes, then fails
				errs[i] = s.do(t.Context(), 0, func(t *txn) error {
					return errors.Join(t.Exec("DELETE FROM entry"), t.Exec("UPDATE totals SET queued = 999"), errors.New("on purpose"))
				})
				return
			}
			errs[i] = s.Append(t.Context(), audit.Entry{Action: fmt.Sprint(i)})
		})
	}
	for s.changes.Queued() < len(errs) {
		runtime.Gosched()
	}
	close(release)
	wg.Wait()
	for i, err := range errs {
		if (err != nil) != (i%4 == 3) {
			t.Errorf("request %d: %v", i, err)
		}
	}
	kept, err := s.Entries(t.Context(), 0, 100)
	if err != nil || len(kept) != 30 {
		t.Errorf("%d entries (%v), want 30", len(kept), err)
	}
	if st, err := s.Stats(t.Context()); err != nil || len(st.States) != 0 {
		t.Errorf("Stats %+v (%v), want nothing", st, err)
	}
}

func TestInUse(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if _, err := Open(t.Context(), Config{Dir: dir}); !errors.Is(err, queue.ErrInUse) {
		t.Errorf("a second handle: %v, want ErrInUse", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, dir).Close()
}

func TestOnlyForTheOwner(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir)
	defer s.Close()
	if err := put(t, s, "large", 100<<10); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		info, e := os.Stat(path)
		if err == nil && e == nil && info.IsDir() && info.Mode().Perm() != 0o700 {
			t.Errorf("%s has mode %v, want 0700", path, info.Mode().Perm())
		}
		return errors.Join(err, e)
	})
	if err != nil {
		t.Error(err)
	}
}

// TestAssertDurable: settings under which mail would be lost are refused.
func TestAssertDurable(t *testing.T) {
	for pragma, good := range map[string]bool{sqlite.SyncFull: true, "PRAGMA synchronous=EXTRA": true,
		"PRAGMA synchronous=NORMAL": false, "PRAGMA synchronous=OFF": false, "PRAGMA journal_mode=DELETE": false} {
		c, err := sqlite.Dial(filepath.Join(t.TempDir(), "x.db"), sqlite.WalMode, sqlite.SyncFull, pragma)
		if err != nil {
			t.Fatal(err)
		}
		if err := sqlite.AssertDurable(c); (err == nil) != good {
			t.Errorf("%s: %v", pragma, err)
		}
		c.Close()
	}
}

// crowded is a disk with so many free bytes of 1000 MiB.
type crowded struct {
	spool.OS
	free uint64
}

func (c *crowded) Space(string) (free, total uint64, err error) { return c.free, 1000 << 20, nil }

// TestReserve: new mail leaves room for what is in the queue to be delivered, recorded and answered for.
func TestReserve(t *testing.T) {
	disk := &crowded{free: 500 << 20}
	s, err := Open(t.Context(), Config{Dir: t.TempDir(), SmallBody: 1000, disk: disk})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := put(t, s, "before", 2000); err != nil {
		t.Fatal(err)
	}
	disk.free = 100 << 20
	time.Sleep(spool.RoomLasts + time.Millisecond)
	for _, size := range []int{10, 2000} {
		if err := put(t, s, "refused", size); !errors.Is(err, queue.ErrFull) {
			t.Errorf("a message of %d bytes: %v, want ErrFull", size, err)
		}
	}
	if n := spooled(t, s); n != 1 {
		t.Errorf("%d body files, want one", n)
	}
	notice, err := message(t, s, "notice", 2000)
	if err != nil {
		t.Fatal(err)
	}
	work, err := s.Claim(t.Context(), queue.Claim{Site: "mx:b.test", Now: testTime, Until: testTime.Add(time.Minute)})
	if err != nil || len(work) != 1 {
		t.Fatalf("claimed %d (%v)", len(work), err)
	}
	if err := s.Settle(t.Context(), queue.Batch{Now: testTime, New: []*queue.Submission{notice},
		Settlements: []queue.Settlement{{Lease: work[0].Lease, State: queue.Failed}}}); err != nil {
		t.Errorf("a delivery that failed, with its notice: %v", err)
	}
	disk.free = 500 << 20
	if err := put(t, s, "after", 2000); err != nil {
		t.Errorf("with room again: %v", err)
	}
}
