package storecopy

import (
	"context"
	"errors"
	"io"

	"postern/internal/queue/database"
	"postern/internal/queue/stored"
)

// Word is what a store is in a copy.
type Word string

// What a store can be. The empty Word is a store that gateways may open.
const (
	Unfinished Word = "unfinished" // the target of a copy that has not come to its end
	Copying    Word = "copying"    // the source of one that has not come to its end; if embedded, gateways may open it
	Moved      Word = "moved"      // the source of one that has
)

// Standing is how a store stands to copies. The zero Standing is one that never had to do with any.
type Standing struct {
	Word Word
	// ID names the store among those that copies were made of or to, Other the one on the other side; Named is what
	// people call that.
	ID, Other, Named string
}

// ReadStanding reads the row of the table standing, which is there; no row is the zero Standing.
func ReadStanding(ctx context.Context, r database.Reader) (s Standing, err error) {
	err = r.Query(ctx, "SELECT word, id, other, named FROM standing", func(row database.Row) error {
		s = Standing{Word: Word(row.Text(0)), ID: row.Text(1), Other: row.Text(2), Named: row.Text(3)}
		return nil
	})
	return s, err
}

// InsertStanding is the statement that writes the row, and Values are its arguments.
const InsertStanding = "INSERT INTO standing (word, id, other, named) VALUES (?, ?, ?, ?)"

// Values are the arguments of InsertStanding.
func (s *Standing) Values() []any { return []any{string(s.Word), s.ID, s.Other, s.Named} }

// Side is a store while it is copied. Nobody else has it open. It belongs to one goroutine.
type Side interface {
	// Named is what people call the store: a folder, or an address without its password.
	Named() string
	Standing(ctx context.Context) (Standing, error)
	// Stand makes the standing durable. It answers queue.ErrInUse where a gateway uses the store.
	Stand(ctx context.Context, s Standing) error
	// Query reads; see database.Reader.
	Query(ctx context.Context, text string, each func(r database.Row) error, args ...any) error
	// Replace stores rows in the place of all those that are in the span, in one transaction.
	Replace(ctx context.Context, t *Table, in Span, rows [][]any) error
	// Body reads a large body, fs.ErrNotExist where it is not there; PutBody stores one and returns what its message
	// is to have as file. Of nil that is one with nothing behind it.
	Body(ctx context.Context, file string) (io.ReadCloser, error)
	PutBody(ctx context.Context, from io.Reader) (file string, err error)
	// Order is the number of the newest message ever accepted, and up to which one the index keys begin with a day.
	Order(ctx context.Context) (last, dayKeys int64, err error)
	// Finish makes what the engine keeps for itself, and makes everything durable.
	Finish(ctx context.Context, c *Counts) error
	Close() error
}

// Counts is what a store counts of itself.
type Counts struct {
	LastSeq, DayKeys int64 // see Side.Order; DayKeys may be below 1 for none
	Newest, Skew     int64 // microseconds: the latest time of acceptance, and how far one lay behind an earlier one
	BodyBytes        int64 // of messages that wait
	States           stored.Counts
}

var (
	// ErrOther: the target has something in it that is not an unfinished copy of this source.
	ErrOther = errors.New("storecopy: the target is not empty")
	// ErrDiffers: what is in the target is not what is in the source.
	ErrDiffers = errors.New("storecopy: the copy is not what was copied")
)
