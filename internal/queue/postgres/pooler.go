package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"
)

// ErrPooled: what answers is a pooler that gives a server to another client between two transactions. Statements are
// prepared, locks held and settings made for a session.
var ErrPooled = errors.New("a pooler stands before the database that does not keep sessions; have it keep them " +
	"(pool_mode = session of PgBouncer), or name the server itself")

// pooledTries is how often is looked whether two clients get one server.
const pooledTries = 3

// AssertSession refuses a pooler that does not keep a session's server, with ErrPooled. It comes before anything is
// prepared. Who speaks to the server itself knows the number of its process; only else is anything asked.
func AssertSession(ctx context.Context, cfg *Config, c *Conn) (err error) {
	if c.raw.PID() == c.session.process {
		return nil
	}
	other, err := pgconn.ConnectConfig(ctx, &cfg.begins().ConnConfig.Config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, other.Close(ctx)) }()
	for range pooledTries {
		if err := exchanged(ctx, c.raw, other); err != nil {
			return err
		}
	}
	return nil
}

// exchanged has each of two clients begin a transaction, and answers ErrPooled where one gets another server for that
// than it had, or the one that the other had.
func exchanged(ctx context.Context, a, b *pgconn.PgConn) error {
	had, err := process(ctx, a, "")
	if err != nil {
		return err
	}
	others, err := process(ctx, b, "BEGIN; ")
	if err != nil {
		return err
	}
	has, err := process(ctx, a, "BEGIN; ")
	if err != nil {
		return err
	}
	if had != has || had == others {
		return ErrPooled
	}
	for _, c := range []*pgconn.PgConn{a, b} {
		if _, err := c.Exec(ctx, "ROLLBACK").ReadAll(); err != nil {
			return err
		}
	}
	return nil
}

// process is the number of the server's process that answers. A pooler that knows no transactions refuses to begin one.
func process(ctx context.Context, raw *pgconn.PgConn, before string) (int, error) {
	results, err := raw.Exec(ctx, before+"SELECT pg_backend_pid()").ReadAll()
	if Code(err) == protocolViolation {
		return 0, fmt.Errorf("%w: %w", ErrPooled, err)
	}
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(results[len(results)-1].Rows[0][0]))
}
