package pgstore

import (
	"context"
	"maps"
	"slices"
	"time"

	"postern/internal/queue"
	"postern/internal/queue/database"
	"postern/internal/queue/postgres"
	"postern/internal/queue/stored"
)

// Act changes states on an administrator's behalf, in small transactions. What came in after the call began may be left
// out.
func (s *Store) Act(ctx context.Context, a queue.Action) (out queue.Acted, err error) {
	if err := a.Check(); err != nil {
		return out, err
	}
	if err := s.gate.Enter(ctx); err != nil {
		return out, err
	}
	defer s.gate.Leave()
	s.giveBack("", s.kept.Drop("", a.Selects))
	if err := s.kept.Rest(ctx, ""); err != nil {
		return out, err
	}
	defer s.kept.Stir()
	if err := s.lapse(ctx, a.Now); err != nil {
		return out, err
	}
	var ids []queue.DeliveryID
	err = s.read(ctx, func(c *postgres.Conn) error {
		known, err := searched{s}.Known(ctx, c)
		if err == nil {
			ids, err = s.search.Selected(ctx, c, &a, known)
		}
		return err
	})
	if err != nil {
		return out, err
	}
	return stored.Act(ids, func(step []queue.DeliveryID) (done stored.Acted, err error) {
		err = s.others.do(ctx, 0, func(t *txn) error {
			if err := t.sound(); err != nil {
				return err
			}
			done = stored.NewActed()
			t.then(func() error { return t.act(&a, step, &done) })
			return nil
		})
		return done, err
	})
}

func (t *txn) act(a *queue.Action, ids []queue.DeliveryID, done *stored.Acted) error {
	rows, leased, err := t.waiting(ids, a.Now)
	if err != nil {
		return err
	}
	var ends queue.WishEnds
	for _, d := range rows {
		if !a.Selects(&d.Delivery) {
			continue
		}
		if leased[d.ID] {
			if err := t.ask(a, d, done); err != nil {
				return err
			}
			continue
		}
		if d.Wish != nil { // its lease was given back a moment ago
			if err := t.carryOut(d, a.Now, &ends); err != nil {
				return err
			}
			if !d.State.Waiting() {
				continue
			}
		}
		was := d.State
		applied, moved := done.Apply(a, &d.Delivery, d.site)
		if !applied {
			continue
		}
		t.ended = append(t.ended, int64(d.ID))
		if moved {
			t.move(&d.Delivery, was)
		}
	}
	t.entries = append(t.entries, ends.Entries()...)
	return t.actOnSites(a, done)
}

// waiting reads and locks the waiting deliveries among ids, with what an action looks at, and says which are under a
// lease that runs at now.
func (t *txn) waiting(ids []queue.DeliveryID,
	now time.Time) (out []*deliveryRow, leased map[queue.DeliveryID]bool, err error) {
	list := postgres.Dialect().List(ids)
	err = t.Query(t.ctx, "SELECT "+stored.StateColumns+", s.key FROM delivery d JOIN message m ON m.seq = d.id >> 20"+
		" JOIN site s ON s.id = d.site WHERE d.id = ANY(?::bigint[]) AND d.state <= 2 ORDER BY d.id FOR UPDATE OF d",
		func(r database.Row) error {
			rec, err := stored.Scan(r)
			if err == nil {
				rec.Site = queue.SiteKey(r.Text(stored.StateWidth))
				out = append(out, &deliveryRow{Delivery: rec.Delivery, site: rec.SiteID, facts: rec.Facts})
			}
			return err
		}, list)
	if err != nil {
		return nil, nil, err
	}
	// Only now: who leased one of them had it locked.
	leased = map[queue.DeliveryID]bool{}
	err = t.Query(t.ctx, "SELECT delivery FROM lease WHERE delivery = ANY(?::bigint[]) AND until > ?",
		func(r database.Row) error {
			leased[queue.DeliveryID(r.Int(0))] = true
			return nil
		}, list, now.UnixMicro())
	return out, leased, err
}

// actOnSites names the touched sites and, for Retry, lets their next probes go.
func (t *txn) actOnSites(a *queue.Action, done *stored.Acted) error {
	ids := slices.Sorted(maps.Keys(done.Sites))
	if len(ids) == 0 {
		return nil
	}
	err := t.Query(t.ctx, "SELECT key FROM site WHERE id = ANY(?::bigint[])", func(r database.Row) error {
		done.Keys[queue.SiteKey(r.Text(0))] = true
		return nil
	}, ids)
	if err != nil || a.Kind != queue.Retry {
		return err
	}
	return t.Exec("UPDATE site SET retry_at = ?1 WHERE id = ANY(?2::bigint[]) AND retry_at > ?1", a.Now.UnixMicro(),
		ids)
}
