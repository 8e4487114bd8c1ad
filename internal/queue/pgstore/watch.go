package pgstore

import (
	"cmp"
	"context"
	"errors"
	"time"

	"postern/internal/queue/pgtables"
	"postern/internal/queue/postgres"
)

// Whether a database may be given mail is not only asked at the start: another server may take its place, an
// administrator may change a setting or a right. It is looked at with each new connection of a writer, with each
// acceptance (settings of the server, see pgnodes.Fence), and every second. A flaw stands until a new connection finds
// none.

// watchEvery is how often the database is looked at.
const watchEvery = time.Second

// watchLoop looks at it until the store is closed.
func (s *Store) watchLoop() { s.each(watchEvery, s.watch) }

// watch looks over a connection that is there or, where there is a flaw, over a new one. A database that does not
// answer is another matter.
func (s *Store) watch() {
	ctx, cancel := context.WithTimeout(s.life, s.cfg.Patience)
	defer cancel()
	if s.flawed() == nil {
		s.noteFlaw(flawIn(s.readers.With(ctx, func(c *postgres.Conn) error { return c.Look(ctx) })))
		return
	}
	c, err := postgres.Dial(ctx, s.parsed)
	if err != nil {
		return
	}
	_, err = pgtables.Usable(ctx, c, s.cfg.Schema)
	if err == nil {
		s.flaw.Store(nil)
	}
	s.noteFlaw(flawIn(err))
	_ = c.Close() // it told what it was to tell
}

// flawIn is an error that says of a database that it has a flaw, nil for any other.
func flawIn(err error) error {
	for _, flaw := range []error{postgres.ErrNotDurable, postgres.ErrReadOnly, postgres.ErrRights} {
		if errors.Is(err, flaw) {
			return err
		}
	}
	return nil
}

// noteFlaw remembers what keeps mail from being given to the database; nil changes nothing. Meanwhile nothing is
// accepted and nothing else that a caller takes for stored, and nothing should be sent; what becomes of mail that is
// under way is written as well as it can be.
func (s *Store) noteFlaw(err error) {
	if err == nil {
		return
	}
	old := s.flaw.Swap(&err)
	if s.cfg.Told != nil && (old == nil || (*old).Error() != err.Error()) {
		s.cfg.Told(err)
	}
}

// flawed is what noteFlaw remembers.
func (s *Store) flawed() error {
	if err := s.flaw.Load(); err != nil {
		return *err
	}
	return nil
}

// sound says why the transaction may change nothing that its caller takes for stored.
func (t *txn) sound() error {
	t.s.noteFlaw(t.flaw)
	return cmp.Or(t.flaw, t.c.Sound(), t.s.flawed())
}
