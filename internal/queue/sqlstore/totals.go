package sqlstore

import (
	"context"

	"postern/internal/queue"
	"postern/internal/queue/database"
	"postern/internal/queue/sqlite"
	"postern/internal/queue/sqltables"
	"postern/internal/queue/stored"
)

// oldestQuery looks up the oldest waiting delivery in the table of what was not delivered; oldestWalk takes one pass
// over what waits, and knows also what an older form wrote and that is not in the table yet.
const (
	oldestQuery = "SELECT accepted FROM message WHERE seq = (SELECT min(id) >> 20 FROM" +
		" (SELECT min(id) AS id FROM undelivered WHERE state = 1" +
		" UNION ALL SELECT min(id) FROM undelivered WHERE state = 2))"
	oldestWalk = "SELECT accepted FROM message WHERE seq =" +
		" (SELECT min(id) >> 20 FROM delivery INDEXED BY delivery_open WHERE state <= 2)"
)

// Stats counts deliveries and the bytes of bodies; it costs the same however much is stored.
func (s *Store) Stats(ctx context.Context) (queue.Stats, error) {
	var out queue.Stats
	if err := s.gate.Enter(ctx); err != nil {
		return out, err
	}
	defer s.gate.Leave()
	s.mu.Lock()
	states, bodyBytes := s.young.Counts()
	for n, stored := range s.totals.States {
		states[n] += stored
	}
	out.States = states.States()
	for _, l := range s.leases {
		stored.Lease(out.States, l.was, 1)
	}
	out.BodyBytes = s.totals.BodyBytes + bodyBytes
	oldest := s.young.Oldest()
	s.mu.Unlock()
	err := s.read(ctx, func(c *sqlite.Conn) error {
		whole, err := sqltables.Filled(ctx, c)
		if err != nil {
			return err
		}
		text := oldestQuery
		if !whole {
			text = oldestWalk
		}
		return c.Query(ctx, text, func(r database.Row) error {
			out.Oldest = r.Time(0)
			return database.ErrStop
		})
	})
	if !oldest.IsZero() && (out.Oldest.IsZero() || oldest.Before(out.Oldest)) {
		out.Oldest = oldest
	}
	return out, err
}
