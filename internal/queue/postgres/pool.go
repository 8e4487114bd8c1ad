package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"postern/internal/queue"
)

// Pool lends connections to readers. Use NewPool. Safe for concurrent use.
type Pool struct{ pool *pgxpool.Pool }

// quietFor is how long a connection may lie idle before it is asked whether it still lives.
const quietFor = time.Second

// NewPool makes a pool; it connects when it is asked.
func NewPool(ctx context.Context, cfg *Config) (*Pool, error) {
	c := cfg.begins()
	c.ShouldPing = func(_ context.Context, p pgxpool.ShouldPingParams) bool {
		return p.IdleDuration > quietFor || stirs(p.Conn.PgConn().Conn())
	}
	pool, err := pgxpool.NewWithConfig(ctx, c)
	if err != nil {
		return nil, err
	}
	return &Pool{pool}, nil
}

// Close waits for the connections that are lent and closes all.
func (p *Pool) Close() { p.pool.Close() }

// With lends a connection that is not known to be lost. Where it turns out to be so before it answered anything, do is
// called once more, with a new one: what it did until its first answer must bear that.
func (p *Pool) With(ctx context.Context, do func(c *Conn) error) error {
	unheard, err := p.lend(ctx, do)
	if unheard && ctx.Err() == nil {
		_, err = p.lend(ctx, do)
	}
	return err
}

// away marks the error of a connection that could not be made, or was lost.
func away(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, queue.ErrNoDatabase) {
		return err
	}
	return fmt.Errorf("%w: %w", queue.ErrNoDatabase, err)
}

// lend lends a connection. unheard tells that it was lost and had answered nothing.
func (p *Pool) lend(ctx context.Context, do func(c *Conn) error) (unheard bool, err error) {
	lent, err := p.pool.Acquire(ctx)
	if err != nil {
		return false, away(err)
	}
	defer lent.Release()
	c := newConn(lent.Conn().PgConn())
	unheard, err = c.Unheard(do)
	if c.Dead() && !errors.Is(err, context.Canceled) {
		p.pool.Reset() // it was lost, or hung: others that lie idle may be so too
		err = away(err)
	}
	return unheard, err
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
