package pgstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"postern/internal/queue"
	"postern/internal/queue/database"
	"postern/internal/queue/group"
	"postern/internal/queue/postgres"
)

// writer makes changes over one connection: all that came in while it was busy in one transaction. It belongs to the
// goroutine that serves changes, but for do.
type writer struct {
	s       *Store
	changes *group.Writer[*txn]
	id      int64          // of its row
	c       *postgres.Conn // nil: to be connected
	number  int64          // of the last transaction begun
	// unheard are transactions that gave leases and whose answer was lost: if they were committed, nobody knows of
	// these leases, and the next such transaction ends them.
	unheard []int64
	// sites remembers keys that are in the database; emptied when it grows too large or one was not there.
	sites map[queue.SiteKey]bool
}

func newWriter(s *Store) *writer {
	w := &writer{s: s, id: rand.Int64N(1<<62) + 1, sites: map[queue.SiteKey]bool{}}
	w.changes = group.New(w.attempt, postgres.Busy)
	return w
}

// lockedPatience is how long a change waits while others are in its way.
const lockedPatience = 12 * time.Second

// do hands run to the writer and waits for the commit it is part of. Run may be called more than once.
func (w *writer) do(ctx context.Context, bytes int, run func(t *txn) error) error {
	return w.changes.Do(ctx, lockedPatience, bytes, run)
}

// again is between two tries to reach the database.
const again = 50 * time.Millisecond

// attempt makes changes in one transaction and commits it; see group.New. While the database does not answer it tries
// again, as long as the store's patience lasts, and then all changes hear the same: none is tried alone.
func (w *writer) attempt(changes []group.Change[*txn]) ([]error, error) {
	ctx, cancel := context.WithTimeout(w.s.life, w.s.cfg.Patience)
	defer cancel()
	missed, doubt := false, false
	var cause error // the first that the server said, if it did
	for {
		t, err := w.once(ctx, changes, doubt)
		switch {
		case err == nil:
			return w.done(t), nil
		case w.lost(err):
		case postgres.Code(err) == postgres.NotNull && !missed: // a site that was remembered was purged
			missed = true
			continue
		// it may be that a lease does not stand (see sureOf), which is to be told before all else
		case t != nil && t.recalled:
			doubt = true
			continue
		default:
			err = postgres.Translate(err)
			w.s.noteRoom(err)
			if errors.Is(err, postgres.ErrRights) {
				w.s.noteFlaw(err)
			}
			return nil, err
		}
		if cause == nil && postgres.Code(err) != "" || errors.Is(err, postgres.ErrReadOnly) {
			cause = err
		}
		w.drop()
		if t != nil && t.leasing {
			w.unheard = append(w.unheard, w.number)
		} else if t != nil && t.committing {
			done, asked := w.ask(t)
			if len(t.keeps) > 0 { // nobody knows the leases
				w.unheard = append(w.unheard, -t.number)
				t.keeps = nil
				w.s.kept.Stir()
			}
			if asked != nil {
				return all(len(changes), fmt.Errorf("%w: %w", queue.ErrUnknown, err)), nil
			} else if done {
				return w.done(t), nil
			}
		}
		select {
		case <-ctx.Done():
			err := cmp.Or(cause, err)
			if !errors.Is(err, postgres.ErrReadOnly) {
				err = fmt.Errorf("%w: %w", errSilent, err)
			}
			w.s.refused.Store(&refusal{w.s.age(), err})
			return all(len(changes), err), nil
		case <-time.After(again):
		}
	}
}

// done is what follows from a transaction that was committed.
func (w *writer) done(t *txn) []error {
	w.s.given.Forget(t.left)
	w.s.kept.Settled(t.left)
	t.keep()
	if len(t.stirs) > 0 {
		w.s.kept.Stir(t.stirs...)
	}
	return t.results
}

// all is one result for many.
func all(n int, err error) []error { return slices.Repeat([]error{err}, n) }

// errConnect marks that no connection could be made.
var errConnect = errors.New("pgstore: no connection")

// lost reports whether an error came because the database cannot be reached over this connection.
func (w *writer) lost(err error) bool {
	return errors.Is(err, errConnect) || errors.Is(err, postgres.ErrUnsure) || w.c == nil || w.c.Dead() ||
		postgres.Lost(err)
}

// drop gives up the connection and what was remembered by it.
func (w *writer) drop() {
	if w.c != nil {
		_ = w.c.Close() // it is of no use any more
	}
	w.c = nil
	clear(w.sites)
}

// connect makes a connection where there is none. One that takes no changes is none; one with another flaw serves what
// becomes of mail that is under way, and is given up when the flaw is (see txn.sound).
func (w *writer) connect(ctx context.Context) (err error) {
	if w.c != nil && !w.c.Dead() && (w.c.Sound() == nil || w.s.flawed() != nil) {
		return nil
	}
	w.drop()
	c, err := postgres.Dial(ctx, w.s.parsed.Steady())
	if err != nil {
		return fmt.Errorf("%w: %w", errConnect, err)
	}
	flaw := c.Sound()
	w.s.noteFlaw(flaw)
	if errors.Is(flaw, postgres.ErrReadOnly) {
		return fmt.Errorf("%w: %w", errConnect, errors.Join(flaw, c.Close()))
	}
	w.c = c
	return nil
}

// once tries a transaction. With the error there is the transaction as far as it came, or nil.
func (w *writer) once(ctx context.Context, changes []group.Change[*txn], doubt bool) (*txn, error) {
	if err := w.connect(ctx); err != nil {
		return nil, err
	}
	w.number++
	t := &txn{writer: w, ctx: ctx, results: make([]error, len(changes)), plan: plan{}, doubt: doubt}
	err := t.run(changes)
	if err == nil {
		return t, nil
	}
	clear(w.sites)
	if t.begun && !w.lost(err) {
		if e := w.c.Script(ctx, "ROLLBACK"); e != nil {
			err = errors.Join(err, e)
			w.drop()
		}
	}
	return t, err
}

// ask finds out whether a transaction was committed. The question is a change itself: it waits for the transaction to
// end, should the server still be at it, and that it is answered means that all before it is as durable as it is.
func (w *writer) ask(t *txn) (committed bool, err error) {
	ctx, cancel := context.WithTimeout(w.s.life, w.s.cfg.Patience)
	defer cancel()
	for {
		number := int64(0)
		err := w.connect(ctx)
		if err == nil {
			_, err = w.c.Changed(ctx, "INSERT INTO writer (id, number) VALUES (?, 0) ON CONFLICT (id) DO UPDATE"+
				" SET asked = writer.asked + 1 RETURNING number", func(r database.Row) error {
				number = r.Int(0)
				return nil
			}, w.id)
		}
		if err == nil {
			return number == w.number, nil
		}
		w.drop()
		select {
		case <-ctx.Done():
			return false, err
		case <-time.After(again):
		}
	}
}
