package sqlrecords

import (
	"context"

	"postern/internal/operator/audit"
	"postern/internal/platform/records"
	"postern/internal/queue/database"
)

// DB is the database of a store. Its methods are safe for concurrent use.
type DB interface {
	// Read lends a connection, ReadWhole one that sees a single moment.
	Read(ctx context.Context, do func(r database.Reader) error) error
	ReadWhole(ctx context.Context, do func(r database.Reader) error) error
	// Change runs do in a transaction, perhaps twice, the first time undone, and waits until that is durable. Bytes is
	// about how much do writes.
	Change(ctx context.Context, bytes int, do func(t database.Tx) error) error
}

// Store implements audit.Ledger and records.Store. Use New. Safe for concurrent use.
type Store struct {
	db      DB
	dialect database.Dialect
}

// New makes a Store on the tables revision, judgement, entry, record and counter of a database.
func New(db DB, dialect database.Dialect) *Store { return &Store{db, dialect} }

var (
	_ audit.Ledger  = (*Store)(nil)
	_ records.Store = (*Store)(nil)
)
