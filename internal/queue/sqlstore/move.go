package sqlstore

import (
	"context"
	"fmt"
	"slices"
	"time"

	"postern/internal/queue"
	"postern/internal/queue/wal"
)

// Bounds of what may be in the journal alone. What is over them comes into the database, the oldest first.
const (
	youngAge     = 10 * time.Second
	youngCount   = 16384
	moveChunk    = 512         // messages in one request to the writer
	moveBytes    = 4 << 20     // of bodies in it, about
	movePause    = time.Second // how often the mover looks
	moveRetry    = time.Second // after a move that failed
	journalSpan  = 6           // segments
	breatheTimes = 2           // new mail waits for the mover at so many times the bound
)

// moveLoop brings messages from the journal into the database: as records when they have ended, else when they are old or
// too many.
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
			ms := s.takeDue(all)
			if len(ms) == 0 {
				break
			}
			all = all && len(ms) == moveChunk // what ends meanwhile comes with the next look
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
	at, now := s.young.place, s.young.told
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
		known := t.s.young.place == t.s.young.told
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
	y := &s.young
	need := y.finished >= moveChunk || y.crowded(s.cfg.Young)
	s.mu.Unlock()
	if need {
		select {
		case s.move <- struct{}{}:
		default:
		}
	}
}

// crowded reports whether there is more in the journal alone than there should be.
func (y *young) crowded(most int64) bool { return y.bytes > most || y.inAge.Len() > youngCount }

// takeDue freezes the next messages that should come into the database: a chunk of those that ended, any number of them
// with all, else of those that wait and are over the bounds.
func (s *Store) takeDue(all bool) []*youngMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	y := &s.young
	if y.finished >= moveChunk || all && y.finished > 0 {
		if ms := s.take(func(m *youngMessage) bool { return m.left == 0 }); len(ms) > 0 {
			return ms
		}
	}
	crowded, now := y.crowded(s.cfg.Young), time.Now()
	return s.take(func(m *youngMessage) bool {
		return crowded || now.Sub(m.at) > youngAge || y.place.Index > m.segment+journalSpan
	})
}

// take freezes a chunk of messages, the oldest first. The caller holds mu.
func (s *Store) take(pick func(m *youngMessage) bool) (out []*youngMessage) {
	bytes := 0
	for e := s.young.inAge.Front(); e != nil && len(out) < moveChunk && bytes < moveBytes; e = e.Next() {
		if m := e.Value.(*youngMessage); m.free() && pick(m) {
			s.freeze(m)
			out, bytes = append(out, m), bytes+len(m.Body.Data)
		}
	}
	return out
}

// free reports whether a message can be frozen at this moment.
func (m *youngMessage) free() bool { return !m.pending && !m.moving && m.settling == 0 }

// freeze takes a message out of everybody's reach but the caller's, who brings it into the database. The caller holds mu.
func (s *Store) freeze(m *youngMessage) {
	m.moving = true
	for i := range m.deliveries {
		if d := &m.deliveries[i]; d.place != nil {
			s.young.busy[d.Site]++
			delete(s.young.calm, d.Site)
		}
	}
}

// thaw undoes freeze.
func (s *Store) thaw(ms []*youngMessage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range ms {
		if m.moving {
			s.rested(m)
			m.moving = false
		}
	}
	s.cond.Broadcast()
}

// rested counts a frozen message out of the busy sites.
func (s *Store) rested(m *youngMessage) {
	for i := range m.deliveries {
		if d := &m.deliveries[i]; d.place != nil {
			if s.young.busy[d.Site]--; s.young.busy[d.Site] == 0 {
				delete(s.young.busy, d.Site)
			}
		}
	}
}

