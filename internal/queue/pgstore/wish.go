package pgstore

import (
	"context"
	"slices"
	"time"

	"postern/internal/queue"
	"postern/internal/queue/database"
	"postern/internal/queue/postgres"
	"postern/internal/queue/stored"
)

// What is wished of a delivery stands in its facts, so that the record keeps it. While it is still to be carried out a
// row of the table wish names the delivery, so that every gateway knows.

// ask notes an action on a delivery under a lease.
func (t *txn) ask(a *queue.Action, d *deliveryRow, done *stored.Acted) error {
	if !done.Ask(a, &d.Delivery, d.site) {
		return nil
	}
	return t.setWish(d, d.Wish, d.Wish)
}

// setWish plans what the record keeps as wished, and what of it is still to be carried out.
func (t *txn) setWish(d *deliveryRow, kept, pending *queue.Wish) (err error) {
	if d.facts, err = stored.WithWish(d.facts, kept); err != nil {
		return err
	}
	put(&t.facts, d.ID, d.facts)
	put(&t.wishes, d.ID, pending)
	return nil
}

// collect gathers the first column.
func collect(into *[]queue.DeliveryID) func(r database.Row) error {
	return func(r database.Row) error {
		*into = append(*into, queue.DeliveryID(r.Int(0)))
		return nil
	}
}

// lapse carries out what is wished of deliveries whose leases have run out.
func (s *Store) lapse(ctx context.Context, now time.Time) error {
	defer s.kept.Stir()
	var ids []queue.DeliveryID
	err := s.readSoon(ctx, func(c *postgres.Conn) error {
		return c.Query(ctx, "SELECT w.delivery"+lapsedWishes+" ORDER BY w.delivery", collect(&ids), now.UnixMicro())
	})
	if err != nil {
		return err
	}
	for chunk := range slices.Chunk(ids, stored.Step) {
		err := s.others.do(ctx, 0, func(t *txn) error {
			t.then(func() error { return t.lapse(chunk, now) })
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *txn) lapse(ids []queue.DeliveryID, now time.Time) error {
	rows, leased, err := t.waiting(ids, now)
	if err != nil {
		return err
	}
	var ends queue.WishEnds
	for _, d := range rows {
		if d.Wish == nil || leased[d.ID] { // carried out, or prolonged, a moment ago
			continue
		}
		if err := t.carryOut(d, now, &ends); err != nil {
			return err
		}
	}
	t.entries = append(t.entries, ends.Entries()...)
	return nil
}

// carryOut does what is wished of a delivery that waits and that nobody has leased.
func (t *txn) carryOut(d *deliveryRow, now time.Time, ends *queue.WishEnds) error {
	wish, was := d.Wish, d.State
	d.CarryOut(now)
	t.ended = append(t.ended, int64(d.ID))
	ends.Add(wish, &d.Delivery, now)
	t.move(&d.Delivery, was)
	return t.setWish(d, d.Wish, nil)
}
