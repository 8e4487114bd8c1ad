package storetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"postern/internal/operator/audit"
	"postern/internal/platform/records"
	"postern/internal/policy"
	"postern/internal/queue"
)

// SharedStore is one of several handles on one queue, each of a gateway of its own, with the rest that it keeps.
type SharedStore interface {
	queue.Store
	audit.Ledger
	records.Store
}

// RunShared runs the tests of a queue that several gateways share. open returns two handles on one new empty queue;
// the suite closes them.
func RunShared(t *testing.T, open func(t *testing.T) (a, b SharedStore)) {
	for _, tt := range []struct {
		name string
		run  func(k *pair)
	}{
		{"G7 what one gateway accepted another delivers, and the record is the same for both", acceptedElsewhere},
		{"G4 a lease of one gateway is nobody else's, and can be claimed by another when it ran out", leasedElsewhere},
		{"G4 claims of many workers of two gateways never overlap", claimsOfTwo},
		{"G7 leases end with the gateway that closes its store", leasesEnd},
		{"G5 one message is stored once, by whichever gateway", oneOfTwo},
		{"A wish is seen and carried out by every gateway", wishOfAnother},
		{"A message whose deliveries end at two gateways ends once", endsAtTwo},
		{"The state of a site is that of all gateways", siteOfTwo},
		{"What is purged by two at once is counted once, and what is used again stays", purgedByTwo},
		{"No update of a record, no counter and no revision is lost between gateways", recordsOfTwo},
		{"What was accepted later, at whichever gateway, comes first in a list", orderOfTwo},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, b := open(t)
			k := &pair{suite: newSuite(t, a), a: a, b: b}
			k.other = newSuite(t, b)
			k.other.n = 1 << 16 // its messages have other IDs
			tt.run(k)
		})
	}
	t.Run("Model", func(t *testing.T) {
		for _, seed := range []uint64{4, 5, rand.Uint64()} {
			t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
				a, b := open(t)
				ModelSeed(t, &alternating{stores: [2]SharedStore{a, b}, rng: rand.New(rand.NewPCG(seed, 1))}, seed, 300)
			})
		}
	})
}

// pair is two handles on one queue; the suite's own is a.
type pair struct {
	*suite
	other *suite
	a, b  SharedStore
}

func acceptedElsewhere(k *pair) {
	for _, n := range []int{100, 200 << 10} {
		sub := k.submission(string(pattern(n)), k.to("a@b.test", "mx:b.test"))
		k.no(k.a.Accept(k.Context(), sub))
		w := k.other.one("mx:b.test")
		k.same("message", w.Message.ID, sub.Message.ID)
		k.other.wantBody(w.Message.ID, pattern(n))
		k.same("state at the first", k.list(queue.Filter{IDs: []queue.ID{w.Message.ID}})[0].State, queue.Sending)
		k.no(k.other.settle(queue.Settlement{State: queue.Delivered, Reached: policy.Encrypted}, w))
		k.same("records", k.list(queue.Filter{}), k.other.list(queue.Filter{}))
		_, err := k.body(w.Message.ID)
		k.is(err, queue.ErrNotFound)
	}
	k.wantStates(map[queue.State]int64{queue.Delivered: 2})
	k.other.wantStates(map[queue.State]int64{queue.Delivered: 2})
}

func leasedElsewhere(k *pair) {
	k.accept(k.to("a@b.test", "mx:b.test"))
	k.accept(k.to("c@b.test", "mx:b.test"))
	late := k.claim("mx:b.test")
	k.same("claimed under the lease of another", len(k.other.claim("mx:b.test")), 0)
	k.later(time.Minute)
	k.other.later(time.Minute)
	taken := k.other.claimAs(queue.Claim{Site: "mx:b.test", Limit: 1})
	k.same("taken over", len(taken), 1)
	k.is(k.settle(queue.Settlement{State: queue.Delivered}, late...), queue.ErrStaleLease)
	k.is(k.s.Extend(k.Context(), []queue.Lease{late[0].Lease, late[1].Lease}, k.now.Add(time.Hour)),
		queue.ErrStaleLease)
	k.wantStates(map[queue.State]int64{queue.Sending: 2})
	k.no(k.other.settle(queue.Settlement{State: queue.Failed}, taken...))
	k.no(k.settle(queue.Settlement{State: queue.Delivered}, late[1])) // that one nobody took
	k.wantStates(map[queue.State]int64{queue.Failed: 1, queue.Delivered: 1})
}

