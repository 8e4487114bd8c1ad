package pgstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"postern/internal/lab/postgres"
	"postern/internal/mail"
	"postern/internal/operator/audit"
	"postern/internal/queue"
	store "postern/internal/queue/pgstore"
)

var begin = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

// submission is a message to one recipient.
func submission(t testing.TB, s queue.Store, n int, body []byte) *queue.Submission {
	t.Helper()
	d, err := s.NewDraft(context.Background())
	if err == nil {
		_, err = d.Write(body)
	}
	if err != nil {
		t.Fatal(err)
	}
	return &queue.Submission{
		Message: queue.Message{ID: queue.NewID(begin, uint32(n)), Envelope: mail.Envelope{From: mail.MustAddress("s@sender.test")}, AcceptedAt: begin},
		Deliveries: []queue.NewDelivery{{NextHop: "mx:b.test", Delivery: queue.Delivery{Due: begin, ExpiresAt: begin.Add(time.Hour),
			Recipient: mail.Recipient{Address: mail.MustAddress(fmt.Sprintf("r%d@b.test", n))}}}},
		Body: d,
	}
}

func claim(t testing.TB, s queue.Store, limit int) []queue.Work {
	t.Helper()
	work, err := s.Claim(context.Background(), queue.Claim{Site: "mx:b.test", Now: begin, Until: begin.Add(time.Minute), Limit: limit})
	if err != nil {
		t.Fatal(err)
	}
	return work
}

func settle(s queue.Store, state queue.State, work ...queue.Work) error {
	b := queue.Batch{Now: begin}
	for _, w := range work {
		b.Settlements = append(b.Settlements, queue.Settlement{Lease: w.Lease, State: state})
	}
	return s.Settle(context.Background(), b)
}

func states(t testing.TB, s queue.Store) map[queue.State]int64 {
	t.Helper()
	st, err := s.Stats(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return st.States
}

func wantStates(t testing.TB, s queue.Store, want map[queue.State]int64) {
	t.Helper()
	if got := states(t, s); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("states are %v, want %v", got, want)
	}
}

// TestConnectionLostAtCommit: whether the COMMIT came through or not, its caller hears what is true, and nothing is
// stored twice.
func TestConnectionLostAtCommit(t *testing.T) {
	for name, m := range map[string]moment{"before the server heard it": before, "before its answer": after} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := fresh(t)
			p, url := through(t, cfg.URL)
			cfg.URL = url
			s := open(t, cfg)
			defer s.Close()
			accept := func(n int, body []byte) {
				t.Helper()
				if err := s.Accept(context.Background(), submission(t, s, n, body)); err != nil {
					t.Fatal(err)
				}
			}
			accept(1, nil) // the statements are prepared
			for n, body := range [][]byte{[]byte("small"), bytes.Repeat([]byte("large"), 100_000)} {
				p.next(m, false)
				accept(2+n, body)
				if p.made() != 1 {
					t.Fatal("nothing was cut: this test shows nothing")
				}
			}
			wantStates(t, s, map[queue.State]int64{queue.Queued: 3})
			p.next(m, false)
			work := claim(t, s, 10)
			if len(work) != 3 || p.made() != 1 {
				t.Fatalf("claimed %d, want 3, after %d cuts", len(work), p.made())
			}
			p.next(m, false)
			if err := settle(s, queue.Delivered, work[:2]...); err != nil || p.made() != 1 {
				t.Fatalf("settled: %v, after %d cuts", err, p.made())
			}
			wantStates(t, s, map[queue.State]int64{queue.Delivered: 2, queue.Sending: 1})
			if err := settle(s, queue.Delivered, work[0]); !errors.Is(err, queue.ErrStaleLease) {
				t.Errorf("settled again: %v", err)
			}
			p.next(m, false)
			if _, err := s.AppendRules(context.Background(), "x", audit.Entry{At: begin}); err != nil {
				t.Fatal(err)
			}
			rules, err := s.Revisions(context.Background(), 0, 10)
			if err != nil || len(rules) != 1 || p.made() != 1 {
				t.Errorf("%d revisions, %v, after %d cuts", len(rules), err, p.made())
			}
		})
	}
}

