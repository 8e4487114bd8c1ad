package main

import (
	"context"
	"errors"
	"fmt"

	"postern/internal/admin/api"
	"postern/internal/config"
	"postern/internal/queue"
	"postern/internal/queue/sqlstore"
)

// openStore opens the data folder. It is asked first whether a gateway answers there: whoever holds the folder without a
// lock that we can see still answers.
func openStore(ctx context.Context, cfg *config.Config) (*sqlstore.Store, error) {
	dir := string(cfg.Data)
	if err := api.Asked(cfg.Socket()); err != nil {
		return nil, openHint(fmt.Errorf("%w: %w", queue.ErrInUse, err), dir)
	}
	s, err := sqlstore.Open(ctx, sqlstore.Config{Dir: dir, Young: cfg.Queue.Memory, DraftMemory: cfg.Limits.ContentMemory / 2})
	if err != nil {
		return nil, openHint(err, dir)
	}
	return s, nil
}

// openHint says what can be done about a data folder that does not open.
func openHint(err error, dir string) error {
	switch {
	case errors.Is(err, queue.ErrInUse):
		return withHint(fmt.Errorf("another gateway uses the data folder %s", dir), "stop it first, or set another `data` in the configuration")
	case errors.Is(err, queue.ErrNewerForm):
		return withHint(err, "install the release that wrote it, or a newer one; this one changes nothing")
	}
	return fmt.Errorf("cannot open the queue in %s: %w", dir, err)
}