func claimsOfTwo(k *pair) {
	const messages, workers = 120, 4
	for i := range messages {
		k.accept(k.to(fmt.Sprintf("r%d@b.test", i), "mx:b.test"))
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	times := map[queue.DeliveryID]int{}
	for _, s := range []queue.Store{k.a, k.b} {
		for range workers {
			wg.Go(func() {
				for range 3 * messages {
					work, err := s.Claim(k.Context(),
						queue.Claim{Site: "mx:b.test", Now: k.now, Until: k.now.Add(time.Minute), Limit: 3})
					if err != nil {
						k.Error(err)
						return
					}
					mu.Lock()
					for _, w := range work {
						times[w.ID]++
					}
					all := len(times) == messages
					mu.Unlock()
					if all {
						return
					}
				}
			})
		}
	}
	wg.Wait()
	k.same("claimed", len(times), messages)
	for id, n := range times {
		if n != 1 {
			k.Errorf("delivery %d was claimed %d times", id, n)
		}
	}
}

func leasesEnd(k *pair) {
	k.accept(k.to("a@b.test", "mx:b.test"))
	k.accept(k.to("c@c.test", "mx:c.test"))
	k.one("mx:b.test")
	kept := k.other.one("mx:c.test")
	k.no(k.a.Close())
	k.other.one("mx:b.test")
	k.no(k.other.settle(queue.Settlement{State: queue.Delivered}, kept))
}

func oneOfTwo(k *pair) {
	for i := range 10 {
		first := k.submission("x", k.to("a@b.test", "mx:b.test"))
		second := k.other.submission("y", k.to("a@b.test", "mx:b.test"))
		second.Message.ID = first.Message.ID
		errs := make([]error, 2)
		var wg sync.WaitGroup
		wg.Go(func() { errs[0] = k.a.Accept(k.Context(), first) })
		wg.Go(func() { errs[1] = k.b.Accept(k.Context(), second) })
		wg.Wait()
		if (errs[0] == nil) == (errs[1] == nil) {
			k.Fatalf("round %d: both were answered %v and %v", i, errs[0], errs[1])
		}
		k.wantBody(first.Message.ID, []byte([2]string{"x", "y"}[slices.Index(errs, nil)]))
	}
	k.wantStates(map[queue.State]int64{queue.Queued: 10})
}

func wishOfAnother(k *pair) {
	k.accept(k.to("a@b.test", "mx:b.test"))
	k.accept(k.to("c@b.test", "mx:b.test"))
	work := k.claim("mx:b.test")
	k.same("pending", k.other.pending(queue.Cancel, queue.Action{}, 0), []string{"a", "c"})
	k.same("wished, where it is sent", k.wished(work...), []string{"a", "c"})
	k.settleOne(work[0], queue.Settlement{State: queue.Queued, Due: k.now}, queue.Cancelled)
	k.later(time.Minute)
	k.other.later(time.Minute)
	k.same("claimed when the other lease ran out", len(k.other.claim("mx:b.test")), 0)
	k.is(k.settle(queue.Settlement{State: queue.Delivered}, work[1]), queue.ErrStaleLease)
	k.wantStates(map[queue.State]int64{queue.Cancelled: 2})
}

func endsAtTwo(k *pair) {
	const each = 20
	for i := range 5 {
		var to []queue.NewDelivery
		for n := range each {
			to = append(to, k.to(fmt.Sprintf("a%d@b.test", n), "mx:b.test"),
				k.to(fmt.Sprintf("c%d@c.test", n), "mx:c.test"))
		}
		id := k.accept(to...)
		here, there := k.claim("mx:b.test"), k.other.claim("mx:c.test")
		var wg sync.WaitGroup
		for n := range each {
			wg.Go(func() {
				if err := k.settle(queue.Settlement{State: queue.Delivered}, here[n]); err != nil {
					k.Error(err)
				}
			})
			wg.Go(func() {
				if err := k.other.settle(queue.Settlement{State: queue.Failed}, there[n]); err != nil {
					k.Error(err)
				}
			})
		}
		wg.Wait()
		_, err := k.body(id)
		k.is(err, queue.ErrNotFound)
		st := k.wantStates(map[queue.State]int64{queue.Delivered: int64(each * (i + 1)),
			queue.Failed: int64(each * (i + 1))})
		k.same("BodyBytes", st.BodyBytes, int64(0))
	}
}

func siteOfTwo(k *pair) {
	k.accept(k.to("a@b.test", "mx:b.test"))
	state := queue.SiteState{Failures: 2, Since: k.now, RetryAt: k.now.Add(time.Minute)}
	k.no(k.a.Settle(k.Context(), queue.Batch{Now: k.now, Sites: map[queue.SiteKey]queue.SiteState{"mx:b.test": state}}))
	k.same("what the other is told", k.other.one("mx:b.test").SiteState, state)
	k.other.act(queue.Retry, queue.Action{})
	sites, err := k.a.Sites(k.Context())
	k.no(err)
	k.same("RetryAt after a retry at the other", sites[0].RetryAt, k.now)
}

func purgedByTwo(k *pair) {
	const messages = 40
	for i := range messages {
		k.accept(k.to(fmt.Sprintf("r%d@b.test", i), "mx:b.test"))
	}
	k.no(k.settle(queue.Settlement{State: queue.Delivered}, k.claim("mx:b.test")...))
	k.later(time.Hour)
	k.other.later(time.Hour)
	purged := make([]int, 2)
	var wg sync.WaitGroup
	for i, s := range []*suite{k.suite, k.other} {
		wg.Go(func() {
			n, err := s.s.Purge(k.Context(), k.now, messages)
			if err != nil {
				k.Error(err)
			}
			purged[i] = n
		})
	}
	wg.Wait()
	k.same("purged", purged[0]+purged[1], messages)
	k.same("left", len(k.list(queue.Filter{})), 0)
	k.wantStates(map[queue.State]int64{})
	for range 5 { // a site that one purges while the other uses it
		wg.Go(func() { k.other.purge(k.now, 10) })
		k.accept(k.to("a@b.test", "mx:b.test"))
		wg.Wait()
		k.no(k.settle(queue.Settlement{State: queue.Delivered}, k.one("mx:b.test")))
		k.later(time.Hour)
		k.other.later(time.Hour)
		k.purge(k.now, 10)
	}
}

func recordsOfTwo(k *pair) {
	const each = 10
	var wg sync.WaitGroup
	for _, s := range []SharedStore{k.a, k.b} {
		for range each {
			wg.Go(func() {
				for {
					err := s.ChangeRecords(k.Context(), func(t records.Tx) error {
						if err := t.Add(records.Counter{Kind: "n", Key: "1", N: 1}); err != nil {
							return err
						}
						r, err := t.Get("a", "1")
						if err != nil && !errors.Is(err, records.ErrNotFound) {
							return err
						}
						return t.Put(records.Record{Kind: "a", Key: "1", Version: r.Version,
							Value: append(r.Value, 'x')})
					})
					if !errors.Is(err, records.ErrChanged) {
						k.no(err)
						return
					}
				}
			})
			wg.Go(func() {
				_, err := s.AppendRules(k.Context(), "text", audit.Entry{At: k.now, By: "x", Action: "rules apply"})
				k.no(err)
			})
		}
	}
	wg.Wait()
	k.no(k.b.ReadRecords(k.Context(), func(r records.Reader) error {
		one, err := r.Get("a", "1")
		k.no(err)
		k.same("record", len(one.Value), 2*each)
		k.same("version", one.Version, int64(2*each))
		counters, err := r.Counters(records.Query{Kind: "n"})
		k.same("counters", counters, []records.Counter{{Kind: "n", Key: "1", N: 2 * each}})
		return err
	}))
	rules, err := k.a.Rules(k.Context())
	k.no(err)
	k.same("revisions", rules.Number, int64(2*each))
}

func orderOfTwo(k *pair) {
	var want []string
	for i := range 12 {
		s := k.suite
		if i%3 == 1 {
			s = k.other
		}
		name := fmt.Sprintf("r%02d", i)
		s.accept(k.to(name+"@b.test", "mx:b.test"))
		want = append([]string{name}, want...)
	}
	k.same("by the first", named(k.list(queue.Filter{})), want)
	k.same("by the second", named(k.other.list(queue.Filter{})), want)
	// The clock of one is an hour behind.
	k.other.later(-time.Hour)
	k.other.accept(k.other.to("behind@b.test", "mx:b.test"))
	k.accept(k.to("right@b.test", "mx:b.test"))
	k.same("of the time of its clock", named(k.list(queue.Filter{Until: k.now})), []string{"behind"})
	k.same("of the right time", len(k.other.list(queue.Filter{Since: k.now})), 13)
}

// alternating is two handles on one queue as one store: each call goes to either.
type alternating struct {
	stores [2]SharedStore
	rng    *rand.Rand
}

// drafted is a draft and the handle it belongs to.
type drafted struct {
	queue.Draft
	s SharedStore
}

func (a *alternating) any() SharedStore { return a.stores[a.rng.IntN(2)] }

// unwrap gives the submission its own draft, and its handle.
func unwrap(sub *queue.Submission) SharedStore {
	d := sub.Body.(drafted)
	sub.Body = d.Draft
	return d.s
}

func (a *alternating) NewDraft(ctx context.Context) (queue.Draft, error) {
	s := a.any()
	d, err := s.NewDraft(ctx)
	return drafted{d, s}, err
}

func (a *alternating) Accept(ctx context.Context, sub *queue.Submission) error {
	return unwrap(sub).Accept(ctx, sub)
}

func (a *alternating) Claim(ctx context.Context, c queue.Claim) ([]queue.Work, error) {
	return a.any().Claim(ctx, c)
}

func (a *alternating) Settle(ctx context.Context, b queue.Batch) error {
	s := a.any()
	for _, sub := range b.New {
		s = unwrap(sub)
	}
	return s.Settle(ctx, b)
}

func (a *alternating) Extend(ctx context.Context, leases []queue.Lease, until time.Time) error {
	return a.any().Extend(ctx, leases, until)
}

func (a *alternating) Open(ctx context.Context, id queue.ID) (io.ReadSeekCloser, error) {
	return a.any().Open(ctx, id)
}

func (a *alternating) Sites(ctx context.Context) ([]queue.Site, error) { return a.any().Sites(ctx) }

func (a *alternating) TookMail(ctx context.Context, since time.Time, limit int) (map[queue.SiteKey]time.Time, error) {
	return a.any().TookMail(ctx, since, limit)
}

func (a *alternating) List(ctx context.Context, f queue.Filter) iter.Seq2[queue.Record, error] {
	return a.any().List(ctx, f)
}

func (a *alternating) Act(ctx context.Context, action queue.Action) (queue.Acted, error) {
	return a.any().Act(ctx, action)
}

func (a *alternating) Wished(ctx context.Context, ids []queue.DeliveryID) ([]queue.DeliveryID, error) {
	return a.any().Wished(ctx, ids)
}

func (a *alternating) Purge(ctx context.Context, before time.Time, limit int) (int, error) {
	return a.any().Purge(ctx, before, limit)
}

func (a *alternating) Stats(ctx context.Context) (queue.Stats, error) { return a.any().Stats(ctx) }

func (a *alternating) Close() error {
	return errors.Join(a.stores[0].Close(), a.stores[1].Close())
}

func (a *alternating) Entries(ctx context.Context, below int64, limit int) ([]audit.Entry, error) {
	return a.any().Entries(ctx, below, limit)
}
