package sqlstore

import (
	"context"
	"slices"
	"time"

	"postern/internal/queue/sqlite"
)

// purgeChunk is how many messages one request to the writer deletes.
const purgeChunk = 50

// Purge deletes up to limit finished messages, oldest first, in small transactions; the pages they held are used again
// for new ones, the file does not shrink. Sites that no delivery refers to go too.
func (s *Store) Purge(ctx context.Context, before time.Time, limit int) (int, error) {
	if err := s.gate.Enter(ctx); err != nil {
		return 0, err
	}
	defer s.gate.Leave()
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
		if err := s.do(ctx, 0, func(t *txn) error { return t.Purge(chunk) }); err != nil {
			return n, err
		}
		n += len(chunk)
	}
	return n, s.do(ctx, 0, func(t *txn) error { return t.PurgeSites(before) })
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
