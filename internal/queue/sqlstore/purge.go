package sqlstore

import (
	"context"
	"slices"
	"time"

	"postern/internal/queue/database"
	"postern/internal/queue/sqlite"
	"postern/internal/queue/stored"
)

// purgeChunk is how many messages one request to the writer deletes.
const purgeChunk = 50

// Purge deletes up to limit finished messages, oldest first, in small transactions; the pages they held are used again
// for new ones, the file does not shrink. Sites that no delivery refers to go too.
func (s *Store) Purge(ctx context.Context, before time.Time, limit int) (int, error) {
	if err := s.enter(ctx); err != nil {
		return 0, err
	}
	defer s.calls.Done()
	if err := s.settleDown(ctx); err != nil {
		return 0, err
	}
	if s.spool.Unswept() {
		if err := s.sweep(ctx); err != nil {
			return 0, err
		}
	}
	seqs, err := s.finished(ctx, before, limit)
	if err != nil {
		return 0, err
	}
	n := 0
	for chunk := range slices.Chunk(seqs, purgeChunk) {
		if err := s.do(ctx, 0, func(t *txn) error { return t.purge(chunk) }); err != nil {
			return n, err
		}
		n += len(chunk)
	}
	return n, s.do(ctx, 0, func(t *txn) error { return t.purgeSites(before) })
}

// finished lists messages all of whose deliveries ended before the time.
func (s *Store) finished(ctx context.Context, before time.Time, limit int) (seqs []int64, err error) {
	err = s.read(ctx, func(c *sqlite.Conn) error {
		_, hi, err := s.search.SeqRange(ctx, c, s.counted(), time.Time{}, before)
		if err != nil {
			return err
		}
		s.mu.Lock()
		hi = min(hi, s.applied) // what the journal may still tell of must be found here
		s.mu.Unlock()
		seqs, err = s.search.Finished(ctx, c, hi, before, limit)
		return err
	})
	return seqs, err
}

// sweep deletes the files of bodies that no message names.
func (s *Store) sweep(ctx context.Context) error {
	return s.spool.Sweep(func(name string) (named bool, err error) {
		err = s.read(ctx, func(c *sqlite.Conn) error {
			n, err := c.Number(ctx, "SELECT count(*) FROM message WHERE file = ?", name)
			named = n > 0
			return err
		})
		return named, err
	})
}

// purge deletes messages with all that belongs to them.
func (t *txn) purge(seqs []int64) error {
	for _, seq := range seqs {
		lo, hi := int64(stored.ID(seq, 0)), int64(stored.ID(seq+1, 0))
		err := t.c.Query(context.Background(), "SELECT site, state FROM delivery WHERE id >= ? AND id < ?",
			func(r database.Row) error {
				t.refs[r.Int(0)]--
				t.totals.states[r.Int(1)]--
				return nil
			}, lo, hi)
		if err == nil {
			err = t.Exec("DELETE FROM message WHERE seq = ?", seq)
		}
		if err == nil {
			err = t.Exec("DELETE FROM attempt WHERE id >= ? AND id < ?", lo*stored.Slots, hi*stored.Slots)
		}
		if err == nil {
			err = t.Exec("DELETE FROM delivery WHERE id >= ? AND id < ?", lo, hi)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// purgeSites deletes sites without deliveries, unless they still keep somebody from being hammered.
func (t *txn) purgeSites(before time.Time) error {
	const unused = " WHERE refs = 0 AND (failures = 0 OR coalesce(retry_at, 0) < ?)"
	if err := t.flushRefs(); err != nil {
		return err
	}
	n, err := t.c.Number(context.Background(), "SELECT count(*) FROM site INDEXED BY site_unused"+unused,
		before.UnixMicro())
	if err != nil || n == 0 {
		return err
	}
	clear(t.sites)
	return t.Exec("DELETE FROM site"+unused, before.UnixMicro())
}
