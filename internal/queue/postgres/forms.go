package postgres

import (
	"context"
	"errors"
	"fmt"

	"postern/internal/queue"
	"postern/internal/queue/database"
)

// ErrForeign: the schema has tables of something else.
var ErrForeign = errors.New("postgres: the schema has tables that are not Postern's; give it one of its own")

// Form is one step of the tables.
type Form struct {
	Text string
	// Needs is the oldest form of which a release must know so that it may go on beside this one. A step that only adds
	// leaves it where it was.
	Needs int
}

// migrating is the advisory lock under which tables are changed: "PsTn", as an integer.
const migrating = 0x5073546e

// Migrate brings a schema to the newest form, or answers queue.ErrNewerForm where a newer release has changed what this
// one would misread: entry n of forms brings it from form n to form n+1, in a transaction of its own. A schema of a
// newer form with which this release may go on stays as it is. Only one process does this at a time, and one that finds
// nothing to do needs no right to change tables.
func Migrate(ctx context.Context, c *Conn, schema string, forms []Form) (err error) {
	// Another may take its time.
	const lock = "SET lock_timeout = 0; SELECT pg_advisory_lock(%d); RESET lock_timeout"
	if err := c.Script(ctx, fmt.Sprintf(lock, migrating)); err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, c.Script(ctx, fmt.Sprintf("SELECT pg_advisory_unlock(%d)", migrating)))
	}()
	have, needs, err := formOf(ctx, c, schema)
	if err != nil {
		return err
	}
	if err := Newer(have, needs, len(forms)); err != nil {
		return err
	}
	for n := have; n < len(forms); n++ {
		if err := migrateTo(ctx, c, n+1, &forms[n]); err != nil {
			return fmt.Errorf("postgres: bringing the tables to form %d: %w", n+1, Translate(err))
		}
	}
	return nil
}

// formOf finds out which form a schema has, making the schema and its table of forms where there are none.
func formOf(ctx context.Context, c *Conn, schema string) (have, needs int, err error) {
	have, needs, made, err := FormOf(ctx, c, schema)
	if err == nil && !made {
		err = Translate(c.Script(ctx, "CREATE SCHEMA IF NOT EXISTS "+quoted(schema)+"; CREATE TABLE form "+
			"(form integer PRIMARY KEY, needs integer NOT NULL, made timestamptz NOT NULL DEFAULT now())"))
	}
	return have, needs, err
}

// FormOf reads which form a schema has, and of which form a release must know that works with it; made is false where
// there are no tables yet. It changes nothing.
func FormOf(ctx context.Context, c *Conn, schema string) (have, needs int, made bool, err error) {
	known, err := c.Number(ctx, "SELECT count(*) FROM pg_tables WHERE schemaname = ? AND tablename = 'form'", schema)
	if err != nil {
		return 0, 0, false, err
	}
	if known == 0 {
		others, err := c.Number(ctx, "SELECT count(*) FROM pg_tables WHERE schemaname = ?", schema)
		if err == nil && others > 0 {
			err = ErrForeign
		}
		return 0, 0, false, err
	}
	err = c.Query(ctx, "SELECT coalesce(max(form), 0), coalesce(max(needs), 0) FROM form", func(r database.Row) error {
		have, needs = int(r.Int(0)), int(r.Int(1))
		return nil
	})
	return have, needs, true, Translate(err)
}

// Newer refuses a schema that a newer release has changed so that one which knows so many forms would misread it.
func Newer(have, needs, known int) error {
	if needs <= known {
		return nil
	}
	return fmt.Errorf("%w: form %d, which needs a release that knows form %d, and this one knows up to %d",
		queue.ErrNewerForm, have, needs, known)
}

// quoted is a name as an identifier.
func quoted(name string) string {
	out := `"`
	for _, c := range name {
		if c == '"' {
			out += `"`
		}
		out += string(c)
	}
	return out + `"`
}

// migrateTo runs one step in one transaction.
func migrateTo(ctx context.Context, c *Conn, form int, f *Form) error {
	err := c.Script(ctx, fmt.Sprintf("BEGIN; %s; INSERT INTO form (form, needs) VALUES (%d, %d); COMMIT",
		f.Text, form, f.Needs))
	if err != nil {
		return errors.Join(err, c.Script(ctx, "ROLLBACK"))
	}
	return nil
}
