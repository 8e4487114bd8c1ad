package pgstore

import (
	"context"
	"errors"
	"time"

	"postern/internal/queue/pgnodes"
	"postern/internal/queue/pgtables"
	"postern/internal/queue/postgres"
)

// Examined is a database as it was found.
type Examined struct {
	postgres.Settings
	// Form is that of the tables, 0 where there are none yet; Newest is the one that this release makes.
	Form, Newest int
	// Ahead is how far the clock of this machine is ahead of the database's, 0 where they agree.
	Ahead time.Duration
}

// Examine looks whether Open could work, and changes nothing.
func Examine(ctx context.Context, cfg Config) (out Examined, err error) {
	cfg.fill()
	parsed, err := postgres.Parse(cfg.URL, cfg.Schema, cfg.Readers)
	if err != nil {
		return out, err
	}
	c, err := postgres.Dial(ctx, parsed)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if err := postgres.AssertSession(ctx, parsed, c); err != nil {
		return out, err
	}
	if out.Settings, err = pgtables.Usable(ctx, c, cfg.Schema); err != nil {
		return out, err
	}
	if out.Ahead, err = ahead(ctx, parsed); err != nil {
		return out, err
	}
	out.Form, out.Newest, err = pgtables.FormOf(ctx, c, cfg.Schema)
	return out, err
}

// ahead asks what time it is.
func ahead(ctx context.Context, parsed *postgres.Config) (time.Duration, error) {
	r := pgnodes.New(parsed, pgtables.Newest())
	err := r.Hear(ctx)
	return r.Ahead(), errors.Join(err, r.Close())
}
