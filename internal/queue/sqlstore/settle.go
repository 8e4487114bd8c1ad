package sqlstore

import (
	"context"
	"fmt"
	"time"

	"postern/internal/queue"
	"postern/internal/queue/database"
	"postern/internal/queue/spool"
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
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
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
	var e endings
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
	err = t.closeMessages(&e)
	return e.files, err
}

// settleOne carries out one settlement on d, which the lease kept.
func (t *txn) settleOne(st *stored.Settlement, d deliveryRow, now time.Time, e *endings, ends *queue.WishEnds) error {
	was := d.State
	d.Wish = t.s.wished(d.ID) // the row may have been read before
	st.Apply(&d.Delivery, now)
	if st.Facts != nil {
		slot := stored.AttemptSlot(d.ID, d.Attempts)
		if err := t.Exec("INSERT OR REPLACE INTO attempt (id, facts) VALUES (?, ?)", slot, st.Facts); err != nil {
			return err
		}
	}
	if st.To != nil {
		if err := t.moveTo(&d, st.To); err != nil {
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
	return t.update(&d, was, e)
}

// moveTo puts a delivery at another site; rules and requirement follow.
func (t *txn) moveTo(d *deliveryRow, to *stored.Site) error {
	site, err := t.site(to)
	if err != nil {
		return err
	}
	t.refs[d.site]--
	t.refs[site.ID]++
	d.site = site.ID
	t.stir(to.Key)
	if d.facts, err = stored.Moved(d.facts, &d.Delivery); err != nil {
		return err
	}
	return t.Exec("UPDATE delivery SET site = ?, facts = ? WHERE id = ?", site.ID, d.facts, int64(d.ID))
}

// endings collects what ended in one transaction.
type endings struct {
	open  map[int64]int64 // by message: deliveries that ended, where others may be open
	files []string        // of bodies nobody needs any more
}

// update writes what changes in a delivery and keeps the counts.
func (t *txn) update(d *deliveryRow, was queue.State, e *endings) error {
	t.totals.states.Move(was, d.State)
	err := t.Exec("UPDATE delivery SET ("+stored.ChangingColumns+") = (?, ?, ?, ?, ?, ?, ?, ?, ?) WHERE id = ?",
		append(stored.Changing(&d.Delivery), int64(d.ID))...)
	switch {
	case err != nil || d.State.Waiting():
		return err
	case d.last:
		return t.dropBody(stored.SeqOf(d.ID), d.size, d.file, e)
	case e.open == nil:
		e.open = map[int64]int64{}
	}
	e.open[stored.SeqOf(d.ID)]++
	return nil
}

// closeMessages counts ended deliveries down in their messages and drops the bodies of those that have none left.
func (t *txn) closeMessages(e *endings) error {
	for seq, n := range e.open {
		var open, size int64
		var file string
		err := t.c.Query(context.Background(), "SELECT open, size, file FROM message WHERE seq = ?",
			func(r database.Row) error {
				open, size, file = r.Int(0)-n, r.Int(1), r.Text(2)
				return database.ErrStop
			}, seq)
		if err == nil && open > 0 {
			err = t.Exec("UPDATE message SET open = ? WHERE seq = ?", open, seq)
		} else if err == nil {
			err = t.dropBody(seq, size, file, e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// dropBody marks the message as ended and deletes its body, or names its file for deletion after the commit.
func (t *txn) dropBody(seq, size int64, file string, e *endings) error {
	t.totals.bodyBytes -= size
	if err := t.Exec("UPDATE message SET open = 0, file = NULL WHERE seq = ?", seq); err != nil {
		return err
	}
	if file != "" {
		e.files = append(e.files, file)
		return nil
	}
	return t.Exec("DELETE FROM body WHERE seq = ?", seq)
}

// setState replaces the stored state of a site.
func (t *txn) setState(st *stored.SiteState) error {
	site, err := t.findSite(st.Key)
	if err != nil {
		return err
	}
	if site == nil {
		if site, err = t.youngSite(st.Key); err != nil {
			return err
		}
	}
	sets := st.Sets()
	if !sets && !site.HasState {
		return nil
	}
	site.HasState = sets
	if sets {
		t.stir(st.Key)
	}
	return t.Exec("UPDATE site SET failures = ?, since = ?, retry_at = ?, last = ? WHERE id = ?", int64(st.Failures),
		database.Stamp(st.Since), database.Stamp(st.RetryAt), st.Facts, site.ID)
}

// youngSite makes the row of a site at which so far only young messages wait or ended.
func (t *txn) youngSite(key queue.SiteKey) (*stored.Site, error) {
	t.s.mu.Lock()
	found := t.s.young.Site(key)
	t.s.mu.Unlock()
	if found == nil {
		return nil, fmt.Errorf("sqlstore: site %s: %w", key, queue.ErrNotFound)
	}
	return t.site(found)
}

// stir notes that the database has something of a site that matters to a claim.
func (t *txn) stir(key queue.SiteKey) {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	t.s.young.Stir(key)
}
