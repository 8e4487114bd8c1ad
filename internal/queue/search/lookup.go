package search

import (
	"context"
	"fmt"
	"slices"
	"time"

	"postern/internal/queue"
	"postern/internal/queue/database"
	"postern/internal/queue/stored"
)

// Records reads deliveries by their numbers, whole, in the order of ids; each must be there.
func (x *Search) Records(ctx context.Context, db database.Reader, ids []queue.DeliveryID) ([]*stored.Record, error) {
	found := make([]*stored.Record, 0, len(ids))
	err := db.Query(ctx, x.records, func(r database.Row) error {
		rec, err := stored.Scan(r)
		found = append(found, rec)
		return err
	}, x.dialect.List(ids))
	if err == nil {
		err = x.reader(false).Complete(ctx, db, found)
	}
	if err == nil && len(found) != len(ids) {
		err = fmt.Errorf("search: found %d of %d deliveries", len(found), len(ids))
	}
	place := make(map[queue.DeliveryID]int, len(ids))
	for i, id := range ids {
		place[id] = i
	}
	slices.SortStableFunc(found, func(a, b *stored.Record) int { return place[a.ID] - place[b.ID] })
	return found, err
}

// Selected collects the waiting deliveries that an action may concern, in order.
func (x *Search) Selected(ctx context.Context, db database.Reader, a *queue.Action, known Known) (
	out []queue.DeliveryID, err error) {
	waiting := []queue.State{queue.Queued, queue.Held}
	var filters []queue.Filter
	for _, d := range a.Domains {
		filters = append(filters, queue.Filter{Domain: d})
	}
	for _, key := range a.Sites {
		filters = append(filters, queue.Filter{Site: key, States: waiting})
	}
	if len(a.Messages) > 0 {
		filters = append(filters, queue.Filter{IDs: a.Messages})
	}
	if len(filters) == 0 {
		filters = append(filters, queue.Filter{States: waiting})
	}
	for i := range filters {
		ids, ok, err := x.Candidates(ctx, db, &filters[i], known)
		if err == nil && !ok {
			ids, _, err = x.Candidates(ctx, db, &queue.Filter{States: waiting}, known)
		}
		if err != nil {
			return nil, err
		}
		out = append(out, ids...)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// Sites lists the sites where mail waits or that fail, by key, in one pass over the index of what waits.
func (x *Search) Sites(ctx context.Context, db database.Reader) (out []queue.Site, err error) {
	err = db.Query(ctx, x.sites, func(r database.Row) error {
		site, err := stored.ScanSite(r)
		if err != nil {
			return err
		}
		site.Queued, site.Earliest, site.Held = int(r.Int(7)), r.Time(8), int(r.Int(9))
		out = append(out, *site)
		return nil
	})
	return out, err
}

// TookMail looks through the newest deliveries for sites that took mail, in one pass over the end of the table.
func (x *Search) TookMail(ctx context.Context, db database.Reader, since time.Time, limit int) (
	map[queue.SiteKey]time.Time, error) {
	out := map[queue.SiteKey]time.Time{}
	err := db.Query(ctx, `SELECT s.key, max(d.finished) FROM
		(SELECT id, site, state, finished FROM delivery ORDER BY id DESC LIMIT ?) d
		JOIN message m ON m.seq = d.id / ? JOIN site s ON s.id = d.site
		WHERE d.state = ? AND d.finished >= ? AND m.sender <> '' GROUP BY s.key`, func(r database.Row) error {
		out[queue.SiteKey(r.Text(0))] = r.Time(1)
		return nil
	}, int64(limit), int64(queue.MaxDeliveries), int64(stored.Delivered), since.UnixMicro())
	return out, err
}

// Finished lists messages up to a number all of whose deliveries ended before a time. What is finished never opens
// again, so the list stays true.
func (x *Search) Finished(ctx context.Context, db database.Reader, hi int64, before time.Time, limit int) (
	seqs []int64, err error) {
	err = db.Query(ctx, `SELECT m.seq FROM message m WHERE m.seq <= ? AND m.open = 0 AND NOT EXISTS
		(SELECT 1 FROM delivery d WHERE d.id >= m.seq << 20 AND d.id < m.seq + 1 << 20 AND d.finished >= ?)
		ORDER BY m.seq LIMIT ?`, func(r database.Row) error {
		seqs = append(seqs, r.Int(0))
		return nil
	}, hi, before.UnixMicro(), int64(limit))
	return seqs, err
}
