package sqlstore

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/queue"
)

// The test binary is its own victim: with one of these set it works on the store in that folder until it is killed.
const (
	victimDir = "POSTERN_SQLSTORE_VICTIM" // accept, claim and settle until killed
	cappedDir = "POSTERN_SQLSTORE_CAPPED" // accept until files may not grow any more
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(victimDir); dir != "" {
		victim(dir)
	}
	if dir := os.Getenv(cappedDir); dir != "" {
		capped(dir)
	}
	os.Exit(m.Run())
}

// victim reports on standard output, one line for each thing that happened after it was acknowledged:
//
//	accepted ID SIZE
//	settled ID STATE
func victim(dir string) {
	s, err := Open(context.Background(), Config{Dir: dir, SmallBody: 2000})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				if err := crashAccept(s); err != nil {
					fmt.Println("error", err)
					return
				}
			}
		})
	}
	for range 3 {
		wg.Go(func() {
			for {
				if err := crashServe(s); err != nil {
					fmt.Println("error", err)
					return
				}
			}
		})
	}
	wg.Wait()
	os.Exit(1)
}

// crashBody is a body that its ID and size tell.
func crashBody(id queue.ID, n int) []byte { return bytes.Repeat([]byte(id+"\n"), n/17+1)[:n] }

func crashSubmission(s *Store, site string, n int) (*queue.Submission, error) {
	now := time.Now()
	id := queue.NewID(now, rand.Uint32())
	d, err := s.NewDraft(context.Background())
	if err != nil {
		return nil, err
	}
	if _, err := d.Write(crashBody(id, n)); err != nil {
		return nil, err
	}
	to := queue.NewDelivery{NextHop: site}
	to.Recipient.Address, to.Due, to.ExpiresAt = mail.MustAddress("a@b.test"), now, now.Add(time.Hour)
	return &queue.Submission{Message: queue.Message{ID: id, AcceptedAt: now}, Deliveries: []queue.NewDelivery{to}, Body: d}, nil
}

func crashAccept(s *Store) error {
	sub, err := crashSubmission(s, fmt.Sprintf("mx:%d.test", rand.IntN(3)), rand.IntN(5000))
	if err != nil {
		return err
	}
	if err := s.Accept(context.Background(), sub); err != nil {
		return err
	}
	fmt.Println("accepted", sub.Message.ID, sub.Message.Size)
	return nil
}

// crashServe takes some mail and delivers, fails with a DSN, or defers it.
func crashServe(s *Store) error {
	now := time.Now()
	work, err := s.Claim(context.Background(), queue.Claim{Site: queue.SiteKey(fmt.Sprintf("mx:%d.test", rand.IntN(3))),
		Now: now, Until: now.Add(time.Minute), Limit: 5})
	if err != nil {
		return err
	}
	for _, w := range work {
		st := queue.Settlement{Lease: w.Lease, Attempt: benchAttempt(now), Reached: policy.Encrypted}
		b := queue.Batch{Now: now}
		switch st.State = []queue.State{queue.Delivered, queue.Failed, queue.Queued}[rand.IntN(3)]; st.State {
		case queue.Failed:
			dsn, err := crashSubmission(s, "mx:sender.test", rand.IntN(4000))
			if err != nil {
				return err
			}
			dsn.Message.Kind, dsn.Message.About = queue.DSN, w.Message.ID
			b.New = append(b.New, dsn)
		case queue.Queued:
			st.Due = now.Add(20 * time.Millisecond)
		}
		b.Settlements = append(b.Settlements, st)
		if err := s.Settle(context.Background(), b); err != nil {
			return err
		}
		fmt.Println("settled", w.Message.ID, st.State)
	}
	return nil
}

// TestKilled kills the victim a dozen times at random moments and checks after each what it had acknowledged.
func TestKilled(t *testing.T) {
	rounds := 12
	if testing.Short() {
		rounds = 3
	}
	dir, acked := t.TempDir(), acknowledged{size: map[queue.ID]int{}, ended: map[queue.ID]string{}}
	for round := range rounds {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), victimDir+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := 1 + rand.IntN(200)
		acked.read(t, out, func() {
			if lines--; lines == 0 {
				if err := cmd.Process.Kill(); err != nil {
					t.Error(err)
				}
			}
		})
		_ = cmd.Wait() // always "killed"
		acked.check(t, dir)
		if t.Failed() {
			t.Fatalf("round %d", round)
		}
	}
	if len(acked.size) == 0 || len(acked.ended) == 0 {
		t.Fatalf("the victim acknowledged %d messages and %d ends: too slow to prove anything", len(acked.size), len(acked.ended))
	}
	t.Logf("%d messages and %d ends were acknowledged over %d kills", len(acked.size), len(acked.ended), rounds)
}

// acknowledged is what victims have said.
type acknowledged struct {
	size  map[queue.ID]int
	ended map[queue.ID]string
}

