package sqltables

import (
	"context"

	"postern/internal/queue/database"
	"postern/internal/queue/sqlite"
	"postern/internal/queue/stored"
)

// Portion is how many messages Fill brings in at once.
const Portion = 1000

// Filled reports whether every message is in the tables of form 9, which searches look into: what an older form wrote
// comes there bit by bit.
func Filled(ctx context.Context, db database.Reader) (bool, error) {
	n, err := db.Number(ctx, "SELECT count(*) FROM totals WHERE indexed > (SELECT coalesce(min(seq), indexed) FROM "+
		"message)")
	return n == 0, err
}

// Fill goes on from where those tables begin. Messages that are gone leave gaps, and a portion is a number of messages.
func (t *Tx) Fill() error {
	ctx := context.Background()
	from, err := t.c.Number(ctx, "SELECT indexed FROM totals")
	if err != nil {
		return err
	}
	to, err := t.c.Number(ctx, "SELECT min(seq) FROM (SELECT seq FROM message WHERE seq < ? ORDER BY seq DESC LIMIT ?)",
		from, int64(Portion))
	if err != nil {
		return err
	}
	lo, hi := int64(stored.ID(to, 0)), int64(stored.ID(from, 0))
	for _, one := range []struct {
		text   string
		lo, hi int64
	}{
		{"INSERT OR IGNORE INTO party SELECT seq >> 12, " + sqlite.DomainIn("sender") + ", seq FROM message WHERE " +
			"seq >= ? AND seq < ? AND sender <> ''", to, from},
		{"INSERT OR IGNORE INTO party SELECT id >> 32, " + sqlite.DomainIn("address") + ", id >> 20 FROM delivery " +
			"WHERE id >= ? AND id < ?", lo, hi},
		{"INSERT OR IGNORE INTO undelivered SELECT state, id FROM delivery WHERE id >= ? AND id < ? AND state <> 3", lo,
			hi},
	} {
		if err := t.Exec(one.text, one.lo, one.hi); err != nil {
			return err
		}
	}
	return t.Exec("UPDATE totals SET indexed = ?", to)
}
