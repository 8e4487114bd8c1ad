// Package datafolder opens the folder that holds a gateway's mail, and has the verbs that work on it without a gateway.
//
// One process has the folder at a time. Before it is opened a gateway is asked for at its socket, since one that holds
// the folder without a lock that can be seen still answers there.
package datafolder

import (
	"context"
	"errors"
	"fmt"

	"postern/cmd/postern/internal/cli"
	"postern/internal/config"
	"postern/internal/operator/api"
	"postern/internal/platform/ram"
	"postern/internal/queue"
	"postern/internal/queue/sqlstore"
)

// Open opens the data folder. It is asked first whether a gateway answers there: whoever holds the folder without a
// lock that we can see still answers.
func Open(ctx context.Context, cfg *config.Config, plan *ram.Plan, warn func(error)) (*sqlstore.Store, error) {
	dir := string(cfg.Data)
	if err := api.Asked(cfg.Socket()); err != nil {
		return nil, openHint(fmt.Errorf("%w: %w", queue.ErrInUse, err), dir)
	}
	s, err := sqlstore.Open(ctx, sqlstore.Config{Dir: dir, Young: plan.Young, DraftMemory: plan.Content / 2,
		Cache: plan.Cache, Warn: warn})
	if err != nil {
		return nil, openHint(err, dir)
	}
	return s, nil
}

// openHint says what can be done about a data folder that does not open.
func openHint(err error, dir string) error {
	switch {
	case errors.Is(err, queue.ErrInUse):
		return cli.WithHint(fmt.Errorf("another gateway uses the data folder %s", dir),
			"stop it first, or set another `data` in the configuration")
	case errors.Is(err, queue.ErrNewerForm):
		return cli.WithHint(err, "install the release that wrote it, or a newer one; this one changes nothing")
	case errors.Is(err, queue.ErrMoved), errors.Is(err, queue.ErrUnfinished):
		return ClosedHint(err, "")
	case errors.Is(err, queue.ErrDamaged):
		return cli.WithHint(fmt.Errorf("the mail in %s is damaged, and the gateway does not start: %w", dir, err),
			"put a good copy of the whole folder in its place, or `postern store salvage` to go on with what can "+
				"be read; it keeps the damaged files")
	}
	return fmt.Errorf("cannot open the queue in %s: %w", dir, err)
}
