package pgstore

import (
	"context"

	"postern/internal/queue"
	"postern/internal/queue/database"
	"postern/internal/queue/postgres"
	"postern/internal/queue/search"
	"postern/internal/queue/stored"
)

// reads are what the store is asked for and does not change.
type reads = search.Answers

// searched are the tables as a search uses them.
type searched struct{ s *Store }

// Begin counts a question in.
func (d searched) Begin(ctx context.Context) (end func(), err error) {
	return d.s.gate.Leave, d.s.gate.Enter(ctx)
}

// Read lends a reading connection.
func (d searched) Read(ctx context.Context, do func(db database.Reader) error) error {
	return d.s.read(ctx, func(c *postgres.Conn) error { return do(c) })
}

// begun is what tells the leases of what somebody has begun with from those of what is only kept: by this process as
// its memory says, by another as far as it ever told.
const begun = " AND (l.worker <> '" + keptMark + "' OR l.owner = ?1 AND l.delivery <> ALL(?2::bigint[]))"

// MarkSending gives leased deliveries their state.
func (d searched) MarkSending(ctx context.Context, db database.Reader, rs []queue.Record) error {
	var ids []int64
	for i := range rs {
		if rs[i].State.Waiting() {
			ids = append(ids, int64(rs[i].ID))
		}
	}
	if len(ids) == 0 {
		return nil
	}
	leased := map[queue.DeliveryID]bool{}
	err := db.Query(ctx, "SELECT delivery FROM lease l WHERE delivery = ANY(?3::bigint[])"+begun,
		func(r database.Row) error {
			leased[queue.DeliveryID(r.Int(0))] = true
			return nil
		}, d.s.owner, d.s.kept.Waiting(), ids)
	for i := range rs {
		if leased[rs[i].ID] && rs[i].State.Waiting() {
			rs[i].State = queue.Sending
		}
	}
	return err
}

// countsQuery sums what the writers counted.
const countsQuery = `SELECT t.skew, w.* FROM totals t, (SELECT coalesce(sum(queued), 0)::bigint, coalesce(sum(held), 0)::bigint,
	coalesce(sum(delivered), 0)::bigint, coalesce(sum(failed), 0)::bigint, coalesce(sum(cancelled), 0)::bigint,
	coalesce(sum(body_bytes), 0)::bigint FROM writer) w`

// Known is what the writers counted. Times of acceptance do not follow the numbers of messages: clocks of gateways
// differ, and one takes its number before another and commits after it. What lay behind what was there already by more
// than skewStep is written down (see addMail); two that were stored at once, and did not see each other, lie no further
// apart than skewMost.
func (searched) Known(ctx context.Context, db database.Reader) (out search.Known, err error) {
	err = db.Query(ctx, countsQuery, func(r database.Row) error {
		out.Skew = r.Int(0) + (skewStep + skewMost).Microseconds()
		out.States = stored.ScanCounts(r, 1)
		return nil
	})
	return out, err
}

// Stats counts deliveries and the bytes of bodies; it costs the same however much is stored.
func (s *Store) Stats(ctx context.Context) (out queue.Stats, err error) {
	if err := s.gate.Enter(ctx); err != nil {
		return out, err
	}
	defer s.gate.Leave()
	err = s.readWhole(ctx, func(c *postgres.Conn) error {
		err := c.Query(ctx, countsQuery, func(r database.Row) error {
			states := stored.ScanCounts(r, 1)
			out.States, out.BodyBytes = states.States(), r.Int(6)
			return nil
		})
		if err != nil {
			return err
		}
		err = c.Query(ctx, "SELECT d.state, count(*) FROM lease l JOIN delivery d ON d.id = l.delivery WHERE true"+
			begun+" GROUP BY 1", func(r database.Row) error {
			stored.Lease(out.States, stored.LoadState(r.Int(0)), r.Int(1))
			return nil
		}, s.owner, s.kept.Waiting())
		if err != nil {
			return err
		}
		return c.Query(ctx, `SELECT accepted FROM message WHERE seq = (SELECT min(id) >> 20 FROM (
			SELECT min(id) AS id FROM delivery WHERE state = 1 UNION ALL SELECT min(id) FROM delivery WHERE state = 2) w)`, func(r database.Row) error {
			out.Oldest = r.Time(0)
			return nil
		})
	})
	return out, err
}
