package sqlite

import (
	"errors"
	"fmt"
	"strconv"

	engine "modernc.org/sqlite"

	"postern/internal/queue"
)

// Result codes of SQLite that decide what becomes of the handle (https://www.sqlite.org/rescode.html).
const (
	Busy       = 5
	ReadOnly   = 8
	IO         = 10
	Corrupt    = 11
	Full       = 13
	CannotOpen = 14
	Constraint = 19
	NotADB     = 26
)

// Primary is the primary result code of an error of SQLite, 0 for any other error.
func Primary(err error) int {
	var e *engine.Error
	if !errors.As(err, &e) {
		return 0
	}
	return e.Code() & 0xff
}

// Translate gives a write error its meaning for callers. What SQLite could not read or write leaves the state on disk
// unknown: the handle is finished.
func Translate(err error) error {
	switch Primary(err) {
	case Full:
		return fmt.Errorf("%w (SQLite result %s)", queue.ErrFull, code(err))
	case Corrupt, NotADB:
		return fmt.Errorf("%w: %w: queue.db does not hold together (SQLite result %s)",
			queue.ErrBroken, queue.ErrDamaged, code(err))
	case IO, CannotOpen, ReadOnly:
		return fmt.Errorf("%w (SQLite result %s)", queue.ErrBroken, code(err))
	}
	return err
}

func code(err error) string {
	var e *engine.Error
	errors.As(err, &e)
	return strconv.Itoa(e.Code())
}