// bring stores frozen messages in the database and then does what else there is, in one transaction.
func (s *Store) bring(ctx context.Context, ms []*youngMessage, then func(t *txn) error) error {
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
		s.thaw(ms)
	}
	if then == nil && (err == nil || ctx.Err() == nil) { // who gave up waiting says nothing about the database
		s.mu.Lock()
		s.young.stuck = err
		s.cond.Broadcast()
		s.mu.Unlock()
	}
	return err
}

// bring stores one message of the journal, and lets the leases on it know the rows.
func (t *txn) bring(m *youngMessage) error {
	if err := t.store(m.Message); err != nil {
		return err
	}
	t.landed = append(t.landed, m)
	before := len(t.landed) - 1
	t.undo = append(t.undo, func() { t.landed = t.landed[:before] })
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	for i := range m.deliveries {
		d := &m.deliveries[i]
		if l := t.s.leases[d.ID]; l != nil {
			l.row = deliveryRow{Delivery: d.Delivery.Delivery, site: d.At.ID, facts: d.Facts, last: m.left == 1,
				size: m.Size, file: m.Body.File}
		}
	}
	return nil
}

// land takes messages that are in the database now out of the young. The caller holds mu.
func (s *Store) land(ms []*youngMessage) {
	if len(ms) == 0 {
		return
	}
	for _, m := range ms {
		s.rested(m)
		if m.left > 0 {
			s.young.moves++
		}
		s.young.remove(m)
		if m.Body.File != "" {
			s.spool.Forget(m.Body.File)
		}
	}
	s.journal.Drop(s.young.needs())
	s.cond.Broadcast()
}

// needs is the first segment of the journal that is needed: the one with the oldest message. What is pending, or comes
// later, will be in the newest or behind it.
func (y *young) needs() uint64 {
	if e := y.inAge.Front(); e != nil && !e.Value.(*youngMessage).pending {
		return e.Value.(*youngMessage).segment
	}
	return y.place.Index
}

// settleDown brings everything into the database that was in the journal when it was called, so that what reads the
// database sees it all.
func (s *Store) settleDown(ctx context.Context) error {
	return s.settleDownOf(ctx, func(*youngMessage) bool { return true })
}

// settleDownOf is settleDown of the messages that pick chooses.
func (s *Store) settleDownOf(ctx context.Context, pick func(m *youngMessage) bool) error {
	s.mu.Lock()
	last, since := s.order.lastSeq, time.Now()
	s.mu.Unlock()
	wanted := func(m *youngMessage) bool { return m.Seq <= last && !m.pending && pick(m) }
	for {
		s.mu.Lock()
		ms := s.take(wanted)
		if len(ms) == 0 {
			if !s.young.any(wanted) {
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

func (y *young) any(pick func(m *youngMessage) bool) bool {
	for e := y.inAge.Front(); e != nil; e = e.Next() {
		if pick(e.Value.(*youngMessage)) {
			return true
		}
	}
	return false
}

// freezeThose freezes all of these messages that are young, waiting for those that others are at.
func (s *Store) freezeThose(seqs []int64) (ms []*youngMessage) {
	slices.Sort(seqs)
	seqs = slices.Compact(seqs)
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		ms = ms[:0]
		ready := true
		for _, seq := range seqs {
			if m := s.young.bySeq[seq]; m != nil {
				ready = ready && m.free()
				ms = append(ms, m)
			}
		}
		if ready {
			break
		}
		s.cond.Wait()
	}
	for _, m := range ms {
		s.freeze(m)
	}
	return ms
}

// breathe holds new mail back while the journal has far more than it should, and refuses it where the database cannot
// take it over.
func (s *Store) breathe() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.young.crowdedBy(breatheTimes, s.cfg.Young) {
		if s.broken.Load() {
			return queue.ErrBroken
		}
		if s.young.stuck != nil {
			return s.young.stuck
		}
		s.cond.Wait()
	}
	return nil
}

func (y *young) crowdedBy(times int64, most int64) bool {
	return y.bytes > times*most || int64(y.inAge.Len()) > times*youngCount
}
