package pgstore

import (
	"context"
	"iter"
	"time"

	"postern/internal/queue"
	"postern/internal/queue/database"
	"postern/internal/queue/postgres"
	"postern/internal/queue/search"
	"postern/internal/queue/stored"
)

// List yields records, the newest acceptance first.
func (s *Store) List(ctx context.Context, f queue.Filter) iter.Seq2[queue.Record, error] {
	return func(yield func(queue.Record, error) bool) {
		if err := s.enter(ctx); err != nil {
			yield(queue.Record{}, err)
			return
		}
		defer s.calls.Done()
		known, err := s.known(ctx)
		if err != nil {
			yield(queue.Record{}, err)
			return
		}
		s.search.List(ctx, searched{s, known}, &f, yield)
	}
}

// searched are the tables as a search uses them.
type searched struct {
	s     *Store
	known search.Known
}

// Read lends a reading connection.
func (d searched) Read(ctx context.Context, do func(db database.Reader) error) error {
	return d.s.read(ctx, func(c *postgres.Conn) error { return do(c) })
}

// Known is what was counted when the search began.
func (d searched) Known() search.Known { return d.known }

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
		}, d.s.owner, d.s.kept.waiting(), ids)
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

// known is what searches are told. Times of acceptance do not follow the numbers of messages: clocks of gateways
// differ, and one takes its number before another and commits after it. What lay behind what was there already by more
// than skewStep is written down (see addMail); two that were stored at once, and did not see each other, lie no further
// apart than skewMost.
func (s *Store) known(ctx context.Context) (out search.Known, err error) {
	err = s.read(ctx, func(c *postgres.Conn) error {
		return c.Query(ctx, countsQuery, func(r database.Row) error {
			out.Skew = r.Int(0) + (skewStep + skewMost).Microseconds()
			for i := range 5 {
				out.States[stored.Queued+i] = r.Int(1 + i)
			}
			return nil
		})
	})
	return out, err
}

// Sites lists the sites where mail waits or that fail, by key.
func (s *Store) Sites(ctx context.Context) (out []queue.Site, err error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	err = s.read(ctx, func(c *postgres.Conn) (err error) {
		out, err = s.search.Sites(ctx, c)
		return err
	})
	return out, err
}

// TookMail looks through the newest deliveries for sites that took mail.
func (s *Store) TookMail(ctx context.Context, since time.Time, limit int) (out map[queue.SiteKey]time.Time, err error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	err = s.read(ctx, func(c *postgres.Conn) (err error) {
		out, err = s.search.TookMail(ctx, c, since, limit)
		return err
	})
	return out, err
}

// Stats counts deliveries and the bytes of bodies; it costs the same however much is stored.
func (s *Store) Stats(ctx context.Context) (queue.Stats, error) {
	out := queue.Stats{States: map[queue.State]int64{}}
	if err := s.enter(ctx); err != nil {
		return out, err
	}
	defer s.calls.Done()
	err := postgres.Translate(s.readers.Whole(ctx, func(c *postgres.Conn) error {
		err := c.Query(ctx, countsQuery, func(r database.Row) error {
			for n := int64(stored.Queued); n <= stored.Cancelled; n++ {
				if count := r.Int(int(n)); count > 0 {
					out.States[stored.LoadState(n)] = count
				}
			}
			out.BodyBytes = r.Int(6)
			return nil
		})
		if err != nil {
			return err
		}
		err = c.Query(ctx, "SELECT d.state, count(*) FROM lease l JOIN delivery d ON d.id = l.delivery WHERE true"+
			begun+" GROUP BY 1", func(r database.Row) error {
			was, n := stored.LoadState(r.Int(0)), r.Int(1)
			out.States[queue.Sending] += n
			if out.States[was] -= n; out.States[was] <= 0 {
				delete(out.States, was)
			}
			return nil
		}, s.owner, s.kept.waiting())
		if err != nil {
			return err
		}
		return c.Query(ctx, `SELECT accepted FROM message WHERE seq = (SELECT min(id) >> 20 FROM (
			SELECT min(id) AS id FROM delivery WHERE state = 1 UNION ALL SELECT min(id) FROM delivery WHERE state = 2) w)`, func(r database.Row) error {
			out.Oldest = r.Time(0)
			return nil
		})
	}))
	return out, err
}
