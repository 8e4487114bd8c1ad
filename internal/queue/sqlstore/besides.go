package sqlstore

import (
	"context"

	"postern/internal/queue/database"
	"postern/internal/queue/search"
	"postern/internal/queue/sqlite"
	"postern/internal/queue/sqlrecords"
)

// besides is what the store keeps that is not mail.
type besides = sqlrecords.Store

// reads are what the store is asked for and does not change.
type reads = search.Answers

// tables are the database as besides uses it.
type tables struct{ s *Store }

// Read lends a reading connection.
func (d tables) Read(ctx context.Context, do func(r database.Reader) error) error {
	if err := d.s.gate.Enter(ctx); err != nil {
		return err
	}
	defer d.s.gate.Leave()
	return d.s.read(ctx, func(c *sqlite.Conn) error { return do(c) })
}

// ReadWhole lends one that sees a single moment.
func (d tables) ReadWhole(ctx context.Context, do func(r database.Reader) error) error {
	if err := d.s.gate.Enter(ctx); err != nil {
		return err
	}
	defer d.s.gate.Leave()
	return d.s.read(ctx, func(c *sqlite.Conn) (err error) {
		if err := c.Exec("BEGIN"); err != nil {
			return err
		}
		defer func() {
			if e := c.Exec("COMMIT"); err == nil {
				err = e
			}
		}()
		return do(c)
	})
}

// Change hands a change to the writer.
func (d tables) Change(ctx context.Context, bytes int, do func(t database.Tx) error) error {
	if err := d.s.gate.Enter(ctx); err != nil {
		return err
	}
	defer d.s.gate.Leave()
	return d.s.do(ctx, bytes, func(t *txn) error { return do(t) })
}