// TestCommitThatCannotBeAskedAbout: the database is gone for longer than the store waits. The caller hears that nothing
// is known, and its body stays what it is: of a message that was stored, or nobody's.
func TestCommitThatCannotBeAskedAbout(t *testing.T) {
	for name, m := range map[string]moment{"not stored": before, "stored": after} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := fresh(t)
			witness := open(t, cfg)
			defer witness.Close()
			p, url := through(t, cfg.URL)
			cfg.URL, cfg.Patience = url, 500*time.Millisecond
			s := open(t, cfg)
			defer s.Close()
			if err := s.Accept(context.Background(), submission(t, s, 1, nil)); err != nil {
				t.Fatal(err)
			}
			large := bytes.Repeat([]byte("large"), 100_000)
			sub := submission(t, s, 2, large)
			p.next(m, true)
			began := time.Now()
			if err := s.Accept(context.Background(), sub); !errors.Is(err, queue.ErrUnknown) {
				t.Fatalf("accepted: %v", err)
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("it took %s", took)
			}
			if err := sub.Body.Discard(); err != nil {
				t.Error(err)
			}
			p.sever(false)
			want := int64(1)
			if m == after {
				want = 2
				r, err := witness.Open(context.Background(), sub.Message.ID)
				if err != nil {
					t.Fatal(err)
				}
				defer r.Close()
				if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, large) {
					t.Errorf("the body has %d bytes, %v", len(got), err)
				}
			}
			wantStates(t, witness, map[queue.State]int64{queue.Queued: want})
			if err := s.Accept(context.Background(), submission(t, s, 3, nil)); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

