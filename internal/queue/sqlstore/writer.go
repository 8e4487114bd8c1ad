package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"postern/internal/queue"
	"postern/internal/queue/group"
	"postern/internal/queue/sqlite"
	"postern/internal/queue/sqltables"
	"postern/internal/queue/wal"
	"postern/internal/queue/young"
)

// writer is the one goroutine that writes. It owns everything in it; totals and leases are also read by others, under
// Store.mu.
type writer struct {
	s     *Store
	c     *sqlite.Conn
	sites sqltables.Sites // emptied after every undone group
	// commit is the COMMIT; tests put faults and a witness around it.
	commit func() error
}

// txn is one transaction of the writer.
type txn struct {
	*sqltables.Tx
	*writer
	undo    []func()         // in-memory changes to take back, newest last
	landed  []*young.Message // that came from the journal
	entered []queue.ID       // of messages that did not
}

// busyPatience is how long a change waits while another program has the database locked; then it is told so. busyAgain
// is between two tries of many changes.
const (
	busyPatience = 10 * time.Second
	busyAgain    = 100 * time.Millisecond
)

// do hands run to the writer and waits for the commit it is part of. Once handed over it is waited for whatever
// becomes of ctx, because what it refers to is in use.
func (s *Store) do(ctx context.Context, bytes int, run func(t *txn) error) error {
	return s.doWithin(ctx, busyPatience, bytes, run)
}

// doWithin is do with a patience of its own while another program has the database locked.
func (s *Store) doWithin(ctx context.Context, patience time.Duration, bytes int, run func(t *txn) error) error {
	return s.changes.Do(ctx, patience, bytes, run)
}

// attempt makes changes in one transaction and commits it. One that fails before it wrote anything gets its error
// in results and leaves the others alone; any other failure undoes everything and is returned.
func (w *writer) attempt(changes []group.Change[*txn]) (results []error, err error) {
	if w.s.broken.Load() {
		return nil, queue.ErrBroken
	}
	w.s.mu.Lock()
	t := &txn{writer: w, Tx: sqltables.NewTx(w.c, w.sites, w.s.totals, w.stir)}
	w.s.mu.Unlock()
	results = make([]error, len(changes))
	for i, run := range changes {
		before := t.Writes()
		if err = run(t); err != nil && t.Writes() > before {
			break
		} else if sqlite.Primary(err) != 0 && sqlite.Primary(err) != sqlite.Constraint {
			break
		}
		results[i], err = err, nil
	}
	if err == nil {
		err = t.end()
	}
	if err != nil {
		return nil, t.fail(err)
	}
	return results, nil
}

// end writes what was counted and commits.
func (t *txn) end() error {
	if !t.Begun() {
		t.s.mu.Lock()
		defer t.s.mu.Unlock()
		t.leave()
		return nil
	}
	if err := t.FlushRefs(); err != nil {
		return err
	}
	applied, at := int64(0), wal.Place{}
	if t.Writes() > 0 {
		t.s.mu.Lock()
		order := t.s.order
		at = t.s.young.Place
		applied = t.s.young.Applied(order.LastSeq, t.landed)
		if t.s.unread > 0 {
			applied = t.s.unread - 1
		}
		t.s.mu.Unlock()
		if err := t.Totals.Write(t.c, order, applied, at.Index, at.Size); err != nil {
			return err
		}
	}
	if err := t.commit(); err != nil {
		if c := sqlite.Primary(err); c == sqlite.Full || c == sqlite.Busy {
			return err
		}
		return fmt.Errorf("%w: committing: %w", queue.ErrBroken, err) // what is on disk now nobody knows
	}
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	t.s.totals = t.Totals
	if t.Writes() > 0 {
		t.s.known.Note++
		t.s.young.Told = at
	}
	t.s.applied = max(t.s.applied, applied)
	t.s.land(t.landed)
	t.leave()
	return nil
}

// fail takes back what the transaction did, in memory and in the database, and tells what the error means.
func (t *txn) fail(err error) error {
	err = sqlite.Translate(err)
	for i := len(t.undo) - 1; i >= 0; i-- {
		t.undo[i]()
	}
	clear(t.sites)
	if t.Begun() {
		if e := t.rollback(); e != nil {
			err = fmt.Errorf("%w: rolling back: %w", queue.ErrBroken, e)
		}
	}
	if errors.Is(err, queue.ErrBroken) {
		t.s.broken.Store(true)
	}
	return err
}

// rollback ends the transaction; SQLite may have ended it already, on a full disk for instance.
func (t *txn) rollback() error {
	err := t.c.Exec("ROLLBACK")
	if sqlite.Primary(err) == 1 { // "no transaction is active"
		return nil
	}
	return err
}
