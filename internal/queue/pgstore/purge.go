package pgstore

import (
	"context"
	"slices"
	"time"

	"postern/internal/queue/database"
	"postern/internal/queue/pgtables"
	"postern/internal/queue/postgres"
)

// purgeChunk is how many messages one transaction deletes.
const purgeChunk = 200

// Purge deletes up to limit finished messages, oldest first, in small transactions; sites that no delivery refers to go
// too, and bodies that no waiting message has. Several gateways may do so at once.
func (s *Store) Purge(ctx context.Context, before time.Time, limit int) (n int, err error) {
	if err := s.gate.Enter(ctx); err != nil {
		return 0, err
	}
	defer s.gate.Leave()
	var seqs []int64
	err = s.read(ctx, func(c *postgres.Conn) error {
		known, err := searched{s}.Known(ctx, c)
		if err != nil {
			return err
		}
		_, hi, err := s.search.SeqRange(ctx, c, known, time.Time{}, before)
		if err == nil {
			seqs, err = s.search.Finished(ctx, c, hi, before, limit)
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	for chunk := range slices.Chunk(seqs, purgeChunk) {
		gone := 0
		err := s.others.do(ctx, 0, func(t *txn) error {
			t.then(func() (err error) {
				gone, err = t.purge(chunk)
				return err
			})
			return nil
		})
		if err != nil {
			return n, err
		}
		n += gone
	}
	return n, s.tidy(ctx, before)
}

// purge deletes messages with all that belongs to them, and tells how many it found.
func (t *txn) purge(seqs []int64) (int, error) {
	n, err := t.Changed("DELETE FROM message WHERE seq = ANY(?::bigint[])", seqs)
	if err != nil {
		return 0, err
	}
	err = t.Query(t.ctx, `WITH gone AS (DELETE FROM delivery d USING unnest(?::bigint[]) u(seq)
		WHERE d.id >= u.seq << 20 AND d.id < (u.seq + 1) << 20 RETURNING d.id, d.state, d.attempts),
		tried AS (DELETE FROM attempt a USING gone g WHERE g.attempts > 0 AND a.id >= g.id << 4 AND a.id < (g.id + 1) << 4)
		SELECT state, count(*) FROM gone GROUP BY state`, func(r database.Row) error {
		t.states[r.Int(0)] -= r.Int(1)
		return nil
	}, seqs)
	t.wrote = true
	return int(n), err
}

// tidy deletes sites without deliveries, unless they still keep somebody from being hammered, and what sweep does.
func (s *Store) tidy(ctx context.Context, before time.Time) error {
	const unused = ` FROM site s WHERE (s.failures = 0 OR coalesce(s.retry_at, 0) < ?)
		AND (SELECT d.id FROM delivery d WHERE d.site = s.id LIMIT 1) IS NULL`
	found := false
	err := s.read(ctx, func(c *postgres.Conn) error {
		return c.Query(ctx, "SELECT 1"+unused+" LIMIT 1", func(database.Row) error {
			found = true
			return nil
		}, before.UnixMicro())
	})
	if err == nil && found { // nobody may begin to use one meanwhile
		err = s.others.do(ctx, 0, func(t *txn) error {
			put(&t.locks, pgtables.LockSites, true)
			t.then(func() error { return t.Exec("DELETE"+unused, before.UnixMicro()) })
			return nil
		})
	}
	if err != nil {
		return err
	}
	return s.sweep(ctx)
}

// sweepEvery is how often bodies that nobody needs are looked for.
const sweepEvery = time.Minute

// sweepLoop sweeps until the store is closed.
func (s *Store) sweepLoop() {
	s.each(sweepEvery, func() { _ = s.sweep(s.life) }) // what goes wrong is tried again
}

// each does something again and again until the store is closed.
func (s *Store) each(pause time.Duration, do func()) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
			do()
		}
	}
}

// sweepChunk is how many bodies one transaction sweeps away.
const sweepChunk = 8

// sweep deletes the chunks of bodies that no waiting message has and whose time is over, and rows of writers that are
// no more, whose counts go to a common one.
func (s *Store) sweep(ctx context.Context) error {
	for more := true; more; {
		err := s.others.do(ctx, 0, func(t *txn) error {
			t.then(func() error {
				n, err := t.Number(ctx, `WITH gone AS (DELETE FROM draft WHERE body = ANY(ARRAY(SELECT body FROM draft WHERE until < now()
					ORDER BY body LIMIT ? FOR UPDATE SKIP LOCKED)) RETURNING body),
					chunks AS (DELETE FROM chunk USING gone WHERE chunk.body = gone.body)
					SELECT count(*) FROM gone`, int64(sweepChunk))
				more = n == sweepChunk
				t.wrote = t.wrote || n > 0
				return err
			})
			return nil
		})
		if err != nil {
			return err
		}
	}
	return s.others.do(ctx, 0, func(t *txn) error {
		t.then(func() error {
			n, err := t.Number(ctx, `WITH gone AS (DELETE FROM writer WHERE id <> 0 AND seen < now() - interval '1 day' RETURNING *),
				kept AS (INSERT INTO writer (`+pgtables.WriterColumns+`)
					SELECT 0, 0, sum(queued)::bigint, sum(held)::bigint, sum(delivered)::bigint, sum(failed)::bigint,
						sum(cancelled)::bigint, sum(body_bytes)::bigint FROM gone HAVING count(*) > 0
					ON CONFLICT (id) DO UPDATE SET `+addCounts+`)
				SELECT count(*) FROM gone`)
			t.wrote = t.wrote || n > 0
			return err
		})
		return nil
	})
}
