package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"postern/internal/queue/database"
)

// Settings are what a server says of itself.
type Settings struct {
	Version int // 150020 is 15.20
	// SynchronousCommit is on or remote_apply; Standbys is synchronous_standby_names, "" for none: then a failover may
	// lose what was stored last.
	SynchronousCommit, Standbys string
}

// What keeps a database from being one that mail may be given to. An administrator mends it; it is to be looked at
// again.
var (
	// ErrNotDurable: what it commits may be lost in a power failure.
	ErrNotDurable = errors.New("the database would lose accepted mail")
	// ErrReadOnly: it takes no changes.
	ErrReadOnly = errors.New("the database takes no changes")
)

// found is what durability stands on, as it was found.
type found struct {
	fsync, pages      string // fsync and full_page_writes, of the server
	standby, readOnly bool   // it follows another server; transactions of this session cannot change anything
	commit            string // synchronous_commit, of a session as it begins
}

// lookColumns are what looked reads.
const (
	lookColumns = "current_setting('fsync'), current_setting('full_page_writes'), " +
		"pg_is_in_recovery()::text, current_setting('transaction_read_only')"
	lookWidth = 4
)

func looked(texts []string) found {
	return found{fsync: texts[0], pages: texts[1], standby: texts[2] == "true", readOnly: texts[3] == "on"}
}

// wrong says what is wrong.
func (f *found) wrong() error {
	switch {
	case f.standby:
		return fmt.Errorf("%w: it is a standby, which follows another server; name the one that takes changes, or all "+
			"of them: postgres://user@db1,db2/name", ErrReadOnly)
	case f.readOnly:
		return fmt.Errorf("%w: default_transaction_read_only is on for this role, this database or the server",
			ErrReadOnly)
	}
	if err := f.loses(); err != nil {
		return err
	}
	if f.commit != "on" && f.commit != "remote_apply" {
		return fmt.Errorf("%w: synchronous_commit is %s; it must be on or remote_apply, for this role and database "+
			"too", ErrNotDurable, f.commit)
	}
	return nil
}

// loses says which setting of the server would lose mail.
func (f *found) loses() error {
	for _, s := range [][2]string{{"fsync", f.fsync}, {"full_page_writes", f.pages}} {
		if s[1] != "on" {
			return fmt.Errorf("%w on a power failure: the server runs with %s=%s; set it to on in postgresql.conf",
				ErrNotDurable, s[0], s[1])
		}
	}
	return nil
}

// Sound says why nothing should be entrusted to this connection, as the database was when it began.
func (c *Conn) Sound() error { return c.session.found.wrong() }

// Look is Sound as the server is now. What only new sessions would notice it does not tell.
func (c *Conn) Look(ctx context.Context) error {
	now := c.session.found
	err := c.Query(ctx, "SELECT "+lookColumns, func(r database.Row) error {
		texts := make([]string, lookWidth)
		for i := range texts {
			texts[i] = r.Text(i)
		}
		commit := now.commit
		now = looked(texts)
		now.commit = commit
		return nil
	})
	if err != nil {
		return err
	}
	return now.wrong()
}

// ServerColumns are settings of the server that any statement can ask for besides; ServerSound reads them, from the
// column with the number i on.
const ServerColumns = "current_setting('fsync'), current_setting('full_page_writes')"

// ServerSound says why mail should not be entrusted to a server, of a row with ServerColumns.
func ServerSound(r database.Row, i int) error {
	return (&found{fsync: r.Text(i), pages: r.Text(i + 1)}).loses()
}

// AssertDurable refuses a server whose commits would not survive a power failure, that takes no changes, or that
// keeps texts in another encoding.
func AssertDurable(ctx context.Context, c *Conn) (Settings, error) {
	shown := map[string]string{}
	err := c.Query(ctx, `SELECT name, setting FROM pg_settings WHERE name IN ('server_version_num',
		'synchronous_standby_names', 'server_encoding')`, func(r database.Row) error {
		shown[r.Text(0)] = r.Text(1)
		return nil
	})
	if err != nil {
		return Settings{}, err
	}
	out := Settings{SynchronousCommit: c.session.found.commit, Standbys: shown["synchronous_standby_names"]}
	if out.Version, err = strconv.Atoi(shown["server_version_num"]); err != nil {
		return out, fmt.Errorf("postgres: the server does not tell its version: %w", err)
	}
	if err := c.Look(ctx); err != nil {
		return out, err
	}
	if e := shown["server_encoding"]; e != "UTF8" {
		return out, fmt.Errorf("postgres: the database keeps texts as %s; make one with ENCODING 'UTF8'", e)
	}
	return out, nil
}
