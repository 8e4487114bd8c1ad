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
	states    stored.Counts
}

// order is what is known of the order of acceptance, of messages in the journal too.
type order struct {
	lastSeq int64 // the newest message ever accepted
	newest  int64 // the latest time of acceptance seen
	skew    int64 // how far a time of acceptance ever lay behind newest
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
	args := append([]any{o.lastSeq, o.newest, o.skew, t.bodyBytes, applied, int64(at.Index), at.Size},
		t.states.Values()...)
	return c.Exec("UPDATE totals SET last_seq=?, newest=?, skew=?, body_bytes=?, applied=?, segment=?, size=?, "+
		"queued=?, held=?, delivered=?, failed=?, cancelled=?, commits=commits+1", args...)
}

// read reads the row.
func (t *totals) read(c *sqlite.Conn) (o order, applied int64, err error) {
	err = c.Query(context.Background(), "SELECT last_seq, newest, skew, body_bytes, applied, "+stored.CountColumns+
		" FROM totals", func(r database.Row) error {
		o.lastSeq, o.newest, o.skew, t.bodyBytes, applied = r.Int(0), r.Int(1), r.Int(2), r.Int(3), r.Int(4)
		t.states = stored.ScanCounts(r, 5)
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
	var out queue.Stats
	if err := s.enter(ctx); err != nil {
		return out, err
	}
	defer s.calls.Done()
	s.mu.Lock()
	states, bodyBytes := s.young.Counts()
	for n, stored := range s.totals.states {
		states[n] += stored
	}
	out.States = states.States()
	for _, l := range s.leases {
		stored.Lease(out.States, l.was, 1)
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
