package sqlstore

import (
	"context"
	"fmt"
	"time"

	"postern/internal/queue"
	"postern/internal/queue/spool"
	"postern/internal/queue/sqltables"
	"postern/internal/queue/stored"
)

// batch is a batch and the files of bodies nobody needs any more, afterwards.
type batch struct {
	*stored.Batch
	files []string
}

// Settle ends leases (G3). Deliveries of young messages that were delivered, and that is what most batches are, are
// written to the journal; everything else is a matter of the database, and young messages come there first.
func (s *Store) Settle(ctx context.Context, b queue.Batch) error {
	if err := s.gate.Enter(ctx); err != nil {
		return err
	}
	defer s.gate.Leave()
	if s.broken.Load() {
		return queue.ErrBroken
	}
	r, err := stored.ReadyBatch(&b, func(sub *queue.Submission) (*stored.Message, error) {
		n, _, err := s.ready(sub)
		return n, err
	})
	if err != nil {
		return err
	}
	ready := &batch{Batch: r}
	for i := range b.Settlements { // as nearly all of them come out
		b.Settlements[i].Became, b.Settlements[i].Wished = b.Settlements[i].State, nil
	}
	if ready.OnlyDelivered() && s.isYoung(ready.Leases[0].Delivery) {
		err := s.journalize(ctx, &entry{settle: ready})
		if err == nil {
			s.spool.RemoveAll(ready.files)
		}
		if err != errElsewhere {
			return err
		}
	}
	if err := s.settleStored(ctx, ready); err != nil {
		return err
	}
	for i, n := range ready.Messages {
		b.New[i].Body.(*spool.Draft).Accepted()
		n.Tell(b.New[i])
	}
	s.spool.RemoveAll(ready.files)
	return nil
}

// isYoung reports whether a delivery is one of a young message: a hint, which the committer looks at again.
func (s *Store) isYoung(id queue.DeliveryID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.young.Find(id) != nil
}

// settleStored carries out a batch in the database.
func (s *Store) settleStored(ctx context.Context, b *batch) error {
	seqs := make([]int64, len(b.Leases))
	for i, l := range b.Leases {
		seqs[i] = stored.SeqOf(l.Delivery)
	}
	ms := s.freezeThose(seqs)
	return s.bring(ctx, ms, func(t *txn) (err error) {
		b.files, err = t.settle(b)
		return err
	})
}

// settle carries out a batch and returns the body files nobody needs any more.
func (t *txn) settle(b *batch) ([]string, error) {
	t.s.mu.Lock()
	held, err := t.s.all(b.Leases)
	t.s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	for _, n := range b.Messages {
		if err := t.insert(n); err != nil {
			return nil, err
		}
	}
	var e sqltables.Endings
	var ends queue.WishEnds
	for i := range b.Settlements {
		if err := t.settleOne(&b.Settlements[i], held[i].row, b.Now, &e, &ends); err != nil {
			return nil, err
		}
	}
	if err := t.appendEnds(&ends); err != nil {
		return nil, err
	}
	for i := range b.States {
		if err := t.setState(&b.States[i]); err != nil {
			return nil, err
		}
	}
	err = t.CloseMessages(&e)
	return e.Files, err
}

// settleOne carries out one settlement on d, which the lease kept.
func (t *txn) settleOne(st *stored.Settlement, d sqltables.Row, now time.Time, e *sqltables.Endings,
	ends *queue.WishEnds) error {
	was := d.State
	d.Wish = t.s.wished(d.ID) // the row may have been read before
	st.Apply(&d.Delivery, now)
	if st.Facts != nil {
		if err := t.StoreAttempt(&d, st.Facts); err != nil {
			return err
		}
	}
	if st.To != nil {
		if err := t.Move(&d, st.To); err != nil {
			return err
		}
	}
	if st.Wished != nil {
		ends.Add(st.Wished, &d.Delivery, now)
		if err := t.setWish(&d, d.Wish, nil); err != nil {
			return err
		}
	}
	t.release(d.ID)
	return t.Update(&d, was, e)
}

// setState replaces the stored state of a site.
func (t *txn) setState(st *stored.SiteState) error {
	site, err := t.FindSite(st.Key)
	if err == nil && site == nil {
		site, err = t.youngSite(st.Key)
	}
	if err != nil {
		return err
	}
	return t.SetState(site, st)
}

// youngSite makes the row of a site at which so far only young messages wait or ended.
func (t *txn) youngSite(key queue.SiteKey) (*stored.Site, error) {
	t.s.mu.Lock()
	found := t.s.young.Site(key)
	t.s.mu.Unlock()
	if found == nil {
		return nil, fmt.Errorf("sqlstore: site %s: %w", key, queue.ErrNotFound)
	}
	return t.Site(found)
}

// stir notes that the database has something of a site that matters to a claim.
func (w *writer) stir(key queue.SiteKey) {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	w.s.young.Stir(key)
}
