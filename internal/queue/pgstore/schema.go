package pgstore

import (
	"context"
	_ "embed"
	"errors"
	"time"

	"postern/internal/queue/pgnodes"
	"postern/internal/queue/postgres"
)

// formOne is what there was first.
//
//go:embed schema.sql
var formOne string

// forms bring a schema from one form to the next: entry n makes form n+1. Released entries never change. Gateways that
// do not know what an entry needs stop at their next renewal; so that they take nothing until then, such an entry ends
// their leases: UPDATE node SET until = clock_timestamp().
func forms() []postgres.Form { return []postgres.Form{{Text: formOne, Needs: 1}} }

// Advisory locks of a transaction, over all gateways.
const (
	// lockSites is held shared by what lets deliveries refer to sites, so that no site is purged in between.
	lockSites = 0x5073546e + 1
	// lockRecords is held by what reads and then changes records, rules or judgements: one gateway at a time.
	lockRecords = 0x5073546e + 2
	// lockCopy is held by a connection that copies the store, with the hash of its schema.
	lockCopy = 0x5073546e + 3
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
	out.Newest = len(forms())
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
	if out.Settings, err = usable(ctx, c, cfg.Schema); err != nil {
		return out, err
	}
	if out.Ahead, err = ahead(ctx, parsed); err != nil {
		return out, err
	}
	have, needs, _, err := postgres.FormOf(ctx, c, cfg.Schema)
	if err != nil {
		return out, err
	}
	out.Form = have
	return out, postgres.Newer(have, needs, out.Newest)
}

// ahead asks what time it is.
func ahead(ctx context.Context, parsed *postgres.Config) (time.Duration, error) {
	r := pgnodes.New(parsed, len(forms()))
	err := r.Hear(ctx)
	return r.Ahead(), errors.Join(err, r.Close())
}
