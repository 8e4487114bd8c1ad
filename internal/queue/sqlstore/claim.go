package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"postern/internal/queue"
	"postern/internal/queue/database"
	"postern/internal/queue/sqltables"
	"postern/internal/queue/stored"
	"postern/internal/queue/young"
)

// lease is the right of a worker to one delivery. Guarded by Store.mu.
type lease struct {
	token int64
	until time.Time
	// was is the stored state, Queued or Held; it does not change while the lease runs.
	was queue.State
	// row is what Settle needs of the delivery, set before the worker learns of the lease.
	row sqltables.Row
}

// leased reports whether a lease runs at now.
func (s *Store) leased(id queue.DeliveryID, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.leases[id].runs(now)
}

// runs reports whether there is a lease and it runs at now. The caller holds mu.
func (l *lease) runs(now time.Time) bool { return l != nil && l.until.After(now) }

// Claim leases deliveries: those in the database first, then the young ones.
func (s *Store) Claim(ctx context.Context, c queue.Claim) ([]queue.Work, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	if err := s.gate.Enter(ctx); err != nil {
		return nil, err
	}
	defer s.gate.Leave()
	if err := s.lapse(ctx, c.Now); err != nil && !errors.Is(err, queue.ErrFull) { // then it waits, and is not claimed
		return nil, err
	}
	if c.Site != "" {
		return s.claimAt(ctx, &c)
	}
	if err := s.settleDownOf(ctx, concerns(&c)); err != nil {
		return nil, err
	}
	work, _, err := s.claimStored(ctx, &c)
	return work, err
}

// concerns reports whether a claim by deadline or by ID may select a delivery of a young message. The caller holds mu.
func concerns(c *queue.Claim) func(m *young.Message) bool {
	return func(m *young.Message) bool {
		for i := range m.Deliveries {
			if d := &m.Deliveries[i]; d.State.Waiting() && c.Selects(&d.Delivery) {
				return true
			}
		}
		return false
	}
}

// claimAt claims at a site. Where the database is known to have nothing, only memory is looked at.
func (s *Store) claimAt(ctx context.Context, c *queue.Claim) ([]queue.Work, error) {
	for {
		s.mu.Lock()
		calm := s.young.Calm(c.Site)
		moves, _ := s.young.Moved(c.Site)
		s.mu.Unlock()
		var work []queue.Work
		var state queue.SiteState
		if !calm {
			var err error
			if work, state, err = s.claimStored(ctx, c); err != nil {
				return nil, err
			}
		}
		work, missed, err := s.claimRest(ctx, work, c, state, moves)
		if !missed {
			return work, err
		}
	}
}

// claimRest adds the young to what was claimed in the database. If something may have been missed on its way from one
// to the other, it gives back what it has, because leases run while it waits, and the caller begins again. A full claim
// is good as it is: to wait for what it passed over (see queue.Store) would hold up mail while much is being moved.
func (s *Store) claimRest(ctx context.Context, work []queue.Work, c *queue.Claim, state queue.SiteState, moves uint64) (
	_ []queue.Work, missed bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err = ctx.Err(); s.broken.Load() {
		err = queue.ErrBroken // what is sent now could not be settled
	}
	work = slices.DeleteFunc(work, func(w queue.Work) bool { // ran out while it was read, and another has it
		l := s.leases[w.ID]
		return l == nil || l.token != w.Lease.Token
	})
	if err == nil {
		work = s.claimYoung(work, c, state)
		now, busy := s.young.Moved(c.Site)
		missed = len(work) < c.Limit && (busy || now != moves)
	}
	if err == nil && !missed {
		return work, false, nil
	}
	for i := range work {
		s.endLease(work[i].Lease)
	}
	if _, busy := s.young.Moved(c.Site); missed && busy {
		s.cond.Wait()
	}
	return nil, missed, err
}

// claimYoung adds what may be claimed of young messages, and keeps the first of all in the order of Claim. The caller
// holds mu.
func (s *Store) claimYoung(work []queue.Work, c *queue.Claim, state queue.SiteState) []queue.Work {
	takes := func(d *young.Delivery) bool { return c.Takes(d.Due) && !s.leases[d.ID].runs(c.Now) }
	stored := len(work)
	for _, d := range s.young.At(c.Site, c.Limit, takes) {
		work = append(work, queue.Work{Delivery: d.Delivery.Delivery, Message: d.Of.Message.Message, Was: d.State,
			NextHop: d.At.NextHop, SiteState: state})
	}
	if stored > 0 {
		slices.SortFunc(work, func(a, b queue.Work) int { return c.Compare(&a, &b) })
	}
	for i := range work {
		w := &work[i]
		switch {
		case i >= c.Limit && w.Lease.Token != 0:
			s.endLease(w.Lease)
		case i < c.Limit && w.Lease.Token == 0:
			s.lastToken++
			s.leases[w.ID] = &lease{token: s.lastToken, until: c.Until, was: w.Was}
			w.Lease, w.State = queue.Lease{Delivery: w.ID, Token: s.lastToken}, queue.Sending
		}
	}
	return work[:min(len(work), c.Limit)]
}

