package sqltables

import (
	"context"
	"time"

	"postern/internal/queue/database"
	"postern/internal/queue/sqlite"
	"postern/internal/queue/stored"
)

// Totals is counts of what is in the database, kept instead of being counted.
type Totals struct {
	BodyBytes int64
	States    stored.Counts
}

// Order is what is known of the order of acceptance, also of messages that are not in the database yet.
type Order struct {
	LastSeq int64 // the newest message ever accepted
	Newest  int64 // the latest time of acceptance seen
	Skew    int64 // how far a time of acceptance ever lay behind Newest
}

// Next gives the next message its number and notes its time of acceptance, so that times can be turned into ranges of
// seq later (see search.Search).
func (o *Order) Next(at time.Time) int64 {
	o.LastSeq++
	o.Note(at)
	return o.LastSeq
}

// Note notes a time of acceptance.
func (o *Order) Note(at time.Time) {
	us := at.UnixMicro()
	if us >= o.Newest {
		o.Newest = us
	} else {
		o.Skew = max(o.Skew, o.Newest-us)
	}
}

// Write stores the row. What has a seq up to applied is in the database, or will never be. The journal was durable up
// to a place in a segment.
func (t *Totals) Write(c *sqlite.Conn, o Order, applied int64, segment uint64, place int64) error {
	args := append([]any{o.LastSeq, o.Newest, o.Skew, t.BodyBytes, applied, int64(segment), place},
		t.States.Values()...)
	return c.Exec("UPDATE totals SET last_seq=?, newest=?, skew=?, body_bytes=?, applied=?, segment=?, size=?, "+
		"queued=?, held=?, delivered=?, failed=?, cancelled=?, commits=commits+1", args...)
}

// ReadTotals reads the row.
func ReadTotals(c *sqlite.Conn) (t Totals, o Order, applied int64, err error) {
	err = c.Query(context.Background(), "SELECT last_seq, newest, skew, body_bytes, applied, "+stored.CountColumns+
		" FROM totals", func(r database.Row) error {
		o.LastSeq, o.Newest, o.Skew, t.BodyBytes, applied = r.Int(0), r.Int(1), r.Int(2), r.Int(3), r.Int(4)
		t.States = stored.ScanCounts(r, 5)
		return database.ErrStop
	})
	return t, o, applied, err
}
