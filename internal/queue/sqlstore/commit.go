package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"postern/internal/queue"
	"postern/internal/queue/group"
	"postern/internal/queue/spool"
	"postern/internal/queue/sqlite"
	"postern/internal/queue/stored"
	"postern/internal/queue/wal"
	"postern/internal/queue/young"
)

// entry is a change for the journal: a message accepted, or deliveries of young messages delivered.
type entry struct {
	accept *stored.Message
	settle *batch

	record wal.Record
	done   chan error
	err    error
	m      *young.Message    // accepted, while it is pending
	ended  []*young.Delivery // of settle
}

// Weight is the bytes of its record.
func (e *entry) Weight() int { return len(e.record.Head) + len(e.record.Body) }

// errElsewhere: a settlement concerns more than the journal can tell, or a message that is not young any more.
var errElsewhere = errors.New("sqlstore: not a matter of the journal")

// journalize hands a change to the committer and waits until it is durable. Once handed over it is waited for whatever
// becomes of ctx.
func (s *Store) journalize(ctx context.Context, e *entry) error {
	e.done = make(chan error, 1)
	if e.accept != nil {
		e.record = young.AcceptRecord(e.accept)
	} else {
		e.record = young.SettleRecord(e.settle.Batch)
	}
	select {
	case s.entries <- e:
		return <-e.done
	case <-ctx.Done():
		return ctx.Err()
	}
}

// commitLoop is the one goroutine that writes the journal. All entries that came in while it wrote are written
// together.
func (s *Store) commitLoop() {
	for first := range s.entries {
		all := group.Gather(s.entries, first)
		if err := s.commitGroup(all); err != nil && len(all) > 1 && !s.broken.Load() {
			for i := range all { // one that has no room must not take others with it
				_ = s.commitGroup(all[i : i+1])
			}
		}
		for _, e := range all {
			e.done <- e.err
		}
		s.wakeMover()
	}
}

// commitGroup makes entries durable and then visible. The error is that of the journal; each entry has its own in err.
func (s *Store) commitGroup(group []*entry) error {
	records := make([]wal.Record, 0, len(group))
	s.mu.Lock()
	for _, e := range group {
		if e.err = s.prepare(e); e.err == nil {
			records = append(records, e.record)
		}
	}
	note := s.known.Note
	s.mu.Unlock()
	if len(records) == 0 {
		return nil
	}
	at, err := s.journal.Append(records, note)
	err = s.journalError(err)
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.young.Place = at
	}
	for _, e := range group {
		switch {
		case e.err != nil:
		case err != nil:
			e.err = err
			s.retract(e)
		default:
			s.complete(e, at.Index, now)
		}
	}
	s.cond.Broadcast()
	return err
}

// journalError gives an error of the journal its meaning.
func (s *Store) journalError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, wal.ErrBroken):
		s.broken.Store(true)
		return fmt.Errorf("%w: %w", queue.ErrBroken, err)
	case spool.IsFull(err):
		return fmt.Errorf("%w: %w", queue.ErrFull, err)
	}
	return fmt.Errorf("sqlstore: %w", err)
}

// prepare checks an entry and reserves what it changes. The caller holds mu.
func (s *Store) prepare(e *entry) error {
	if s.broken.Load() {
		return queue.ErrBroken
	}
	if e.settle != nil {
		return s.prepareSettle(e)
	}
	m := &e.accept.Message
	taken, err := s.taken(m.ID)
	if err != nil {
		return err
	}
	if taken {
		return fmt.Errorf("sqlstore: message %s exists", m.ID)
	}
	e.accept.Number(s.order.Next(m.AcceptedAt))
	young.NumberRecord(e.record.Head, e.accept.Seq)
	e.m = s.young.Announce(e.accept)
	return nil
}

// taken reports whether there is a message of an ID. The caller holds mu. It is given up while the database is asked,
// which is asked again when something came there meanwhile.
func (s *Store) taken(id queue.ID) (bool, error) {
	for !s.young.Has(id) && id <= s.young.Floor {
		inserts := s.young.Inserts
		s.mu.Unlock()
		exists, err := s.stored(id)
		s.mu.Lock()
		if exists || err != nil {
			return exists, err
		}
		if inserts == s.young.Inserts {
			break
		}
	}
	return s.young.Has(id), nil
}

// stored asks the database for a message.
func (s *Store) stored(id queue.ID) (exists bool, err error) {
	err = s.read(context.Background(), func(c *sqlite.Conn) error {
		n, err := c.Number(context.Background(), "SELECT seq FROM message WHERE id = ?", string(id))
		exists = n != 0
		return err
	})
	return exists, err
}

// prepareSettle reserves the deliveries of a settlement.
func (s *Store) prepareSettle(e *entry) error {
	if _, err := s.all(e.settle.Leases); err != nil {
		return err
	}
	ended, ok := s.young.Settle(e.settle.Leases)
	if !ok {
		return errElsewhere
	}
	e.ended = ended
	return nil
}

// retract takes back what prepare did.
func (s *Store) retract(e *entry) {
	if e.m != nil {
		s.young.Remove(e.m)
		e.m = nil
	}
	s.young.Retract(e.ended)
	e.ended = nil
}

// complete makes a durable entry visible.
func (s *Store) complete(e *entry, segment uint64, now time.Time) {
	if e.m != nil {
		s.young.Admit(e.m, segment, now)
		return
	}
	for i, d := range e.ended {
		delete(s.leases, d.ID)
		if file := s.young.Delivered(d, &e.settle.Settlements[i], e.settle.Now); file != "" {
			e.settle.files = append(e.settle.files, file)
		}
	}
}
