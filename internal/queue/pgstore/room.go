package pgstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"postern/internal/queue"
	"postern/internal/queue/postgres"
)

// refusal is that the database last did not answer: at what age of the store, and what it or the network said.
type refusal struct {
	at  time.Duration
	err error
}

// refusing is how long mail is refused at once after the database did not answer.
const refusing = 2 * time.Second

// errSilent is what callers hear when the database could not be reached for as long as they wait.
var errSilent = fmt.Errorf("%w: it does not answer", queue.ErrNoDatabase)

// Takes says what a message would hear that is handed to Accept now: nil where it would be stored, as far as is known.
// After the database did not answer it is given some time before it is asked again.
func (s *Store) Takes() error {
	if s.gate.Closed() {
		return queue.ErrClosed
	}
	if r := s.refused.Load(); r != nil && s.age()-r.at < refusing {
		return r.err
	}
	return s.Room()
}

// age is since when the store is open, by the monotonic clock: the wall clock may jump.
func (s *Store) age() time.Duration { return time.Since(s.opened) }

// Room says that the database has no room (queue.ErrFull), from the first change that was refused until a trial found
// room again, or has a flaw (see noteFlaw). Meanwhile no new mail is taken, and nothing should be sent: what can still
// be written is for what becomes of mail that is under way, since what cannot be written down is sent again when its
// lease has ended.
func (s *Store) Room() error {
	if err := s.flawed(); err != nil {
		return err
	}
	if err := s.full.Load(); err != nil {
		return *err
	}
	return nil
}

// noteRoom remembers that a change was refused for want of room.
func (s *Store) noteRoom(err error) {
	if errors.Is(err, queue.ErrFull) {
		s.full.Store(&err)
	}
}

// roomEvery is how often room is looked for where there was none.
const roomEvery = time.Second

// roomLoop looks for room where there was none, until the store is closed.
func (s *Store) roomLoop() { s.each(roomEvery, s.lookForRoom) }

// lookForRoom looks for room where there was none.
func (s *Store) lookForRoom() {
	if s.full.Load() == nil {
		return
	}
	ctx, cancel := context.WithTimeout(s.life, s.cfg.Patience)
	err := postgres.Translate(s.readers.With(ctx, func(c *postgres.Conn) error { return tryRoom(ctx, c) }))
	cancel()
	s.noteRoom(err)
	full := errors.Is(err, queue.ErrFull)
	unheard := err != nil && (postgres.Code(err) == "" || postgres.Lost(err))
	if !full && !unheard { // a trial that is not allowed leaves it to mail to try
		s.full.Store(nil)
	}
}

// trialRows of 8 KiB are what there must be room for.
const trialRows = 1024

// tryRoom fills a table that is gone with its transaction, where those of mail are, and gives everything back.
func tryRoom(ctx context.Context, c *postgres.Conn) error {
	const place = `SELECT set_config('temp_tablespaces', coalesce((SELECT t.spcname FROM pg_class d JOIN pg_tablespace t
		ON t.oid = d.reltablespace WHERE d.oid = to_regclass('delivery')), ''), true)`
	const fill = `CREATE TEMPORARY TABLE room (x text) ON COMMIT DROP; ALTER TABLE room ALTER x SET STORAGE PLAIN;
		INSERT INTO room SELECT repeat('x', 8000) FROM generate_series(1, %d)`
	err := c.Script(ctx, fmt.Sprintf("BEGIN; "+place+"; "+fill, trialRows))
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	return errors.Join(err, c.Script(end, "ROLLBACK"))
}
