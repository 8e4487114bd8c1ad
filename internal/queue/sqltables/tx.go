package sqltables

import (
	"context"

	"postern/internal/queue"
	"postern/internal/queue/database"
	"postern/internal/queue/sqlite"
	"postern/internal/queue/stored"
)

// Sites remembers rows of the site table by key, from one transaction to the next. Whoever undoes one empties it.
type Sites map[queue.SiteKey]*stored.Site

// sitesKept bounds the memory of sites.
const sitesKept = 8192

// Tx is one transaction. Use NewTx. It belongs to one goroutine.
type Tx struct {
	// Totals are the counts as the transaction leaves them. Whoever commits writes them.
	Totals Totals
	c      *sqlite.Conn
	sites  Sites
	stir   func(key queue.SiteKey)
	writes int // statements that changed something
	begun  bool
	refs   map[int64]int64 // what to add to site.refs
}

// NewTx makes a transaction over a connection; it begins in the database with the first statement that changes
// something. Stir is told of each site that has something new to claim, or a state.
func NewTx(c *sqlite.Conn, sites Sites, totals Totals, stir func(key queue.SiteKey)) *Tx {
	return &Tx{Totals: totals, c: c, sites: sites, stir: stir, refs: map[int64]int64{}}
}

// Begun reports whether the transaction began in the database; Writes counts the statements that changed something.
func (t *Tx) Begun() bool { return t.begun }

// Writes counts.
func (t *Tx) Writes() int { return t.writes }

func (t *Tx) begin() error {
	if t.begun {
		return nil
	}
	t.begun = true
	return t.c.Exec("BEGIN IMMEDIATE")
}

// Exec runs a statement that changes something.
func (t *Tx) Exec(text string, args ...any) error {
	_, err := t.Changed(text, args...)
	return err
}

// Changed is Exec that tells how many rows changed.
func (t *Tx) Changed(text string, args ...any) (int64, error) {
	if err := t.begin(); err != nil {
		return 0, err
	}
	n, err := t.c.Changed(text, args...)
	if err == nil {
		t.writes++
	}
	return n, err
}

// Query reads what the transaction sees.
func (t *Tx) Query(ctx context.Context, text string, each func(r database.Row) error, args ...any) error {
	return t.c.Query(ctx, text, each, args...)
}

// Number reads one integer.
func (t *Tx) Number(ctx context.Context, text string, args ...any) (int64, error) {
	return t.c.Number(ctx, text, args...)
}

// FlushRefs writes the counts of deliveries per site. Whoever commits does so before.
func (t *Tx) FlushRefs() error {
	for id, n := range t.refs {
		if err := t.Exec("UPDATE site SET refs = refs + ? WHERE id = ?", n, id); err != nil {
			return err
		}
	}
	clear(t.refs)
	return nil
}
