// Package storage opens the store that a configuration names: the embedded one in the data folder, or a PostgreSQL
// database that several gateways share.
package storage

import (
	"context"

	"postern/cmd/postern/internal/datafolder"
	"postern/internal/config"
	"postern/internal/operator/audit"
	"postern/internal/platform/ram"
	"postern/internal/platform/records"
	"postern/internal/queue"
)

// Store is what a gateway keeps everything in. Safe for concurrent use.
type Store interface {
	queue.Store
	audit.Ledger
	records.Store
	// Takes says what a message would hear that is handed to Accept now: nil where it would be stored.
	Takes() error
	// Free is how many bytes of the disk are left for mail, and how many of them are kept for the mail that is in the
	// queue; an error where that is not for this machine to know.
	Free() (free, kept uint64, err error)
}

// Open opens the store. warn hears of damage that costs nothing now.
func Open(ctx context.Context, cfg *config.Config, plan *ram.Plan, warn func(error)) (Store, error) {
	s, err := datafolder.Open(ctx, cfg, plan, warn)
	if err != nil {
		return nil, err
	}
	return s, nil
}
