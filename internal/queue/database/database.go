package database

import (
	"context"
	"errors"
	"time"
)

// Row is one result row. Its columns count from 0 and read NULL as the zero value. It is used again for the next row;
// what is kept of Bytes is copied.
type Row interface {
	Int(i int) int64
	Text(i int) string
	Bytes(i int) []byte
	Time(i int) time.Time
}

// ErrStop ends a Query early without an error.
var ErrStop = errors.New("stop")

// Reader asks a database. It belongs to one goroutine at a time.
type Reader interface {
	// Query calls each for every row, which must not ask the same text again. A text is constant: it is prepared once.
	Query(ctx context.Context, text string, each func(r Row) error, args ...any) error
	// Number asks for one integer; NULL and no row are 0.
	Number(ctx context.Context, text string, args ...any) (int64, error)
}

// Tx changes a database in a transaction, and reads what it changed.
type Tx interface {
	Reader
	// Exec runs a statement that changes something; Changed tells of how many rows.
	Exec(text string, args ...any) error
	Changed(text string, args ...any) (int64, error)
}

// Dialect is how an engine says what others say otherwise.
type Dialect struct {
	// Each is a table of one column, value, of the elements of an argument that is a list (see List) of int64; Names is
	// one of strings.
	Each, Names func(arg string) string
	// Index has a search use an index where its planner may choose another; "" where it is not told.
	Index func(name string) string
	// Fits is whether a column fits a pattern of * and ?, in which [[] is a bracket; Holds whether it has a text in it.
	Fits, Holds func(column, arg string) string
	// DomainIn is what stands behind the last @ of a column with a canonical address.
	DomainIn func(column string) string
	// List is a list as an argument: of int64, of string, or of what is one of them by another name. A nil one is NULL.
	List func(list any) any
}

// Stamp is a time as an argument; the zero time is nil.
func Stamp(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

// OrNull is a text as an argument; "" is nil.
func OrNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}
