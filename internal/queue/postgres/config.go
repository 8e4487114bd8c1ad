package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Config is where a database is and how it is spoken to. Use Parse.
type Config struct{ parsed *pgxpool.Config }

// Patience bounds what may keep others waiting: a lock, and a transaction whose program says nothing any more.
const (
	lockPatience = 4 * time.Second
	idlePatience = 8 * time.Second
	dialPatience = 5 * time.Second
)

// Parse reads a connection string as libpq does: a URL or "host=... dbname=...", several hosts allowed, a password from
// PGPASSFILE. Of several hosts the one that takes changes is used. Schema is where the tables are. The error has no
// password in it.
func Parse(url, schema string, readers int) (*Config, error) {
	parsed, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("postgres: cannot read the address of the database: %w", err)
	}
	c := parsed.ConnConfig
	if len(c.Fallbacks) > 0 && c.ValidateConnect == nil {
		c.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = dialPatience
	}
	for name, value := range map[string]string{
		"search_path":                         quoted(schema),
		"default_transaction_isolation":       "read committed",
		"statement_timeout":                   "0", // whoever asks says how long
		"application_name":                    "postern",
		"client_encoding":                     "UTF8",
		"lock_timeout":                        fmt.Sprint(lockPatience.Milliseconds()),
		"idle_in_transaction_session_timeout": fmt.Sprint(idlePatience.Milliseconds()),
		"jit":                                 "off", // statements are short, and compiling them takes longer
		// Every statement is answered by an index in its order. The server may not know: a table that was empty when it
		// last looked may have a million rows.
		"enable_seqscan":    "off",
		"enable_bitmapscan": "off",
	} {
		if _, set := c.RuntimeParams[name]; !set || name == "search_path" {
			c.RuntimeParams[name] = value
		}
	}
	parsed.MaxConns = int32(readers)
	parsed.PingTimeout = dialPatience // of a connection that was idle
	return &Config{parsed}, nil
}

// Loose is the same for connections whose commits need not be durable by themselves: a later commit on another
// connection makes them so, because all before it is written first.
func (c *Config) Loose() *Config {
	parsed := c.parsed.Copy()
	parsed.ConnConfig.RuntimeParams["synchronous_commit"] = "off"
	return &Config{parsed}
}

// Steady is the same for connections whose statements are planned once: they say the same again and again, each
// answered by one index, and planning takes as long as carrying them out.
func (c *Config) Steady() *Config {
	parsed := c.parsed.Copy()
	parsed.ConnConfig.RuntimeParams["plan_cache_mode"] = "force_generic_plan"
	return &Config{parsed}
}

// Pool lends connections to readers. Use NewPool. Safe for concurrent use.
type Pool struct{ pool *pgxpool.Pool }

// NewPool makes a pool; it connects when it is asked.
func NewPool(ctx context.Context, cfg *Config) (*Pool, error) {
	pool, err := pgxpool.NewWithConfig(ctx, cfg.parsed.Copy())
	if err != nil {
		return nil, err
	}
	return &Pool{pool}, nil
}

// Close waits for the connections that are lent and closes all.
func (p *Pool) Close() { p.pool.Close() }

// With lends a connection.
func (p *Pool) With(ctx context.Context, do func(c *Conn) error) error {
	lent, err := p.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer lent.Release()
	return do(wrap(lent.Conn()))
}

// wrap is the Conn of a connection of the pool, which keeps its statements.
func wrap(lent *pgx.Conn) *Conn {
	raw := lent.PgConn()
	kept := raw.CustomData()
	if c, ok := kept["postern"].(*Conn); ok {
		return c
	}
	c := &Conn{raw: raw, stmts: map[string]*statement{}}
	kept["postern"] = c
	return c
}

// Whole lends a connection that sees a single moment and changes nothing.
func (p *Pool) Whole(ctx context.Context, do func(c *Conn) error) error {
	return p.With(ctx, func(c *Conn) error {
		if err := c.Script(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"); err != nil {
			return err
		}
		err := do(c)
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), dialPatience)
		defer cancel()
		return errors.Join(err, c.Script(end, "COMMIT"))
	})
}
