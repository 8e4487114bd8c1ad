package sqlstore

import (
	"context"
	"time"

	"postern/internal/queue/sqlite"
	"postern/internal/queue/stored"
)

// Records that an older form wrote come into the tables of form 9 while the store is used, the newest first: so many
// messages in a transaction, with a pause after each, so that mail is not held up.
const (
	fillChunk = 1000
	fillPause = 50 * time.Millisecond
	fillRetry = time.Second
)

// fillLoop ends when everything is in the tables.
func (s *Store) fillLoop() {
	for wait := time.Duration(0); ; {
		select {
		case <-s.stop:
			return
		case <-time.After(wait):
		}
		whole, err := s.fill(context.Background())
		if whole {
			return
		}
		if wait = fillPause; err != nil {
			wait = fillRetry
		}
	}
}

// fill brings one portion in; whole says that none is left.
func (s *Store) fill(ctx context.Context) (whole bool, err error) {
	err = s.read(ctx, func(c *sqlite.Conn) (err error) {
		whole, err = filled(ctx, c)
		return err
	})
	if whole || err != nil {
		return whole, err
	}
	return false, s.doWithin(ctx, 0, 0, func(t *txn) error { return t.fill() })
}

// filled reports whether every message is in the tables.
func filled(ctx context.Context, c *sqlite.Conn) (bool, error) {
	n, err := c.Number(ctx, "SELECT count(*) FROM totals WHERE indexed > (SELECT coalesce(min(seq), indexed) FROM "+
		"message)")
	return n == 0, err
}

// fill goes on from where the tables begin. Messages that are gone leave gaps, and a chunk is a number of messages.
func (t *txn) fill() error {
	ctx := context.Background()
	from, err := t.c.Number(ctx, "SELECT indexed FROM totals")
	if err != nil {
		return err
	}
	to, err := t.c.Number(ctx, "SELECT min(seq) FROM (SELECT seq FROM message WHERE seq < ? ORDER BY seq DESC LIMIT ?)",
		from, int64(fillChunk))
	if err != nil {
		return err
	}
	lo, hi := int64(stored.ID(to, 0)), int64(stored.ID(from, 0))
	for _, one := range []struct {
		text   string
		lo, hi int64
	}{
		{"INSERT OR IGNORE INTO party SELECT seq >> 12, " + sqlite.DomainIn("sender") + ", seq FROM message WHERE " +
			"seq >= ? AND seq < ? AND sender <> ''", to, from},
		{"INSERT OR IGNORE INTO party SELECT id >> 32, " + sqlite.DomainIn("address") + ", id >> 20 FROM delivery " +
			"WHERE id >= ? AND id < ?", lo, hi},
		{"INSERT OR IGNORE INTO undelivered SELECT state, id FROM delivery WHERE id >= ? AND id < ? AND state <> 3", lo,
			hi},
	} {
		if err := t.Exec(one.text, one.lo, one.hi); err != nil {
			return err
		}
	}
	return t.Exec("UPDATE totals SET indexed = ?", to)
}
