package pgstore

import (
	"context"
	"errors"
	"testing"
	"time"

	"postern/internal/queue"
	store "postern/internal/queue/pgstore"
)

// keeping opens two gateways on one new database, of which the first accepts new mail with its lease already held.
func keeping(t *testing.T) (cfg store.Config, a, b *store.Store) {
	cfg = fresh(t)
	b = open(t, cfg)
	cfg.Keep = time.Minute
	a = open(t, cfg)
	t.Cleanup(func() {
		if err := errors.Join(a.Close(), b.Close()); err != nil {
			t.Error(err)
		}
	})
	return cfg, a, b
}

func accept(t *testing.T, s *store.Store, n int) {
	t.Helper()
	if err := s.Accept(t.Context(), submission(t, s, n, []byte("Subject: x\r\n\r\nx\r\n"))); err != nil {
		t.Fatal(err)
	}
}

// claimAt claims as a gateway whose clock shows so much after begin.
func claimAt(t *testing.T, s queue.Store, after time.Duration) []queue.Work {
	t.Helper()
	now := begin.Add(after)
	work, err := s.Claim(t.Context(), queue.Claim{Site: "mx:b.test", Now: now, Until: now.Add(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	return work
}

// TestKeptMailIsTakenOverWhenItsLeaseEnds: whoever accepted it may be gone, and changes nothing any more if it is not.
func TestKeptMailIsTakenOverWhenItsLeaseEnds(t *testing.T) {
	t.Parallel()
	_, a, b := keeping(t)
	accept(t, a, 1)
	for _, s := range []queue.Store{a, b} { // nobody has begun with it
		wantStates(t, s, map[queue.State]int64{queue.Queued: 1})
	}
	late := claim(t, a, 10)
	if len(late) != 1 {
		t.Fatalf("its gateway claimed %d, want 1", len(late))
	}
	wantStates(t, a, map[queue.State]int64{queue.Sending: 1})
	if other := claimAt(t, b, 59*time.Second); len(other) != 0 {
		t.Fatalf("another claimed %d under the lease", len(other))
	}
	taken := claimAt(t, b, time.Minute+time.Second)
	if len(taken) != 1 {
		t.Fatalf("another claimed %d when the lease had ended, want 1", len(taken))
	}
	if err := settle(a, queue.Delivered, late...); !errors.Is(err, queue.ErrStaleLease) {
		t.Errorf("the late settlement was answered %v", err)
	}
	if err := settle(b, queue.Delivered, taken...); err != nil {
		t.Error(err)
	}
	wantStates(t, a, map[queue.State]int64{queue.Delivered: 1})
}

// TestWhatAClaimPassesOverIsFoundByTheNext: mail of the database that has to stand behind kept mail is claimed by the
// same gateway as soon as it asks again, and does not wait until another finds it overlooked.
func TestWhatAClaimPassesOverIsFoundByTheNext(t *testing.T) {
	t.Parallel()
	_, a, b := keeping(t)
	accept(t, a, 1)
	accept(t, a, 2)
	accept(t, b, 3)
	for _, want := range []int{2, 1, 0} {
		if work := claim(t, a, 2); len(work) != want {
			t.Errorf("%d claimed, want %d", len(work), want)
		}
	}
}

// TestKeptMailIsGivenBack: what nobody asks for within a second is everybody's.
func TestKeptMailIsGivenBack(t *testing.T) {
	t.Parallel()
	_, a, b := keeping(t)
	accept(t, a, 1)
	var work []queue.Work
	for end := time.Now().Add(20 * time.Second); len(work) == 0 && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		work = claim(t, b, 10)
	}
	if len(work) != 1 {
		t.Fatal("it was not given back")
	}
	if again := claim(t, a, 10); len(again) != 0 {
		t.Errorf("its gateway claimed what another has")
	}
	if err := settle(b, queue.Delivered, work...); err != nil {
		t.Error(err)
	}
}

// TestALeaseThatCannotBeGivenBackIsGivenBackLater: where the database does not answer just then, nobody waits for the
// end of the lease.
func TestALeaseThatCannotBeGivenBackIsGivenBackLater(t *testing.T) {
	t.Parallel()
	cfg := fresh(t)
	other := open(t, cfg)
	defer other.Close()
	p, url := through(t, cfg.URL)
	cfg.URL, cfg.Keep, cfg.Patience = url, time.Minute, 100*time.Millisecond
	s := open(t, cfg)
	defer s.Close()
	accept(t, s, 1)
	p.sever(true)
	for end := time.Now().Add(20 * time.Second); p.sentAway() < 10 && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
	}
	if p.sentAway() < 10 { // in its patience it tries three times at the most
		t.Fatal("it gave up giving back")
	}
	p.sever(false)
	var work []queue.Work
	for end := time.Now().Add(20 * time.Second); len(work) == 0 && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		work = claim(t, other, 10)
	}
	if len(work) != 1 {
		t.Fatal("it was not given back")
	}
}