// claimStored claims in the database. The writer only picks; the rows are read by the caller, because nobody else
// changes what is leased. The state is that of the site, when the claim names one.
func (s *Store) claimStored(ctx context.Context, c *queue.Claim) ([]queue.Work, queue.SiteState, error) {
	var leases []queue.Lease
	var state queue.SiteState
	err := s.do(ctx, 0, func(t *txn) (err error) {
		if leases, err = t.claim(c); err == nil && c.Site != "" {
			state, err = t.look(c.Site)
		}
		return err
	})
	if err != nil || len(leases) == 0 {
		return nil, state, err
	}
	work, err := s.load(ctx, leases)
	if err != nil {
		s.unlease(leases)
		return nil, state, fmt.Errorf("sqlstore: reading what was claimed: %w", err)
	}
	return work, state, nil
}

// look returns the state of a site, and notes when the database has nothing of it that matters to a claim.
func (t *txn) look(key queue.SiteKey) (state queue.SiteState, err error) {
	site, err := t.FindSite(key)
	if err != nil {
		return state, err
	}
	if site != nil && site.HasState {
		return t.StateOf(site)
	}
	calm := site == nil
	if site != nil {
		waits, err := t.Waits(site)
		if err != nil {
			return state, err
		}
		calm = !waits
	}
	if calm {
		t.s.mu.Lock()
		t.s.young.NoteCalm(key)
		t.s.mu.Unlock()
		t.undo = append(t.undo, func() { t.stir(key) }) // what was seen may be undone with it
	}
	return state, nil
}

// claim picks deliveries and leases them.
func (t *txn) claim(c *queue.Claim) ([]queue.Lease, error) {
	var leases []queue.Lease
	pick := func(r database.Row) error {
		id := queue.DeliveryID(r.Int(0))
		if !t.s.leased(id, c.Now) && t.s.wished(id) == nil {
			leases = append(leases, t.lease(id, stored.LoadState(r.Int(1)), c.Until))
		}
		if len(leases) == c.Limit {
			return database.ErrStop
		}
		return nil
	}
	err := t.Candidates(c, pick)
	return leases, err
}

// lease gives a worker a delivery, also one whose lease ran out.
func (t *txn) lease(id queue.DeliveryID, was queue.State, until time.Time) queue.Lease {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	t.s.lastToken++
	old, l := t.s.leases[id], &lease{token: t.s.lastToken, until: until, was: was}
	t.s.leases[id] = l
	t.undo = append(t.undo, func() { t.s.restore(id, old) })
	return queue.Lease{Delivery: id, Token: l.token}
}

// release ends a lease in this transaction.
func (t *txn) release(id queue.DeliveryID) {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	if old := t.s.leases[id]; old != nil {
		delete(t.s.leases, id)
		t.undo = append(t.undo, func() { t.s.restore(id, old) })
	}
}

// restore puts back what was leased before.
func (s *Store) restore(id queue.DeliveryID, old *lease) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old == nil {
		delete(s.leases, id)
	} else {
		s.leases[id] = old
	}
}

// unlease gives back what could not be read.
func (s *Store) unlease(leases []queue.Lease) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range leases {
		s.endLease(l)
	}
}

// endLease gives up a lease that is still held. The caller holds mu.
func (s *Store) endLease(l queue.Lease) {
	if h := s.leases[l.Delivery]; h != nil && h.token == l.Token {
		delete(s.leases, l.Delivery)
	}
}

// Extend prolongs leases. It waits for the writer, so that it never overtakes a claim in the database that takes the
// lease away; claims of young mail are kept off by mu.
func (s *Store) Extend(ctx context.Context, leases []queue.Lease, until time.Time) error {
	if err := s.gate.Enter(ctx); err != nil {
		return err
	}
	defer s.gate.Leave()
	return s.do(ctx, 0, func(t *txn) error {
		t.s.mu.Lock()
		defer t.s.mu.Unlock()
		held, err := t.s.all(leases)
		if err != nil {
			return err
		}
		for _, l := range held {
			before := l.until
			l.until = until
			t.undo = append(t.undo, func() { t.s.reset(l, before) })
		}
		return nil
	})
}

func (s *Store) reset(l *lease, until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.until = until
}

// all returns the leases if each is held and named once. The caller holds mu.
func (s *Store) all(leases []queue.Lease) ([]*lease, error) {
	held := make([]*lease, 0, len(leases))
	err := queue.AllHeld(leases, func(l queue.Lease) bool {
		h := s.leases[l.Delivery]
		held = append(held, h)
		return h != nil && h.token == l.Token
	})
	return held, err
}
