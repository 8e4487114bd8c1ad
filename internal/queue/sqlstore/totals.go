package sqlstore

import (
	"context"
	"time"

	"postern/internal/queue"
)

// totals is the row of that table: counts that are kept instead of being counted.
type totals struct {
	lastSeq, newest, skew, bodyBytes int64
	states                           [6]int64 // by stored state; 0 is unused
}

// Stored states. They differ from queue.State: there is no Sending, because leases are in memory only.
const (
	storedQueued    = 1
	storedHeld      = 2
	storedDelivered = 3
	storedFailed    = 4
	storedCancelled = 5
)

func storedState(s queue.State) int64 {
	switch s {
	case queue.Held:
		return storedHeld
	case queue.Delivered:
		return storedDelivered
	case queue.Failed:
		return storedFailed
	case queue.Cancelled:
		return storedCancelled
	}
	return storedQueued
}

func loadedState(n int64) queue.State {
	switch n {
	case storedQueued:
		return queue.Queued
	case storedHeld:
		return queue.Held
	case storedDelivered:
		return queue.Delivered
	case storedFailed:
		return queue.Failed
	case storedCancelled:
		return queue.Cancelled
	}
	return 0
}

func (t *totals) move(from, to queue.State) {
	t.states[storedState(from)]--
	t.states[storedState(to)]++
}

// accepted notes a time of acceptance, so that times can be turned into ranges of seq later (see seqRange).
func (t *totals) accepted(at time.Time) {
	us := at.UnixMicro()
	if us >= t.newest {
		t.newest = us
	} else {
		t.skew = max(t.skew, t.newest-us)
	}
}

func (t *totals) write(c *conn) error {
	return c.exec("UPDATE totals SET last_seq=?, newest=?, skew=?, body_bytes=?, queued=?, held=?, delivered=?, failed=?,"+
		" cancelled=?", t.lastSeq, t.newest, t.skew, t.bodyBytes, t.states[storedQueued], t.states[storedHeld],
		t.states[storedDelivered], t.states[storedFailed], t.states[storedCancelled])
}

func (t *totals) read(c *conn) error {
	return c.query(context.Background(), "SELECT last_seq, newest, skew, body_bytes, queued, held, delivered, failed,"+
		" cancelled FROM totals", func(r row) error {
		t.lastSeq, t.newest, t.skew, t.bodyBytes = r.int(0), r.int(1), r.int(2), r.int(3)
		for i := storedQueued; i <= storedCancelled; i++ {
			t.states[i] = r.int(3 + i)
		}
		return errStop
	})
}

// Stats counts deliveries and the bytes of bodies; it costs the same however much is stored, except for looking up the
// oldest waiting delivery, which takes one pass over what waits.
func (s *Store) Stats(ctx context.Context) (queue.Stats, error) {
	out := queue.Stats{States: map[queue.State]int64{}}
	if err := s.enter(ctx); err != nil {
		return out, err
	}
	defer s.calls.Done()
	s.mu.Lock()
	for n := int64(storedQueued); n <= storedCancelled; n++ {
		if c := s.totals.states[n]; c > 0 {
			out.States[loadedState(n)] = c
		}
	}
	for _, l := range s.leases {
		shift(out.States, l.was, queue.Sending)
	}
	out.BodyBytes = s.totals.bodyBytes
	s.mu.Unlock()
	err := s.read(ctx, func(c *conn) error {
		return c.query(ctx, `SELECT accepted FROM message WHERE seq =
			(SELECT min(id) >> 20 FROM delivery INDEXED BY delivery_open WHERE state <= 2)`, func(r row) error {
			out.Oldest = r.time(0)
			return errStop
		})
	})
	return out, err
}

// shift moves one count; a count of 0 has no entry.
func shift(counts map[queue.State]int64, from, to queue.State) {
	counts[to]++
	if counts[from]--; counts[from] <= 0 {
		delete(counts, from)
	}
}
