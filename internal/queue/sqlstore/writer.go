package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"postern/internal/queue"
	"postern/internal/queue/database"
	"postern/internal/queue/group"
	"postern/internal/queue/sqlite"
	"postern/internal/queue/stored"
	"postern/internal/queue/wal"
	"postern/internal/queue/young"
)

// writer is the one goroutine that writes. It owns everything in it; totals and leases are also read by others, under
// Store.mu.
type writer struct {
	s *Store
	c *sqlite.Conn
	// sites remembers rows of the site table by key; emptied when it grows too large and after every undone group.
	sites map[queue.SiteKey]*stored.Site
	// commit is the COMMIT; tests put faults and a witness around it.
	commit func() error
}

// txn is one transaction of the writer.
type txn struct {
	*writer
	totals  totals
	writes  int // statements that changed something
	begun   bool
	refs    map[int64]int64  // what to add to site.refs
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
	t := &txn{writer: w, totals: w.s.totals, refs: map[int64]int64{}}
	w.s.mu.Unlock()
	results = make([]error, len(changes))
	for i, run := range changes {
		before := t.writes
		if err = run(t); err != nil && t.writes > before {
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

// begin starts the transaction in the database when the first statement needs it.
func (t *txn) begin() error {
	if t.begun {
		return nil
	}
	t.begun = true
	return t.c.Exec("BEGIN IMMEDIATE")
}

// Exec runs a statement that changes something.
func (t *txn) Exec(text string, args ...any) error {
	_, err := t.Changed(text, args...)
	return err
}

// Changed is Exec that tells how many rows changed.
func (t *txn) Changed(text string, args ...any) (int64, error) {
	if err := t.begin(); err != nil {
		return 0, err
	}
	n, err := t.c.Changed(text, args...)
	if err == nil {
		t.writes++
	}
	return n, err
}

// Query reads what the transaction sees.
func (t *txn) Query(ctx context.Context, text string, each func(r database.Row) error, args ...any) error {
	return t.c.Query(ctx, text, each, args...)
}

// Number reads one integer.
func (t *txn) Number(ctx context.Context, text string, args ...any) (int64, error) {
	return t.c.Number(ctx, text, args...)
}

// end writes what was counted and commits.
func (t *txn) end() error {
	if !t.begun {
		t.s.mu.Lock()
		defer t.s.mu.Unlock()
		t.leave()
		return nil
	}
	if err := t.flushRefs(); err != nil {
		return err
	}
	applied, at := int64(0), wal.Place{}
	if t.writes > 0 {
		t.s.mu.Lock()
		order := t.s.order
		at = t.s.young.Place
		applied = t.s.young.Applied(order.lastSeq, t.landed)
		if t.s.unread > 0 {
			applied = t.s.unread - 1
		}
		t.s.mu.Unlock()
		if err := t.totals.write(t.c, order, applied, at); err != nil {
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
	t.s.totals = t.totals
	if t.writes > 0 {
		t.s.known.Note++
		t.s.young.Told = at
	}
	t.s.applied = max(t.s.applied, applied)
	t.s.land(t.landed)
	t.leave()
	return nil
}

// flushRefs writes the counts of deliveries per site.
func (t *txn) flushRefs() error {
	for id, n := range t.refs {
		if err := t.Exec("UPDATE site SET refs = refs + ? WHERE id = ?", n, id); err != nil {
			return err
		}
	}
	clear(t.refs)
	return nil
}

// fail takes back what the transaction did, in memory and in the database, and tells what the error means.
func (t *txn) fail(err error) error {
	err = sqlite.Translate(err)
	for i := len(t.undo) - 1; i >= 0; i-- {
		t.undo[i]()
	}
	clear(t.sites)
	if t.begun {
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
