package sqlstore

import (
	"context"
	"time"

	"postern/internal/queue"
	"postern/internal/queue/database"
	"postern/internal/queue/sqlite"
	"postern/internal/queue/stored"
	"postern/internal/queue/wal"
)

// totals is counts of what is in the database, kept instead of being counted.
type totals struct {
	bodyBytes int64
	states    [6]int64 // by stored state; 0 is unused
}

// order is what is known of the order of acceptance, of messages in the journal too.
type order struct {
	lastSeq int64 // the newest message ever accepted
	newest  int64 // the latest time of acceptance seen
	skew    int64 // how far a time of acceptance ever lay behind newest
}

func (t *totals) move(from, to queue.State) {
	t.states[stored.State(from)]--
	t.states[stored.State(to)]++
}

// next gives the next message its number and notes its time of acceptance, so that times can be turned into ranges of
// seq later (see search.Search).
func (o *order) next(at time.Time) int64 {
	o.lastSeq++
	o.note(at)
	return o.lastSeq
}

func (o *order) note(at time.Time) {
	us := at.UnixMicro()
	if us >= o.newest {
		o.newest = us
	} else {
		o.skew = max(o.skew, o.newest-us)
	}
}

// write stores the row; what has a seq up to applied is in the database, or will never be. The journal was durable up
// to at.
func (t *totals) write(c *sqlite.Conn, o order, applied int64, at wal.Place) error {
	return c.Exec("UPDATE totals SET last_seq=?, newest=?, skew=?, body_bytes=?, queued=?, held=?, delivered=?, "+
		"failed=?, cancelled=?, applied=?, segment=?, size=?, commits=commits+1", o.lastSeq, o.newest, o.skew,
		t.bodyBytes,
		t.states[stored.Queued], t.states[stored.Held], t.states[stored.Delivered], t.states[stored.Failed],
		t.states[stored.Cancelled], applied, int64(at.Index), at.Size)
}

// read reads the row.
func (t *totals) read(c *sqlite.Conn) (o order, applied int64, err error) {
	err = c.Query(context.Background(), "SELECT last_seq, newest, skew, body_bytes, queued, held, delivered, failed,"+
		" cancelled, applied FROM totals", func(r database.Row) error {
		o.lastSeq, o.newest, o.skew, t.bodyBytes = r.Int(0), r.Int(1), r.Int(2), r.Int(3)
		for i := stored.Queued; i <= stored.Cancelled; i++ {
			t.states[i] = r.Int(3 + i)
		}
		applied = r.Int(9)
		return database.ErrStop
	})
	return o, applied, err
}

// oldestQuery looks up the oldest waiting delivery in the table of what was not delivered; oldestWalk takes one pass
// over what waits, and knows also what an older form wrote and that is not in the table yet.
const (
	oldestQuery = "SELECT accepted FROM message WHERE seq = (SELECT min(id) >> 20 FROM (" +
		"SELECT min(id) AS id FROM undelivered WHERE state = 1 UNION ALL SELECT min(id) FROM undelivered WHERE " +
		"state = 2))"
	oldestWalk = "SELECT accepted FROM message WHERE seq = (SELECT min(id) >> 20 FROM delivery INDEXED BY " +
		"delivery_open WHERE state <= 2)"
)

// Stats counts deliveries and the bytes of bodies; it costs the same however much is stored.
func (s *Store) Stats(ctx context.Context) (queue.Stats, error) {
	out := queue.Stats{States: map[queue.State]int64{}}
	if err := s.enter(ctx); err != nil {
		return out, err
	}
	defer s.calls.Done()
	s.mu.Lock()
	states, bodyBytes := s.young.Counts()
	for n := int64(stored.Queued); n <= stored.Cancelled; n++ {
		if c := s.totals.states[n] + states[n]; c > 0 {
			out.States[stored.LoadState(n)] = c
		}
	}
	for _, l := range s.leases {
		shift(out.States, l.was, queue.Sending)
	}
	out.BodyBytes = s.totals.bodyBytes + bodyBytes
	oldest := s.young.Oldest()
	s.mu.Unlock()
	err := s.read(ctx, func(c *sqlite.Conn) error {
		whole, err := filled(ctx, c)
		if err != nil {
			return err
		}
		text := oldestQuery
		if !whole {
			text = oldestWalk
		}
		return c.Query(ctx, text, func(r database.Row) error {
			out.Oldest = r.Time(0)
			return database.ErrStop
		})
	})
	if !oldest.IsZero() && (out.Oldest.IsZero() || oldest.Before(out.Oldest)) {
		out.Oldest = oldest
	}
	return out, err
}

// shift moves one count; a count of 0 has no entry.
func shift(counts map[queue.State]int64, from, to queue.State) {
	counts[to]++
	if counts[from]--; counts[from] <= 0 {
		delete(counts, from)
	}
}
