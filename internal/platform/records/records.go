// Package records is the port for whatever must outlive a restart and is neither mail nor the audit trail: accounts
// and what speaks for them, what is remembered of servers and of their names, certificates, sums. A store keeps a
// record without knowing what it means:
//
//	Record   a value under a kind and a key, with its version, an index and a moment to be found by
//	Counter  a number under a kind and a key, to which is added
//
// Whoever owns a kind of record owns its encoding and its laws; Shelf is the encoding most of them need. So a new kind
// of record touches the room it belongs to and no store.
package records

import (
	"context"
	"errors"
	"time"
)

// Errors callers branch on.
var (
	// ErrNotFound: there is no such record.
	ErrNotFound = errors.New("there is no such record")
	// ErrChanged: the record was changed since the caller read it.
	ErrChanged = errors.New("the record was changed by somebody else in the meantime")
)

// Record is one value.
type Record struct {
	Kind, Key string
	// Index is a second key, which records may share; "" is none.
	Index string
	// At is a moment to be found by, kept to the microsecond; zero is none.
	At    time.Time
	Value []byte
	// Version is how often the record was stored. In a Put it is the one that is replaced: 0 where there must be none
	// yet, Any where it does not matter.
	Version int64
}

// Any is the Version of a Put that replaces whatever is there.
const Any = -1

// Moment is a time as records keep it: UTC, cut to the microsecond; zero stays zero.
func Moment(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return time.UnixMicro(t.UnixMicro()).UTC()
}

// Counter is one sum.
type Counter struct {
	Kind, Key string
	Index     string // as of a Record
	N         int64
}

// Query chooses records or counters of one kind; what is zero restricts nothing.
type Query struct {
	Kind  string
	Index string
	// From and To bound the keys: From <= key < To.
	From, To string
	// Before is for records alone: those whose At is earlier.
	Before time.Time
	// Oldest is for records alone: those that have an At, the earliest first. Otherwise keys are in order.
	Oldest bool
	// Limit is how many are listed at most; deletion knows no Limit.
	Limit int
}

// CheckDelete refuses what would delete a whole kind: a key that is empty by mistake must not do that.
func (q *Query) CheckDelete() error {
	if q.Index == "" && q.From == "" && q.To == "" && q.Before.IsZero() {
		return errors.New("records: a deletion that restricts nothing")
	}
	return nil
}

// Reader reads what is stored at one moment.
type Reader interface {
	// Get returns a record, ErrNotFound if there is none.
	Get(kind, key string) (Record, error)
	List(q Query) ([]Record, error)
	// Count counts the records of a kind.
	Count(kind string) (int, error)
	Counters(q Query) ([]Counter, error)
}

// Tx changes what is stored. It reads what it changed itself.
type Tx interface {
	Reader
	// Put stores a record in place of the version that it names, ErrChanged if another is there.
	Put(r Record) error
	// Delete deletes a record and reports whether there was one.
	Delete(kind, key string) (bool, error)
	// DeleteAll deletes the records and counters that q chooses, of which it must restrict something.
	DeleteAll(q Query) error
	// Add adds to a counter, which begins at zero.
	Add(c Counter) error
}

// Store keeps records. Safe for concurrent use.
type Store interface {
	// ReadRecords calls do, which asks nothing else of the store.
	ReadRecords(ctx context.Context, do func(r Reader) error) error
	// ChangeRecords calls do as one transaction. All of its changes are durable when the error is nil, none is made
	// when do returns an error. Every other change waits for do, which may be called twice, the first time in vain, and
	// asks nothing else of the store.
	ChangeRecords(ctx context.Context, do func(t Tx) error) error
}

// Read returns what do reads in a store.
func Read[T any](ctx context.Context, s Store, do func(r Reader) (T, error)) (out T, err error) {
	err = s.ReadRecords(ctx, func(r Reader) (err error) {
		out, err = do(r)
		return err
	})
	return out, err
}

// Change returns what do, as one transaction, makes of a store; nothing where it failed.
func Change[T any](ctx context.Context, s Store, do func(t Tx) (T, error)) (out T, err error) {
	err = s.ChangeRecords(ctx, func(t Tx) (err error) {
		out, err = do(t)
		return err
	})
	if err != nil {
		return *new(T), err
	}
	return out, nil
}
