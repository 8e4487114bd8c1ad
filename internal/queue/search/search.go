package search

import (
	"context"

	"postern/internal/queue"
	"postern/internal/queue/database"
	"postern/internal/queue/stored"
)

// Search finds deliveries in the tables of a store. Use New. Safe for concurrent use.
type Search struct {
	dialect database.Dialect
	statements
}

// New prepares a search in the words of an engine.
func New(dialect database.Dialect) *Search { return &Search{dialect, statementsIn(&dialect)} }

// reader reads full records, or brief ones.
func (x *Search) reader(brief bool) *stored.Reader {
	return &stored.Reader{Brief: brief, Sites: x.sitesOf, Attempts: x.attemptsOf, List: x.dialect.List}
}

// Known is what a store knows of its tables without looking.
type Known struct {
	// Skew is by how many microseconds a time of acceptance ever lay behind an earlier one.
	Skew int64
	// States counts deliveries by their stored state.
	States stored.Counts
}

// Store is what a List needs. Its methods are safe for concurrent use.
type Store interface {
	// Read lends a reading connection. Where that was lost before it answered anything, do is called again.
	Read(ctx context.Context, do func(db database.Reader) error) error
	// Known is what the store knows now; it may ask db.
	Known(ctx context.Context, db database.Reader) (Known, error)
	// MarkSending gives those that are under a lease their state. They were read by db a moment ago.
	MarkSending(ctx context.Context, db database.Reader, rs []queue.Record) error
}
