package sqlstore

import (
	"context"
	"fmt"
	"slices"
	"time"

	"postern/internal/queue"
	"postern/internal/queue/sqlite"
	"postern/internal/queue/sqltables"
	"postern/internal/queue/wal"
	"postern/internal/queue/young"
)

// How the mover works.
const (
	movePause = time.Second // how often the mover looks
	moveRetry = time.Second // after a move that failed
)

// moveLoop brings messages from the journal into the database: as records when they have ended, else when they are old
// or too many.
func (s *Store) moveLoop() {
	tick := time.NewTicker(movePause)
	defer tick.Stop()
	var told wal.Place
	for {
		all := false
		select {
		case <-s.stop:
			return
		case <-s.move:
		case <-tick.C:
			all = true
		}
		if all {
			told = s.tellPlaceAfter(told)
		}
		for {
			s.mu.Lock()
			ms := s.young.TakeDue(all, s.cfg.Young, time.Now())
			s.mu.Unlock()
			if len(ms) == 0 {
				break
			}
			all = all && len(ms) == young.Chunk // what ends meanwhile comes with the next look
			if err := s.bring(context.Background(), ms, nil); err != nil {
				select {
				case <-s.stop:
					return
				case <-time.After(moveRetry):
				}
			}
		}
	}
}

// tellPlaceAfter lets the database know how far the journal has come, where no other transaction did so since told. It
// returns what is told now.
func (s *Store) tellPlaceAfter(told wal.Place) wal.Place {
	s.mu.Lock()
	at, now := s.young.Place, s.young.Told
	s.mu.Unlock()
	if at != now && now == told {
		s.tellPlace()
	}
	return now
}

func (s *Store) tellPlace() {
	// What goes wrong is tried again with the next look.
	_ = s.doWithin(context.Background(), 0, 0, func(t *txn) error {
		t.s.mu.Lock()
		known := t.s.young.Place == t.s.young.Told
		t.s.mu.Unlock()
		if known {
			return nil
		}
		return t.Exec("UPDATE totals SET run = run")
	})
}

// wakeMover tells the mover when there is a chunk for it.
func (s *Store) wakeMover() {
	s.mu.Lock()
	need := s.young.Due(s.cfg.Young)
	s.mu.Unlock()
	if need {
		select {
		case s.move <- struct{}{}:
		default:
		}
	}
}

// bring stores frozen messages in the database and then does what else there is, in one transaction.
func (s *Store) bring(ctx context.Context, ms []*young.Message, then func(t *txn) error) error {
	bytes := 0
	for _, m := range ms {
		bytes += len(m.Body.Data)
	}
	patience := busyPatience
	if then == nil {
		patience = 0 // what is frozen cannot be sent
	}
	err := s.doWithin(ctx, patience, bytes, func(t *txn) error {
		for _, m := range ms {
			if err := t.bring(m); err != nil {
				return err
			}
		}
		if then != nil {
			return then(t)
		}
		return nil
	})
	if err != nil {
		s.mu.Lock()
		s.young.Thaw(ms)
		s.cond.Broadcast()
		s.mu.Unlock()
	}
	if then == nil && (err == nil || ctx.Err() == nil) { // who gave up waiting says nothing about the database
		s.mu.Lock()
		s.young.Stuck = err
		s.cond.Broadcast()
		s.mu.Unlock()
	}
	return err
}

// bring stores one message of the journal, and lets the leases on it know the rows.
func (t *txn) bring(m *young.Message) error {
	if err := t.store(m.Message); err != nil {
		return err
	}
	t.landed = append(t.landed, m)
	before := len(t.landed) - 1
	t.undo = append(t.undo, func() { t.landed = t.landed[:before] })
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	for i := range m.Deliveries {
		d := &m.Deliveries[i]
		if l := t.s.leases[d.ID]; l != nil {
			l.row = sqltables.Row{Delivery: d.Delivery, SiteID: d.At.ID, Facts: d.Facts, Last: m.Left() == 1,
				Size: m.Size, File: m.Body.File}
		}
	}
	return nil
}

// land takes messages that are in the database now out of the young. The caller holds mu.
func (s *Store) land(ms []*young.Message) {
	if len(ms) == 0 {
		return
	}
	s.young.Land(ms)
	for _, m := range ms {
		if m.Body.File != "" {
			s.spool.Forget(m.Body.File)
		}
	}
	s.journal.Drop(s.young.Needs())
	s.cond.Broadcast()
}

// settleDown brings everything into the database that was in the journal when it was called, so that what reads the
// database sees it all.
func (s *Store) settleDown(ctx context.Context) error {
	return s.settleDownOf(ctx, func(*young.Message) bool { return true })
}

// settleDownOf is settleDown of the messages that pick chooses.
func (s *Store) settleDownOf(ctx context.Context, pick func(m *young.Message) bool) error {
	s.mu.Lock()
	last, since := s.order.LastSeq, time.Now()
	s.mu.Unlock()
	wanted := func(m *young.Message) bool { return m.Seq <= last && pick(m) }
	for {
		s.mu.Lock()
		ms := s.young.Take(wanted)
		if len(ms) == 0 {
			if !s.young.Any(wanted) {
				s.mu.Unlock()
				return nil
			}
			s.cond.Wait() // somebody else is at them
			s.mu.Unlock()
			continue
		}
		s.mu.Unlock()
		if err := s.settleAgain(ctx, ms, since); err != nil {
			return fmt.Errorf("sqlstore: bringing mail from the journal into the database: %w", err)
		}
	}
}

// freezeThose freezes all of these messages that are young, waiting for those that others are at.
func (s *Store) freezeThose(seqs []int64) []*young.Message {
	slices.Sort(seqs)
	seqs = slices.Compact(seqs)
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		ms, ready := s.young.TakeThose(seqs)
		if ready {
			return ms
		}
		s.cond.Wait()
	}
}

// breathe holds new mail back while the journal has far more than it should, and refuses it where the database cannot
// take it over.
func (s *Store) breathe() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.young.Overfull(s.cfg.Young) {
		if s.broken.Load() {
			return queue.ErrBroken
		}
		if s.young.Stuck != nil {
			return s.young.Stuck
		}
		s.cond.Wait()
	}
	return nil
}

// settleAgain is settleDownOf that is tried again while another program has the database locked. Nothing is frozen in
// between, so that it can be sent.
func (s *Store) settleAgain(ctx context.Context, ms []*young.Message, since time.Time) error {
	err := s.bring(ctx, ms, nil)
	if sqlite.Primary(err) != sqlite.Busy || time.Since(since) >= busyPatience {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(busyAgain):
		return nil
	}
}
