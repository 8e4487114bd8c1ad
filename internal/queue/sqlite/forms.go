package sqlite

import (
	"context"
	"errors"
	"fmt"

	"postern/internal/queue"
)

// ErrForeign: the file is a database of something else.
var ErrForeign = errors.New("sqlite: queue.db is not a Postern database")

// Migrate brings a database to the newest form, or answers queue.ErrNewerForm for a newer one: text n of forms brings
// it from form n to form n+1, in a transaction of its own. Mark says in the header of the file whose it is.
func Migrate(c *Conn, mark int64, forms []string) error {
	ctx := context.Background()
	form, err := c.Number(ctx, "PRAGMA user_version")
	if err != nil {
		return err
	}
	app, err := c.Number(ctx, "PRAGMA application_id")
	if err != nil {
		return err
	}
	tables, err := c.Number(ctx, "SELECT count(*) FROM sqlite_schema")
	if err != nil {
		return err
	}
	if app != mark && (form != 0 || tables != 0) {
		return ErrForeign
	}
	if int(form) > len(forms) {
		return fmt.Errorf("%w: form %d, and this release knows up to %d", queue.ErrNewerForm, form, len(forms))
	}
	for n := int(form); n < len(forms); n++ {
		if err := migrateTo(c, mark, n+1, forms[n]); err != nil {
			return fmt.Errorf("sqlite: bringing the database to form %d: %w", n+1, err)
		}
	}
	return nil
}

// migrateTo runs one migration in one transaction.
func migrateTo(c *Conn, mark int64, form int, text string) error {
	header := fmt.Sprintf("PRAGMA application_id=%d; PRAGMA user_version=%d;", mark, form)
	if err := c.Script("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	if err := c.Script(text + header); err != nil {
		return errors.Join(err, c.Script("ROLLBACK"))
	}
	return c.Script("COMMIT")
}
