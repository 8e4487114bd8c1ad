package pgnodes

import (
	"context"
	"time"

	"postern/internal/queue/postgres"
)

// Ahead is how far the wall clock of this machine is ahead of the database's, as storeclock.Clock tells it from what
// was heard with Hear and with each renewal.
func (r *Registry) Ahead() time.Duration { return r.clock.Ahead() }

// Hear asks what time it is.
func (r *Registry) Hear(ctx context.Context) error {
	return r.asks.with(ctx, func(ctx context.Context, c *postgres.Conn) error {
		asked := time.Now()
		now, err := c.Number(ctx, clock)
		if err == nil {
			r.clock.Heard(time.UnixMicro(now).UTC(), asked)
		}
		return err
	})
}
