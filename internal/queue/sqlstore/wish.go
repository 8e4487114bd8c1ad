package sqlstore

import (
	"context"
	"slices"
	"time"

	"postern/internal/queue"
	"postern/internal/queue/database"
	"postern/internal/queue/sqlite"
	"postern/internal/queue/sqlrecords"
	"postern/internal/queue/sqltables"
	"postern/internal/queue/stored"
)

// What is wished of a delivery stands in its facts, so that the record keeps it. While it is still to be carried out a
// row of the table wish names the delivery, and Store.wishes has it in memory: a lease that ended with its process is
// found by them.

// readWishes learns what the last process left to be carried out. Its leases are gone, so the first Claim does it.
func (s *Store) readWishes(c *sqlite.Conn) error {
	return c.Query(context.Background(), "SELECT w.delivery, d.facts FROM wish w CROSS JOIN delivery d"+
		" ON d.id = w.delivery", func(r database.Row) error {
		w, err := stored.WishIn(r.Text(1))
		if err == nil && w != nil {
			s.wishes[queue.DeliveryID(r.Int(0))] = w
		}
		return err
	})
}

// ask notes an action on a delivery under a lease.
func (t *txn) ask(a *queue.Action, d *sqltables.Row, done *acted) error {
	if !done.Ask(a, &d.Delivery, d.SiteID) {
		return nil
	}
	return t.setWish(d, d.Wish, d.Wish)
}

// setWish writes what the record keeps as wished, and what of it is still to be carried out.
func (t *txn) setWish(d *sqltables.Row, kept, pending *queue.Wish) error {
	if err := t.SetWish(d, kept, pending != nil); err != nil {
		return err
	}
	t.remember(d.ID, pending)
	return nil
}

// remember sets what is wished in memory, as part of the transaction; nil is nothing.
func (t *txn) remember(id queue.DeliveryID, w *queue.Wish) {
	set := func(w *queue.Wish) {
		t.s.mu.Lock()
		defer t.s.mu.Unlock()
		if w == nil {
			delete(t.s.wishes, id)
		} else {
			t.s.wishes[id] = w
		}
	}
	before := t.s.wished(id)
	set(w)
	t.undo = append(t.undo, func() { set(before) })
}

// wished is what is still to be carried out on a delivery, nil for nothing.
func (s *Store) wished(id queue.DeliveryID) *queue.Wish {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wishes[id]
}

// Wished returns what is not to be sent any more. It looks in memory only.
func (s *Store) Wished(ctx context.Context, ids []queue.DeliveryID) ([]queue.DeliveryID, error) {
	if err := s.gate.Enter(ctx); err != nil {
		return nil, err
	}
	defer s.gate.Leave()
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []queue.DeliveryID
	for _, id := range ids {
		if s.wishes[id].Withdraws() {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out, nil
}

// lapse carries out what is wished of deliveries whose leases have run out.
func (s *Store) lapse(ctx context.Context, now time.Time) error {
	for chunk := range slices.Chunk(s.lapsed(now), stored.Step) {
		var e sqltables.Endings
		err := s.do(ctx, 0, func(t *txn) error {
			e = sqltables.Endings{}
			return t.lapse(chunk, now, &e)
		})
		if err != nil {
			return err
		}
		s.spool.RemoveAll(e.Files)
	}
	return nil
}

// lapsed lists, in order, the deliveries with a wish and without a lease that runs.
func (s *Store) lapsed(now time.Time) (ids []queue.DeliveryID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range s.wishes {
		if !s.leases[id].runs(now) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

func (t *txn) lapse(ids []queue.DeliveryID, now time.Time, e *sqltables.Endings) error {
	rows, err := t.Waiting(ids)
	if err != nil {
		return err
	}
	var ends queue.WishEnds
	for _, d := range rows {
		wish, was := d.Wish, d.State
		if wish == nil || t.s.leased(d.ID, now) { // carried out, or prolonged, a moment ago
			continue
		}
		d.CarryOut(now)
		t.release(d.ID)
		ends.Add(wish, &d.Delivery, now)
		if err := t.Update(d, was, e); err != nil {
			return err
		}
		if err := t.setWish(d, d.Wish, nil); err != nil {
			return err
		}
	}
	if err := t.CloseMessages(e); err != nil {
		return err
	}
	return t.appendEnds(&ends)
}

// appendEnds writes the entries of wishes that ended in this transaction.
func (t *txn) appendEnds(ends *queue.WishEnds) error {
	for _, entry := range ends.Entries() {
		if err := sqlrecords.Append(t, entry); err != nil {
			return err
		}
	}
	return nil
}
