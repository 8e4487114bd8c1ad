package sqlstore

import (
	"context"
	"maps"
	"slices"

	"postern/internal/queue"
	"postern/internal/queue/database"
	"postern/internal/queue/sqlite"
	"postern/internal/queue/stored"
)

// Act changes states on an administrator's behalf, in small transactions. What came in after the call began may be left
// out.
func (s *Store) Act(ctx context.Context, a queue.Action) (queue.Acted, error) {
	if err := a.Check(); err != nil {
		return queue.Acted{}, err
	}
	if err := s.enter(ctx); err != nil {
		return queue.Acted{}, err
	}
	defer s.calls.Done()
	if err := s.settleDown(ctx); err != nil {
		return queue.Acted{}, err
	}
	if err := s.lapse(ctx, a.Now); err != nil {
		return queue.Acted{}, err
	}
	var ids []queue.DeliveryID
	err := s.read(ctx, func(c *sqlite.Conn) (err error) {
		ids, err = s.search.Selected(ctx, c, &a, s.counted())
		return err
	})
	if err != nil {
		return queue.Acted{}, err
	}
	return stored.Act(ids, func(step []queue.DeliveryID) (stored.Acted, error) {
		var done acted
		err := s.do(ctx, 0, func(t *txn) error {
			done = acted{Acted: stored.NewActed()}
			return t.act(&a, step, &done)
		})
		if err == nil {
			s.spool.RemoveAll(done.files)
		}
		return done.Acted, err
	})
}

// acted is what one transaction of an action did.
type acted struct {
	stored.Acted
	endings
}

func (t *txn) act(a *queue.Action, ids []queue.DeliveryID, done *acted) error {
	rows, err := t.rows(ids)
	if err != nil {
		return err
	}
	for _, d := range rows {
		if !a.Selects(&d.Delivery) {
			continue
		}
		if t.s.leased(d.ID, a.Now) {
			if err := t.ask(a, d, done); err != nil {
				return err
			}
			continue
		}
		was := d.State
		applied, moved := done.Apply(a, &d.Delivery, d.site)
		if !applied {
			continue
		}
		t.release(d.ID)
		if !moved {
			continue
		}
		if err := t.update(d, was, &done.endings); err != nil {
			return err
		}
	}
	if err := t.actOnSites(a, done); err != nil {
		return err
	}
	return t.closeMessages(&done.endings)
}

// rows reads the waiting deliveries among ids, with the columns that an action looks at and update writes.
func (t *txn) rows(ids []queue.DeliveryID) (out []*deliveryRow, err error) {
	err = t.c.Query(context.Background(), "SELECT "+stored.RecordColumns+", s.key FROM json_each(?) j CROSS JOIN "+
		"delivery d ON d.id = j.value CROSS JOIN message m ON m.Seq = d.id >> 20 CROSS JOIN site s ON s.id = d.site"+
		" WHERE d.state <= 2", func(r database.Row) error {
		rec, err := stored.Scan(r)
		if err == nil {
			rec.Site = queue.SiteKey(r.Text(19))
			out = append(out, &deliveryRow{Delivery: rec.Delivery, site: rec.SiteID, facts: rec.Facts})
		}
		return err
	}, sqlite.List(ids))
	return out, err
}

// actOnSites names the touched sites and, for Retry, lets their next probes go.
func (t *txn) actOnSites(a *queue.Action, done *acted) error {
	var late []int64
	err := t.c.Query(context.Background(), "SELECT s.key, s.id, coalesce(s.retry_at > ?, 0) FROM json_each(?) j"+
		" CROSS JOIN site s ON s.id = j.value", func(r database.Row) error {
		done.Keys[queue.SiteKey(r.Text(0))] = true
		if r.Int(2) != 0 {
			late = append(late, r.Int(1))
		}
		return nil
	}, a.Now.UnixMicro(), sqlite.List(slices.Sorted(maps.Keys(done.Sites))))
	if err != nil || a.Kind != queue.Retry {
		return err
	}
	for _, id := range late {
		if err := t.Exec("UPDATE site SET retry_at = ? WHERE id = ?", a.Now.UnixMicro(), id); err != nil {
			return err
		}
	}
	return nil
}
