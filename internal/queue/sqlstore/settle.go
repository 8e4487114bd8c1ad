package sqlstore

import (
	"context"
	"fmt"
	"time"

	"postern/internal/queue"
	"postern/internal/queue/database"
)

// settlement is a queue.Settlement made ready for the writer.
type settlement struct {
	*queue.Settlement
	attempt any      // column value
	move    *siteRow // nil: stays
}

// newState is the state of a site made ready for the writer.
type newState struct {
	key queue.SiteKey
	queue.SiteState
	last any // column value
}

// batch is a queue.Batch made ready for the writer.
type batch struct {
	settlements []settlement
	leases      []queue.Lease
	messages    []*newMessage
	states      []newState
	now         time.Time
	bytes       int
	files       []string // of bodies nobody needs any more, afterwards
}

// readyBatch does what can be done before the writer's turn.
func (s *Store) readyBatch(b *queue.Batch) (*batch, error) {
	out := &batch{now: b.Now}
	for i := range b.Settlements {
		st := settlement{Settlement: &b.Settlements[i]}
		err := st.Check()
		if err == nil {
			st.attempt, err = encodeAttempt(st.Attempt)
		}
		if m := st.Move; m != nil && err == nil {
			st.move, err = newSite(m.NextHop, m.Requirement)
		}
		if err != nil {
			return nil, err
		}
		out.settlements, out.leases = append(out.settlements, st), append(out.leases, st.Lease)
	}
	for _, sub := range b.New {
		n, err := s.ready(sub)
		if err != nil {
			return nil, err
		}
		out.messages, out.bytes = append(out.messages, n), out.bytes+len(n.draft.buf)
	}
	for key, state := range b.Sites {
		last, err := encodeAttempt(state.Last)
		if err != nil {
			return nil, err
		}
		out.states = append(out.states, newState{key, state, last})
	}
	return out, nil
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
	ready, err := s.readyBatch(&b)
	if err != nil {
		return err
	}
	for i := range b.Settlements { // as nearly all of them come out
		b.Settlements[i].Became, b.Settlements[i].Wished = b.Settlements[i].State, nil
	}
	if ready.simple() && s.isYoung(ready.leases[0].Delivery) {
		err := s.journalize(ctx, &entry{settle: ready})
		if err == nil {
			s.removeAll(ready.files)
		}
		if err != errElsewhere {
			return err
		}
	}
	if err := s.settleStored(ctx, ready); err != nil {
		return err
	}
	for i, n := range ready.messages {
		n.draft.accepted()
		n.tell(b.New[i])
	}
	s.removeAll(ready.files)
	return nil
}

// isYoung reports whether a delivery is one of a young message: a hint, which the committer looks at again.
func (s *Store) isYoung(id queue.DeliveryID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.young.find(id) != nil
}

// simple reports whether the journal can tell what a batch does: some deliveries were delivered, and nothing else.
func (b *batch) simple() bool {
	if len(b.settlements) == 0 || len(b.messages)+len(b.states) > 0 {
		return false
	}
	for i := range b.settlements {
		if st := &b.settlements[i]; st.State != queue.Delivered || st.move != nil {
			return false
		}
	}
	return true
}

// settleStored carries out a batch in the database.
func (s *Store) settleStored(ctx context.Context, b *batch) error {
	seqs := make([]int64, len(b.leases))
	for i, l := range b.leases {
		seqs[i] = seqOf(l.Delivery)
	}
	ms := s.freezeThose(seqs)
	return s.bring(ctx, ms, func(t *txn) (err error) {
		b.files, err = t.settle(b)
		return err
	})
}

// removeAll deletes the files of bodies that have ended. What fails is found by a later sweep.
func (s *Store) removeAll(files []string) {
	for _, name := range files {
		_ = s.remove(name)
	}
}

// settle carries out a batch and returns the body files nobody needs any more.
func (t *txn) settle(b *batch) ([]string, error) {
	t.s.mu.Lock()
	held, err := t.s.all(b.leases)
	t.s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	for _, n := range b.messages {
		if err := t.insert(n); err != nil {
			return nil, err
		}
	}
	var e endings
	var ends queue.WishEnds
	for i := range b.settlements {
		if err := t.settleOne(&b.settlements[i], held[i].row, b.now, &e, &ends); err != nil {
			return nil, err
		}
	}
	if err := t.appendEnds(&ends); err != nil {
		return nil, err
	}
	for i := range b.states {
		if err := t.setState(&b.states[i]); err != nil {
			return nil, err
		}
	}
	err = t.closeMessages(&e)
	return e.files, err
}

