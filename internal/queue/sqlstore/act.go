package sqlstore

import (
	"context"

	"postern/internal/queue"
	"postern/internal/queue/sqlite"
	"postern/internal/queue/sqltables"
	"postern/internal/queue/stored"
)

// Act changes states on an administrator's behalf, in small transactions. What came in after the call began may be left
// out.
func (s *Store) Act(ctx context.Context, a queue.Action) (queue.Acted, error) {
	if err := a.Check(); err != nil {
		return queue.Acted{}, err
	}
	if err := s.gate.Enter(ctx); err != nil {
		return queue.Acted{}, err
	}
	defer s.gate.Leave()
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
			s.spool.RemoveAll(done.Files)
		}
		return done.Acted, err
	})
}

// acted is what one transaction of an action did.
type acted struct {
	stored.Acted
	sqltables.Endings
}

func (t *txn) act(a *queue.Action, ids []queue.DeliveryID, done *acted) error {
	rows, err := t.Waiting(ids)
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
		applied, moved := done.Apply(a, &d.Delivery, d.SiteID)
		if !applied {
			continue
		}
		t.release(d.ID)
		if !moved {
			continue
		}
		if err := t.Update(d, was, &done.Endings); err != nil {
			return err
		}
	}
	if err := t.ActOnSites(a, &done.Acted); err != nil {
		return err
	}
	return t.CloseMessages(&done.Endings)
}
