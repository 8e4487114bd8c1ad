// Package storage opens the store that a configuration names: the embedded one in the data folder, or a PostgreSQL
// database that several gateways share.
package storage

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"time"

	"postern/cmd/postern/internal/cli"
	"postern/cmd/postern/internal/datafolder"
	"postern/internal/config"
	"postern/internal/gateway/nodes"
	"postern/internal/operator/audit"
	"postern/internal/platform/ram"
	"postern/internal/platform/records"
	"postern/internal/queue"
	"postern/internal/queue/pgnodes"
	"postern/internal/queue/pgstore"
	"postern/internal/queue/pgtables"
	"postern/internal/queue/storeclock"
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

// Opened is an open store, with where its gateways find each other.
type Opened struct {
	Store
	registry *pgnodes.Registry // nil: this gateway stands alone
	// Overlooked lists sites with mail that no gateway is at; nil where this one stands alone.
	Overlooked func(ctx context.Context) ([]queue.SiteKey, error)
	// Room says that a database has no room to write down what becomes of mail; nil where there is a reserve for that.
	Room func() error
	// Session is that of this process among them.
	Session string
}

// Open opens the store. warn hears of damage that costs nothing now, told of a database that became one that mail
// cannot be given to, with a hint.
func Open(
	ctx context.Context, cfg *config.Config, plan *ram.Plan, warn func(error), told func(err error, hint string),
) (*Opened, error) {
	if !cfg.Store.Shared() {
		s, err := datafolder.Open(ctx, cfg, plan, warn)
		if err != nil {
			return nil, err
		}
		return &Opened{Store: s}, nil
	}
	session := fmt.Sprintf("%s/%d/%s", cfg.Cluster.Node, os.Getpid(), rand.Text())
	s, err := pgstore.Open(ctx, pgstore.Config{URL: string(cfg.Store), Node: cfg.Cluster.Node, Session: session,
		Keep: cfg.Cluster.Lease.Duration, Told: func(err error) { told(err, pgtables.HintOf(err)) }})
	if err != nil {
		return nil, hint(cfg, err)
	}
	registry := s.Nodes()
	if err := registry.Hear(ctx); err != nil { // before any time is read or written
		return nil, hint(cfg, errors.Join(err, registry.Close(), s.Close()))
	}
	return &Opened{Store: shared{storeclock.New(s, registry.Ahead), s}, registry: registry, Session: session,
		Overlooked: s.Overlooked, Room: s.Room}, nil
}

// hint says what can be done about a database that does not open.
func hint(cfg *config.Config, err error) error {
	if errors.Is(err, queue.ErrMoved) || errors.Is(err, queue.ErrUnfinished) {
		return datafolder.ClosedHint(err, cfg.Store.Shown())
	}
	if errors.Is(err, queue.ErrNewerForm) {
		return cli.WithHint(err, "install the release that wrote it, or a newer one; this one changes nothing")
	}
	return cli.WithHint(fmt.Errorf("cannot open the queue in %s: %w", cfg.Store.Shown(), err),
		cmp.Or(pgtables.HintOf(err), "try the same address with psql, as the user that the gateway runs as"))
}

// Examine says in a line what the database of a configuration is, or with an error why the gateway could not use it. It
// changes nothing. "" is the embedded store.
func Examine(ctx context.Context, cfg *config.Config) (string, error) {
	if !cfg.Store.Shared() {
		return "", nil
	}
	ctx, cancel := context.WithTimeout(ctx, examineTime)
	defer cancel()
	found, err := pgstore.Examine(ctx, pgstore.Config{URL: string(cfg.Store)})
	if err != nil {
		return "", hint(cfg, err)
	}
	out := fmt.Sprintf("store: PostgreSQL %d.%d, synchronous_commit is %s, ", found.Version/10000, found.Version%10000,
		found.SynchronousCommit)
	if found.Standbys == "" {
		out += "no synchronous standby (should another server take its place, what was stored last may be lost), "
	} else {
		out += "synchronous standbys " + found.Standbys + ", "
	}
	switch {
	case found.Form == 0:
		out += "no tables yet"
	case found.Form < found.Newest:
		out += fmt.Sprintf("tables of form %d, which the start brings to form %d", found.Form, found.Newest)
	default:
		out += fmt.Sprintf("tables of form %d", found.Form)
	}
	switch by := found.Ahead; {
	case by.Abs() > nodes.ClockMost:
		return "", cli.WithHint(fmt.Errorf("%w: this one is %s", nodes.ErrClock, nodes.Apart(by)), ClockHint)
	case by.Abs() >= nodes.ClockTold:
		out += fmt.Sprintf(", the clock of this machine is %s of the database's (%s)", nodes.Apart(by), ClockHint)
	}
	return out, nil
}

// ClockHint is what to do about clocks that differ.
const ClockHint = "set the clock right that is wrong, here or at the database: date; timedatectl"

// examineTime bounds Examine.
const examineTime = 10 * time.Second

// Registry is where the gateways of the store find each other; nil where this one stands alone.
func (o *Opened) Registry() nodes.Registry {
	if o.registry == nil {
		return nil
	}
	return o.registry
}

// Listen calls told whenever another gateway may have changed something, until ctx ends.
func (o *Opened) Listen(ctx context.Context, told func()) {
	if o.registry != nil {
		o.registry.Listen(ctx, told)
	}
}

// Close releases the data.
func (o *Opened) Close() error {
	err := o.Store.Close()
	if o.registry != nil {
		err = errors.Join(err, o.registry.Close())
	}
	return err
}

// Ahead is how far the clock of this machine is ahead of the store's; 0 where that is the same clock.
func (o *Opened) Ahead() time.Duration {
	if o.registry == nil {
		return 0
	}
	return o.registry.Ahead()
}

// shared is a store whose disk and clock are another machine's.
type shared struct {
	*storeclock.Store
	base *pgstore.Store
}

// ReadRecords reads them; their times are told by nobody's clock.
func (s shared) ReadRecords(ctx context.Context, do func(r records.Reader) error) error {
	return s.base.ReadRecords(ctx, do)
}

// ChangeRecords changes them.
func (s shared) ChangeRecords(ctx context.Context, do func(t records.Tx) error) error {
	return s.base.ChangeRecords(ctx, do)
}

// Takes asks the store.
func (s shared) Takes() error { return s.base.Takes() }

var errElsewhere = errors.New("the disk is the database's")

// Free is not for this machine to know.
func (shared) Free() (free, kept uint64, err error) { return 0, 0, errElsewhere }