// TestWhatIsWishedOfKeptMail: at the gateway that keeps it, it is done at once; at another it is seen before the message
// is sent, or done when it is given back.
func TestWhatIsWishedOfKeptMail(t *testing.T) {
	t.Parallel()
	_, a, b := keeping(t)
	hold := queue.Action{Kind: queue.Hold, Now: begin, By: "anna"}
	accept(t, a, 1)
	if done, err := a.Act(t.Context(), hold); err != nil || done.Changed != 1 || len(done.Pending) != 0 {
		t.Errorf("at its gateway: %+v, %v", done, err)
	}
	accept(t, a, 2)
	done, err := b.Act(t.Context(), hold)
	if err != nil || done.Changed+len(done.Pending) != 1 {
		t.Errorf("at another: %+v, %v", done, err)
	}
	for _, w := range claim(t, a, 10) {
		wished, err := a.Wished(t.Context(), []queue.DeliveryID{w.ID})
		if err != nil || len(wished) != 1 {
			t.Errorf("before it is sent: %v, %v", wished, err)
		}
		b := queue.Batch{Now: begin, Settlements: []queue.Settlement{{Lease: w.Lease, State: queue.Queued, Due: begin}}}
		if err := a.Settle(t.Context(), b); err != nil || b.Settlements[0].Became != queue.Held {
			t.Errorf("it became %s, %v", b.Settlements[0].Became, err)
		}
	}
	for end := time.Now().Add(20 * time.Second); states(t, b)[queue.Held] != 2 && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if work := claim(t, b, 10); len(work) > 0 {
			t.Fatalf("%d were claimed", len(work))
		}
	}
	wantStates(t, b, map[queue.State]int64{queue.Held: 2})
}

// TestAFailingSiteKeepsNothing: its mail waits for the one probe that any gateway makes.
func TestAFailingSiteKeepsNothing(t *testing.T) {
	t.Parallel()
	_, a, b := keeping(t)
	accept(t, a, 1)
	failed := map[queue.SiteKey]queue.SiteState{"mx:b.test": {Failures: 1, Since: begin, RetryAt: begin.Add(time.Minute)}}
	if err := a.Settle(t.Context(), queue.Batch{Now: begin, Sites: failed}); err != nil {
		t.Fatal(err)
	}
	accept(t, a, 2)
	work := claim(t, b, 10)
	if len(work) != 2 || work[0].SiteState.Failures != 1 {
		t.Fatalf("another claimed %d of 2", len(work))
	}
}

// TestWhatIsKeptIsBounded: more of a site than the bound is everybody's at once, and all of it is delivered.
func TestWhatIsKeptIsBounded(t *testing.T) {
	t.Parallel()
	cfg, a, b := keeping(t)
	const most, messages = 256, 300
	for n := range messages {
		accept(t, a, n)
	}
	if kept := connect(t, cfg).number("SELECT count(*) FROM lease"); kept > most {
		t.Errorf("%d are kept", kept)
	}
	work := claim(t, b, messages)
	if len(work) < messages-most {
		t.Errorf("another claimed %d", len(work))
	}
	ended := len(work)
	if err := settle(b, queue.Delivered, work...); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); ended < messages && time.Now().Before(end); {
		work := claim(t, a, 50)
		if err := settle(a, queue.Delivered, work...); err != nil {
			t.Fatal(err)
		}
		ended += len(work)
	}
	wantStates(t, a, map[queue.State]int64{queue.Delivered: messages})
}

// TestConnectionLostWhileMailIsKept: where nobody knows the leases any more they end, and the mail is anybody's.
func TestConnectionLostWhileMailIsKept(t *testing.T) {
	for name, m := range map[string]moment{"before the server heard it": before, "before its answer": after} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := fresh(t)
			p, url := through(t, cfg.URL)
			cfg.URL, cfg.Keep = url, time.Minute
			s := open(t, cfg)
			defer s.Close()
			accept(t, s, 1) // the statements are prepared
			p.next(m, false)
			accept(t, s, 2)
			if p.made() != 1 {
				t.Fatal("nothing was cut: this test shows nothing")
			}
			accept(t, s, 3)
			found := map[queue.DeliveryID]bool{}
			for end := time.Now().Add(20 * time.Second); len(found) < 3 && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
				for _, w := range claim(t, s, 10) {
					found[w.ID] = true
				}
			}
			if len(found) != 3 {
				t.Errorf("%d of 3 were claimed", len(found))
			}
			wantStates(t, s, map[queue.State]int64{queue.Sending: 3})
		})
	}
}

// TestABodyThatIsKept is what was stored, and is gone with its message.
func TestABodyThatIsKept(t *testing.T) {
	t.Parallel()
	_, a, _ := keeping(t)
	accept(t, a, 1)
	work := claim(t, a, 10)
	if len(work) != 1 {
		t.Fatalf("claimed %d", len(work))
	}
	if err := deliver(a, work[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Open(context.Background(), work[0].Message.ID); !errors.Is(err, queue.ErrNotFound) {
		t.Errorf("after its end: %v", err)
	}
}
