package postgres

import (
	"context"
	"fmt"
	"strconv"

	"postern/internal/queue/database"
)

// oldest is the oldest server that is supported, as it counts its versions.
const oldest = 140000

// Settings are what a server says of itself.
type Settings struct {
	Version int // 150020 is 15.20
	// SynchronousCommit is on or remote_apply; Standbys is synchronous_standby_names, "" for none: then a failover may
	// lose what was stored last.
	SynchronousCommit, Standbys string
}

// AssertDurable refuses a server whose commits would not survive a power failure, that is too old, or that keeps texts
// in another encoding.
func AssertDurable(ctx context.Context, c *Conn) (Settings, error) {
	found := map[string]string{}
	err := c.Query(ctx, `SELECT name, setting FROM pg_settings WHERE name IN ('server_version_num', 'fsync',
		'full_page_writes', 'synchronous_commit', 'synchronous_standby_names', 'server_encoding')`, func(r database.Row) error {
		found[r.Text(0)] = r.Text(1)
		return nil
	})
	if err != nil {
		return Settings{}, err
	}
	out := Settings{SynchronousCommit: found["synchronous_commit"], Standbys: found["synchronous_standby_names"]}
	if out.Version, err = strconv.Atoi(found["server_version_num"]); err != nil {
		return out, fmt.Errorf("postgres: the server does not tell its version: %w", err)
	}
	if out.Version < oldest {
		return out, fmt.Errorf("postgres: the server has version %d; it must be %d at least", out.Version/10000,
			oldest/10000)
	}
	for _, name := range []string{"fsync", "full_page_writes"} {
		if found[name] != "on" {
			return out, fmt.Errorf("postgres: the server runs with %s=%s and would lose accepted mail on a power "+
				"failure; set it to on in postgresql.conf", name, found[name])
		}
	}
	if s := out.SynchronousCommit; s != "on" && s != "remote_apply" {
		return out, fmt.Errorf("postgres: synchronous_commit is %s and would lose accepted mail;"+
			" it must be on or remote_apply, for this role and database too", s)
	}
	if e := found["server_encoding"]; e != "UTF8" {
		return out, fmt.Errorf("postgres: the database keeps texts as %s; make one with ENCODING 'UTF8'", e)
	}
	return out, nil
}