// read takes complete lines to the end and calls each after every one; the last line may be torn by the kill.
func (a *acknowledged) read(t *testing.T, out io.Reader, each func()) {
	r := bufio.NewReader(out)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		var id queue.ID
		var size int
		var state string
		if n, _ := fmt.Sscanf(line, "accepted %s %d", &id, &size); n == 2 {
			a.size[id] = size
		} else if n, _ := fmt.Sscanf(line, "settled %s %s", &id, &state); n == 2 {
			if state != "queued" {
				a.ended[id] = state
			}
		} else {
			t.Errorf("the victim says %q", line)
		}
		each()
	}
}

// check opens the store and holds it against what was acknowledged.
func (a *acknowledged) check(t *testing.T, dir string) {
	s := open(t, dir)
	defer s.Close()
	found, dsns, files := map[queue.ID]queue.Record{}, map[queue.ID]int{}, 0
	for r, err := range s.List(t.Context(), queue.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		if _, twice := found[r.Message.ID]; twice {
			t.Errorf("G2: %s has two deliveries", r.Message.ID)
		}
		found[r.Message.ID] = r
		if r.State == queue.Sending {
			t.Errorf("G4: %s is under the lease of a dead process", r.Message.ID)
		}
		if r.Message.Kind == queue.DSN {
			dsns[r.Message.About]++
		}
		if r.State.Waiting() && r.Message.Size > 2000 {
			files++
		}
		a.checkBody(t, s, r)
	}
	for id := range a.size {
		if _, ok := found[id]; !ok {
			t.Errorf("G1: %s was accepted and is lost", id)
		}
	}
	for id, state := range a.ended {
		if got := found[id].State.String(); got != state {
			t.Errorf("G3: %s was settled as %s and is %s", id, state, got)
		}
	}
	for id, r := range found {
		if want := map[bool]int{true: 1}[r.State == queue.Failed]; dsns[id] != want {
			t.Errorf("G3, G5: %s is %s and has %d DSNs", id, r.State, dsns[id])
		}
	}
	if n := spooled(t, s); n != files {
		t.Errorf("%d body files for %d messages with one", n, files)
	}
	a.checkCounts(t, s, found)
}

func (a *acknowledged) checkBody(t *testing.T, s *Store, r queue.Record) {
	body, err := s.Open(t.Context(), r.Message.ID)
	if !r.State.Waiting() {
		if !errors.Is(err, queue.ErrNotFound) {
			t.Errorf("%s is %s and its body: %v", r.Message.ID, r.State, err)
		}
		return
	}
	if err != nil {
		t.Errorf("G1: the body of %s: %v", r.Message.ID, err)
		return
	}
	defer body.Close()
	got, err := io.ReadAll(body)
	if err != nil || !bytes.Equal(got, crashBody(r.Message.ID, int(r.Message.Size))) {
		t.Errorf("G1: the body of %s is not what was written (%v)", r.Message.ID, err)
	}
}

func (a *acknowledged) checkCounts(t *testing.T, s *Store, found map[queue.ID]queue.Record) {
	want := map[queue.State]int64{}
	for _, r := range found {
		want[r.State]++
	}
	st, err := s.Stats(t.Context())
	if err != nil || fmt.Sprint(st.States) != fmt.Sprint(want) {
		t.Errorf("Stats says %v, counted are %v (%v)", st.States, want, err)
	}
}

// capped lets the system refuse to write: files may not grow over 3 MiB. It accepts until the store breaks, and says
// what was acknowledged and how it ended.
func capped(dir string) {
	signal.Ignore(syscall.SIGXFSZ)
	limit := syscall.Rlimit{Cur: 3 << 20, Max: 3 << 20}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	s, err := Open(context.Background(), Config{Dir: dir})
	for err == nil {
		if err = crashAccept(s); err == nil {
			err = s.settleDown(context.Background())
		}
	}
	fmt.Println("broken", errors.Is(err, queue.ErrBroken), errors.Is(crashAccept(s), queue.ErrBroken))
	os.Exit(0)
}

// TestWriteError: what SQLite cannot write is final for the handle, and nothing acknowledged is lost.
func TestWriteError(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), cappedDir+"="+dir)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if last := lines[len(lines)-1]; last != "broken true true" {
		t.Errorf("the store ended with %q, want ErrBroken for this message and the next", last)
	}
	acked := acknowledged{size: map[queue.ID]int{}, ended: map[queue.ID]string{}}
	acked.read(t, strings.NewReader(strings.Join(slices.Concat(lines[:len(lines)-1], []string{""}), "\n")), func() {})
	if len(acked.size) < 10 {
		t.Fatalf("only %d messages were accepted", len(acked.size))
	}
	s := open(t, dir)
	defer s.Close()
	for id := range acked.size {
		records := 0
		for r, err := range s.List(t.Context(), queue.Filter{IDs: []queue.ID{id}}) {
			if err != nil {
				t.Fatal(err)
			}
			records++
			acked.checkBody(t, s, r)
		}
		if records != 1 {
			t.Errorf("G1: %s has %d records", id, records)
		}
	}
}