// settleOne carries out one settlement on d, which the lease kept.
func (t *txn) settleOne(st *settlement, d deliveryRow, now time.Time, e *endings, ends *queue.WishEnds) error {
	was := d.State
	d.Wish = t.s.wished(d.ID) // the row may have been read before
	st.Apply(&d.Delivery, now)
	if st.attempt != nil {
		slot := int64(d.ID)*slots + int64(queue.HistorySlot(d.Attempts-1))
		if err := t.exec("INSERT OR REPLACE INTO attempt (id, facts) VALUES (?, ?)", slot, st.attempt); err != nil {
			return err
		}
	}
	if st.move != nil {
		if err := t.moveTo(&d, st.move); err != nil {
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
func (t *txn) moveTo(d *deliveryRow, to *siteRow) error {
	site, err := t.site(to)
	if err != nil {
		return err
	}
	t.refs[d.site]--
	t.refs[site.id]++
	d.site = site.id
	t.stir(to.key)
	var f deliveryForm
	if err := decode(d.facts, &f); err != nil {
		return err
	}
	f.Rules, f.Matched, f.Revision, f.Demands, f.Wish = d.Rules, d.Matched, d.Judged, d.Demands, formOfWish(d.Wish)
	if d.facts, err = encode(f); err != nil {
		return err
	}
	return t.exec("UPDATE delivery SET site = ?, facts = ? WHERE id = ?", site.id, d.facts, int64(d.ID))
}

// endings collects what ended in one transaction.
type endings struct {
	open  map[int64]int64 // by message: deliveries that ended, where others may be open
	files []string        // of bodies nobody needs any more
}

// update writes what changes in a delivery and keeps the counts.
func (t *txn) update(d *deliveryRow, was queue.State, e *endings) error {
	t.totals.move(was, d.State)
	err := t.exec("UPDATE delivery SET state = ?, due = ?, deadline = ?, expires = ?, finished = ?, attempts = ?,"+
		" noticed = ?, reached = ?, reason = ? WHERE id = ?", storedState(d.State), database.Stamp(d.Due), database.Stamp(d.Deadline),
		database.Stamp(d.ExpiresAt), database.Stamp(d.FinishedAt), int64(d.Attempts), database.Flag(d.Noticed), int64(d.Reached), string(d.Reason),
		int64(d.ID))
	switch {
	case err != nil || d.State.Waiting():
		return err
	case d.last:
		return t.dropBody(seqOf(d.ID), d.size, d.file, e)
	case e.open == nil:
		e.open = map[int64]int64{}
	}
	e.open[seqOf(d.ID)]++
	return nil
}

// closeMessages counts ended deliveries down in their messages and drops the bodies of those that have none left.
func (t *txn) closeMessages(e *endings) error {
	for seq, n := range e.open {
		var open, size int64
		var file string
		err := t.c.Query(context.Background(), "SELECT open, size, file FROM message WHERE seq = ?", func(r database.Row) error {
			open, size, file = r.Int(0)-n, r.Int(1), r.Text(2)
			return database.ErrStop
		}, seq)
		if err == nil && open > 0 {
			err = t.exec("UPDATE message SET open = ? WHERE seq = ?", open, seq)
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
	if err := t.exec("UPDATE message SET open = 0, file = NULL WHERE seq = ?", seq); err != nil {
		return err
	}
	if file != "" {
		e.files = append(e.files, file)
		return nil
	}
	return t.exec("DELETE FROM body WHERE seq = ?", seq)
}

// setState replaces the stored state of a site.
func (t *txn) setState(st *newState) error {
	site, err := t.findSite(st.key)
	if err != nil {
		return err
	}
	if site == nil {
		if site, err = t.youngSite(st.key); err != nil {
			return err
		}
	}
	sets := st.Failures != 0 || !st.Since.IsZero() || !st.RetryAt.IsZero() || st.last != nil
	if !sets && !site.hasState {
		return nil
	}
	site.hasState = sets
	if sets {
		t.stir(st.key)
	}
	return t.exec("UPDATE site SET failures = ?, since = ?, retry_at = ?, last = ? WHERE id = ?", int64(st.Failures),
		database.Stamp(st.Since), database.Stamp(st.RetryAt), st.last, site.id)
}

// youngSite makes the row of a site at which so far only young messages wait or ended.
func (t *txn) youngSite(key queue.SiteKey) (*siteRow, error) {
	var found *siteRow
	t.s.mu.Lock()
	for e := t.s.young.inAge.Front(); e != nil && found == nil; e = e.Next() {
		for i := range e.Value.(*youngMessage).deliveries {
			if d := &e.Value.(*youngMessage).deliveries[i]; d.Site == key {
				found = &siteRow{key: key, nextHop: d.site.nextHop, requirement: d.site.requirement}
				break
			}
		}
	}
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
	delete(t.s.young.calm, key)
}
