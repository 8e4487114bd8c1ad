package pgstore

import (
	"context"
	"fmt"
	"slices"
	"time"

	"postern/internal/queue"
	"postern/internal/queue/stored"
)

// Settle ends leases (G3).
func (s *Store) Settle(ctx context.Context, b queue.Batch) error {
	if err := s.gate.Enter(ctx); err != nil {
		return err
	}
	defer s.gate.Leave()
	ready, err := stored.ReadyBatch(&b, s.ready)
	if err != nil {
		return err
	}
	err = s.mail.do(ctx, ready.Bytes, func(t *txn) error {
		t.leases = append(t.leases, ready.Leases...)
		t.refers = t.refers || refers(ready)
		for i := range ready.States {
			t.keys = append(t.keys, string(ready.States[i].Key))
		}
		for _, n := range ready.Messages {
			t.expect(n)
		}
		t.then(func() error { return t.settle(ready) })
		return nil
	})
	if err != nil {
		if len(ready.Messages) > 0 {
			err = exists(err, ready.Messages[0].ID)
		}
		return err
	}
	s.afterwards(ready)
	for i, n := range ready.Messages {
		b.New[i].Body.(*draft).handOver()
		n.Tell(b.New[i])
	}
	return nil
}

// afterwards is what the memory of mail that is kept has to know of a batch.
func (s *Store) afterwards(b *stored.Batch) {
	for i := range b.States {
		s.kept.Stir(b.States[i].Key)
		if b.States[i].Sets() {
			s.giveBack(b.States[i].Key, s.keptAt(b.States[i].Key))
		}
	}
}

// refers reports whether a batch makes deliveries refer to sites, or changes these.
func refers(b *stored.Batch) bool {
	return len(b.Messages)+len(b.States) > 0 ||
		slices.ContainsFunc(b.Settlements, func(st stored.Settlement) bool { return st.To != nil })
}

// settle plans a batch, or refuses it whole.
func (t *txn) settle(b *stored.Batch) error {
	if err := t.held(b.Leases); err != nil {
		return err
	}
	if err := t.sitesExist(b); err != nil {
		if t.recalled { // whether the leases stand is to be told before
			return &planned{err}
		}
		return err
	}
	for _, n := range b.Messages {
		if err := t.insert(n); err != nil {
			return &planned{err}
		}
		t.want(n)
	}
	var ends queue.WishEnds
	for i := range b.Settlements {
		if err := t.settleOne(&b.Settlements[i], b.Now, &ends); err != nil {
			return &planned{err}
		}
	}
	t.entries = append(t.entries, ends.Entries()...)
	for i := range b.States {
		put(&t.siteStates, b.States[i].Key, &b.States[i])
	}
	return nil
}

// sitesExist checks that there are the sites whose states are set, or that the batch makes them.
func (t *txn) sitesExist(b *stored.Batch) error {
	made := map[queue.SiteKey]bool{}
	for _, n := range b.Messages {
		for i := range n.Deliveries {
			made[n.Deliveries[i].Site] = true
		}
	}
	for i := range b.Settlements {
		if to := b.Settlements[i].To; to != nil {
			made[to.Key] = true
		}
	}
	for i := range b.States {
		key := b.States[i].Key
		if !t.known[key] && !made[key] && t.newSites[key] == nil {
			return fmt.Errorf("pgstore: site %s: %w", key, queue.ErrNotFound)
		}
	}
	return nil
}

// settleOne plans one settlement of a delivery that the transaction has locked.
func (t *txn) settleOne(st *stored.Settlement, now time.Time, ends *queue.WishEnds) (err error) {
	d := t.rows[st.Lease.Delivery]
	was := d.State
	st.Apply(&d.Delivery, now)
	d.ended = true
	t.ended = append(t.ended, int64(d.ID))
	if st.Facts != nil {
		put(&t.attempts, stored.AttemptSlot(d.ID, d.Attempts), st.Facts)
	}
	if st.To != nil {
		if d.facts, err = stored.Moved(d.facts, &d.Delivery); err != nil {
			return err
		}
		put(&t.newSites, st.To.Key, st.To)
		put(&t.moved, d.ID, st.To.Key)
		put(&t.facts, d.ID, d.facts)
	}
	if st.Wished != nil {
		ends.Add(st.Wished, &d.Delivery, now)
		if err := t.setWish(d, d.Wish, nil); err != nil {
			return err
		}
	}
	t.move(&d.Delivery, was)
	switch {
	case !d.State.Waiting():
	case st.To != nil:
		t.stirs = append(t.stirs, st.To.Key)
	default:
		t.stirs = append(t.stirs, d.Site)
	}
	return nil
}