// TestNoDatabase: without it every call ends with an error in bounded time, and all is well by itself when it is back.
func TestNoDatabase(t *testing.T) {
	t.Parallel()
	cfg := fresh(t)
	p, url := through(t, cfg.URL)
	cfg.URL, cfg.Patience = url, 2*time.Second
	s := open(t, cfg)
	defer s.Close()
	if err := s.Accept(context.Background(), submission(t, s, 1, nil)); err != nil {
		t.Fatal(err)
	}
	work := claim(t, s, 1)
	p.sever(true)
	sub := submission(t, s, 2, nil)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var group sync.WaitGroup
	for name, call := range map[string]func() error{
		"Accept": func() error { return s.Accept(ctx, sub) },
		"Settle": func() error { return settle(s, queue.Delivered, work...) },
		"Stats":  func() error { _, err := s.Stats(ctx); return err },
		"Claim": func() error {
			_, err := s.Claim(ctx, queue.Claim{Site: "mx:b.test", Now: begin, Until: begin.Add(time.Minute)})
			return err
		},
		"Append": func() error { return s.Append(ctx, audit.Entry{At: begin}) },
	} {
		group.Go(func() { // at once: each waits for the same time
			// A change may have gone out over a connection that was cut and did not know yet: that is unknown, rightly.
			err, asks := call(), name == "Stats" || name == "Claim"
			if err == nil || ctx.Err() != nil || asks && errors.Is(err, queue.ErrUnknown) {
				t.Errorf("%s without a database: %v", name, err)
			}
		})
	}
	group.Wait()
	p.sever(false)
	soon := func(what string, do func() error) {
		t.Helper()
		err := do()
		for end := time.Now().Add(30 * time.Second); err != nil && time.Now().Before(end); err = do() {
			time.Sleep(100 * time.Millisecond)
		}
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	soon("the draft that was refused", func() error { return s.Accept(context.Background(), sub) })
	soon("the lease from before", func() error { return settle(s, queue.Delivered, work...) })
	wantStates(t, s, map[queue.State]int64{queue.Queued: 1, queue.Delivered: 1})
}

// TestCutUnderLoad: connections are cut again and again while mail is accepted, claimed and settled by two gateways.
// What was answered with success is there, once, and what was delivered stays delivered.
func TestCutUnderLoad(t *testing.T) {
	t.Parallel()
	cfg := fresh(t)
	p, url := through(t, cfg.URL)
	witness := open(t, cfg)
	defer witness.Close()
	cfg.URL = url
	stores := []*store.Store{open(t, cfg), open(t, cfg)}
	const senders, each = 4, 15
	stop := make(chan struct{})
	var cutting, group sync.WaitGroup
	cutting.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(150 * time.Millisecond):
				p.next([]moment{before, after}[i%2], false)
			}
		}
	})
	var mu sync.Mutex
	delivered := map[queue.ID]int{}
	for i := range senders {
		s := stores[i%2]
		group.Go(func() {
			for n := range each {
				if err := s.Accept(context.Background(), submission(t, s, i*1000+n, []byte("x"))); err != nil {
					t.Error(err)
					return
				}
				work := claim(t, s, 5)
				if err := settle(s, queue.Delivered, work...); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				for _, w := range work {
					delivered[w.Message.ID]++
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	close(stop)
	cutting.Wait()
	p.next(never, false)
	for _, w := range claim(t, witness, 1000) {
		delivered[w.Message.ID]++
		if err := settle(witness, queue.Delivered, w); err != nil {
			t.Error(err)
		}
	}
	for _, s := range stores {
		s.Close()
	}
	if len(delivered) != senders*each {
		t.Errorf("%d messages were delivered, want %d", len(delivered), senders*each)
	}
	for id, n := range delivered {
		if n != 1 {
			t.Errorf("%s was delivered %d times", id, n)
		}
	}
	wantStates(t, witness, map[queue.State]int64{queue.Delivered: senders * each})
}

// TestDatabaseCrashes: the server ends at once and comes back while mail is accepted. What was answered with success is
// there, with its body; what was refused is not there.
func TestDatabaseCrashes(t *testing.T) {
	t.Parallel()
	fresh(t) // skips where there is no server
	server, err := postgres.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	}()
	s := open(t, store.Config{URL: server.URL(), Patience: 30 * time.Second})
	defer s.Close()
	const senders, each = 4, 25
	var group sync.WaitGroup
	var mu sync.Mutex
	accepted, refused := map[queue.ID]int{}, 0
	for i := range senders {
		group.Go(func() {
			for n := range each {
				size := n * 8000 // up to 200 kB: some have chunks
				d, err := s.NewDraft(context.Background())
				if err == nil {
					_, err = d.Write(bytes.Repeat([]byte{byte(n)}, size))
				}
				if err == nil {
					sub := submission(t, s, i*1000+n, nil)
					sub.Body = d
					if err = s.Accept(context.Background(), sub); err == nil {
						mu.Lock()
						accepted[sub.Message.ID] = size
						mu.Unlock()
						continue
					}
				}
				mu.Lock()
				refused++
				mu.Unlock()
			}
		})
	}
	for range 2 {
		time.Sleep(200 * time.Millisecond)
		if err := server.Kill(); err != nil {
			t.Error(err)
		}
		if err := server.Restart(); err != nil {
			t.Error(err)
		}
	}
	group.Wait()
	t.Logf("%d accepted, %d refused", len(accepted), refused)
	wantStates(t, s, map[queue.State]int64{queue.Queued: int64(len(accepted))})
	for id, size := range accepted {
		r, err := s.Open(context.Background(), id)
		if err != nil {
			t.Errorf("%s of %d bytes: %v", id, size, err)
			continue
		}
		if n, err := io.Copy(io.Discard, r); err != nil || n != int64(size) {
			t.Errorf("%s has %d bytes of %d, %v", id, n, size, err)
		}
		r.Close()
	}
}
