package pgstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/queue"
	store "postern/internal/queue/pgstore"
)

// TestManyAtOnce: two gateways accept, claim, settle, move, bounce, act and purge at the same mail side by side. Nobody
// hears of a deadlock, and in the end everything has ended once, with no body left.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	cfg := fresh(t)
	keeps := cfg
	keeps.Keep = time.Minute
	stores := []*store.Store{open(t, keeps), open(t, cfg)}
	ctx, end := context.WithTimeout(t.Context(), 4*time.Second)
	defer end()
	sites := []string{"mx:a.test", "mx:b.test", "mx:c.test"}
	var group sync.WaitGroup
	var n, accepted atomic.Int64
	message := func(s *store.Store) *queue.Submission {
		i := int(n.Add(1))
		sub := submission(t, s, i, []byte("x"))
		sub.Deliveries = nil
		for k := range 4 {
			d := queue.NewDelivery{NextHop: sites[(i+k)%3]}
			d.Recipient, d.Due, d.ExpiresAt = mail.Recipient{Address: mail.MustAddress(fmt.Sprintf("r%d.%d@d%d.test", i, k, k))}, begin, begin.Add(time.Hour)
			sub.Deliveries = append(sub.Deliveries, d)
		}
		return sub
	}
	check := func(what string, err error) {
		if err != nil && !errors.Is(err, queue.ErrStaleLease) && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", what, err)
		}
	}
	step := func(s *store.Store, r *rand.Rand) {
		switch k := r.IntN(20); {
		case k < 6:
			err := s.Accept(context.Background(), message(s))
			if err == nil {
				accepted.Add(4)
			}
			check("accept", err)
		case k < 16:
			work, err := s.Claim(ctx, queue.Claim{Site: queue.SiteKey(sites[r.IntN(3)]), Now: begin, Until: begin.Add(time.Duration(r.IntN(3)) * time.Second), Limit: 8})
			check("claim", err)
			b := queue.Batch{Now: begin}
			for _, w := range work {
				st := queue.Settlement{Lease: w.Lease, State: []queue.State{queue.Delivered, queue.Failed, queue.Queued}[r.IntN(3)]}
				if st.State == queue.Queued {
					st.Due = begin
					st.Move = &queue.Move{NextHop: sites[r.IntN(3)], Requirement: policy.Requirement{}}
				}
				b.Settlements = append(b.Settlements, st)
			}
			if len(work) > 0 && r.IntN(5) == 0 {
				b.New = append(b.New, message(s))
				b.Sites = map[queue.SiteKey]queue.SiteState{work[0].Site: {Failures: r.IntN(3)}}
			}
			err = s.Settle(context.Background(), b)
			if err == nil {
				accepted.Add(int64(4 * len(b.New)))
			}
			check("settle", err)
		case k < 18:
			kind := []queue.ActionKind{queue.Hold, queue.Release, queue.Retry, queue.Cancel}[r.IntN(4)]
			_, err := s.Act(ctx, queue.Action{Kind: kind, Domains: []string{fmt.Sprintf("d%d.test", r.IntN(8))}, Now: begin.Add(time.Second)})
			check("act", err)
		default:
			_, err := s.Purge(ctx, begin.Add(-time.Hour), 20) // looks, and purges sites that nobody uses
			check("purge", err)
		}
	}
	for i := range 8 {
		group.Go(func() {
			for r := rand.New(rand.NewPCG(uint64(i), 0)); ctx.Err() == nil; {
				step(stores[i%2], r)
			}
		})
	}
	group.Wait()
	if err := stores[0].Close(); err != nil {
		t.Error(err)
	}
	s := stores[1]
	defer s.Close()
	for _, kind := range []queue.ActionKind{queue.Release, queue.Cancel} { // the leases have run out
		if _, err := s.Act(t.Context(), queue.Action{Kind: kind, Now: begin.Add(time.Hour)}); err != nil {
			t.Error(err)
		}
	}
	st, err := s.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ended := st.States[queue.Delivered] + st.States[queue.Failed] + st.States[queue.Cancelled]
	if ended != accepted.Load() || len(st.States) != 3 || st.BodyBytes != 0 {
		t.Errorf("%d were accepted, and in the end it is %v with %d bytes", accepted.Load(), st.States, st.BodyBytes)
	}
	p, left := connect(t, cfg), int64(0)
	for _, table := range []string{"body", "lease", "wish", "message WHERE open <> 0"} {
		n := p.number("SELECT count(*) FROM " + table)
		if left += n; n > 0 {
			t.Errorf("%d rows of %s are left", n, table)
		}
	}
	count := p.number("SELECT count(*) FROM delivery WHERE state > 2")
	if left != 0 || count != ended {
		t.Errorf("%d rows are left; %d deliveries have ended, and %d were counted", left, count, ended)
	}
	t.Logf("%v", st.States)
}
