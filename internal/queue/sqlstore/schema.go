package sqlstore

import (
	"context"
	_ "embed"
	"errors"
	"fmt"

	"postern/internal/queue"
)

// applicationID marks a database as ours in its header: "PsTn".
const applicationID = 0x5073546e

//go:embed schema.sql
var formOne string

// formTwo remembers peers.
//
//go:embed schema2.sql
var formTwo string

// formThree knows the journal: an older release, which does not, must not open the data.
//
//go:embed schema3.sql
var formThree string

// formFour has other index keys.
//
//go:embed schema4.sql
var formFour string

// formFive keeps accounts, sums of traffic and certificates.
//
//go:embed schema5.sql
var formFive string

// formSix keeps what was wished of deliveries under a lease.
//
//go:embed schema6.sql
var formSix string

// formSeven lets database and journal know each other.
//
//go:embed schema7.sql
var formSeven string

// formEight numbers what mail is judged by.
//
//go:embed schema8.sql
var formEight string

// formNine has the tables that searches of a scope, and of what was not delivered, look into.
//
//go:embed schema9.sql
var formNine string

// formTen keeps what is not mail without knowing what it means.
//
//go:embed schema10.sql
var formTen string

// migrations bring a database from one form to the next: entry n makes form n+1. Released entries never change; a new
// form is a new entry, and a fixture of the old one goes to testdata.
var migrations = []string{formOne, formTwo, formThree, formFour, formFive, formSix, formSeven, formEight, formNine,
	formTen}

// errForeign: queue.db is a database of something else.
var errForeign = errors.New("sqlstore: queue.db is not a Postern database")

// migrate brings the database to the newest form, or refuses a newer one.
func migrate(c *conn) error {
	ctx := context.Background()
	form, err := c.number(ctx, "PRAGMA user_version")
	if err != nil {
		return err
	}
	app, err := c.number(ctx, "PRAGMA application_id")
	if err != nil {
		return err
	}
	tables, err := c.number(ctx, "SELECT count(*) FROM sqlite_schema")
	if err != nil {
		return err
	}
	if app != applicationID && (form != 0 || tables != 0) {
		return errForeign
	}
	if int(form) > len(migrations) {
		return fmt.Errorf("%w: form %d, and this release knows up to %d", queue.ErrNewerForm, form, len(migrations))
	}
	for n := int(form); n < len(migrations); n++ {
		if err := migrateTo(c, n+1, migrations[n]); err != nil {
			return fmt.Errorf("sqlstore: bringing the database to form %d: %w", n+1, err)
		}
	}
	return nil
}

// migrateTo runs one migration in one transaction.
func migrateTo(c *conn, form int, text string) error {
	mark := fmt.Sprintf("PRAGMA application_id=%d; PRAGMA user_version=%d;", applicationID, form)
	if err := c.script("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	if err := c.script(text + mark); err != nil {
		return errors.Join(err, c.script("ROLLBACK"))
	}
	return c.script("COMMIT")
}

// Settings of the writing connection. pageSize only counts when the file is made. The automatic checkpoint is the
// upper bound of the log (see checkpoint); synchronous and journal_mode are what durability stands on and are read back.
const (
	pageSize       = "PRAGMA page_size=8192"
	busyTimeout    = "PRAGMA busy_timeout=10000"
	walMode        = "PRAGMA journal_mode=WAL"
	syncFull       = "PRAGMA synchronous=FULL"
	memoryTemp     = "PRAGMA temp_store=MEMORY"
	checkpointHard = "PRAGMA wal_autocheckpoint=8192"
	queryOnly      = "PRAGMA query_only=ON"
)

// cachePages lets a connection keep so many bytes of the database.
func cachePages(bytes int64) string { return fmt.Sprintf("PRAGMA cache_size=-%d", max(bytes>>10, 256)) }

// assertDurable refuses a connection whose commits would not survive a power failure.
func assertDurable(c *conn) error {
	var mode string
	err := c.query(context.Background(), "PRAGMA journal_mode", func(r row) error {
		mode = r.text(0)
		return nil
	})
	if err != nil {
		return err
	}
	sync, err := c.number(context.Background(), "PRAGMA synchronous")
	if err != nil {
		return err
	}
	if mode != "wal" || sync < 2 {
		return fmt.Errorf("sqlstore: the database runs with journal_mode=%s synchronous=%d and would lose accepted mail "+
			"on a power failure; it needs wal and 2 (FULL)", mode, sync)
	}
	return nil
}
