package sqlstore

import (
	"context"
	"time"

	"postern/internal/queue/sqlite"
	"postern/internal/queue/sqltables"
)

// Records that an older form wrote come into the tables of form 9 while the store is used, the newest first: a portion
// in a transaction, with a pause after each, so that mail is not held up.
const (
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
		whole, err = sqltables.Filled(ctx, c)
		return err
	})
	if whole || err != nil {
		return whole, err
	}
	return false, s.doWithin(ctx, 0, 0, func(t *txn) error { return t.Fill() })
}
