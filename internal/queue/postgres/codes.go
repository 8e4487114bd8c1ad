package postgres

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"postern/internal/queue"
)

// SQLSTATE codes that decide what becomes of a change (https://www.postgresql.org/docs/current/errcodes-appendix.html).
const (
	Unique        = "23505" // a key is taken
	NotNull       = "23502" // what another row was to give is not there
	diskFull      = "53100"
	serialization = "40001"
	deadlock      = "40P01"
	lockTimeout   = "55P03"
	readOnly      = "25006"
	noRights      = "42501"
	noTable       = "42P01"
	// A statement that another prepared is there, or one that we prepared is not.
	preparedTwice     = "42P05"
	notPrepared       = "26000"
	protocolViolation = "08P01"

	// Closed is our own: a store in the database was moved, or is being copied.
	Closed = "PST01"
)

// Code is the SQLSTATE of an error of the server, "" for any other error.
func Code(err error) string {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return ""
	}
	return e.Code
}

// Busy reports whether the same change may succeed a moment later: others were in its way.
func Busy(err error) bool {
	switch Code(err) {
	case serialization, deadlock, lockTimeout:
		return true
	}
	return false
}

// Lost reports whether an error of the server says nothing about what was asked, but that this connection is of no use
// any more: the server ends or begins, or it is one that takes no changes. A connection that was cut is Dead.
func Lost(err error) bool {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return false
	}
	severity := cmp.Or(e.SeverityUnlocalized, e.Severity)
	return severity == "FATAL" || severity == "PANIC" || strings.HasPrefix(e.Code, "08") ||
		strings.HasPrefix(e.Code, "57P") ||
		e.Code == readOnly
}

// ErrRights: the role may not do what the store needs.
var ErrRights = errors.New("the role may not do what the store needs; let it own the schema, or grant it USAGE on " +
	"schema and sequences and SELECT, INSERT, UPDATE and DELETE on all tables")

// Translate gives an error its meaning for callers.
func Translate(err error) error {
	switch code := Code(err); code {
	case diskFull:
		return fmt.Errorf("%w; the database says: %w", queue.ErrFull, err)
	case "XX001", "XX002":
		return fmt.Errorf("%w: the database does not hold together (PostgreSQL %s)", queue.ErrDamaged, code)
	case Closed:
		return fmt.Errorf("%w: %w", queue.ErrMoved, err)
	case preparedTwice, notPrepared:
		return fmt.Errorf("postgres: %w: %w", ErrPooled, err)
	case noRights, noTable: // a schema that may not be used is passed over
		return fmt.Errorf("%w: %w", ErrRights, err)
	}
	return err
}
