package sqltables

import (
	"context"
	"maps"
	"slices"
	"time"

	"postern/internal/queue"
	"postern/internal/queue/database"
	"postern/internal/queue/sqlite"
	"postern/internal/queue/stored"
)

// Site finds or makes the row of a site.
func (t *Tx) Site(want *stored.Site) (*stored.Site, error) {
	found, err := t.FindSite(want.Key)
	if err != nil || found != nil {
		return found, err
	}
	err = t.Exec("INSERT INTO site (key, next_hop, requirement, refs, failures) VALUES (?, ?, ?, 0, 0)",
		string(want.Key), want.NextHop, want.Requirement)
	if err != nil {
		return nil, err
	}
	return t.FindSite(want.Key)
}

// FindSite finds the row of a site; nil if there is none.
func (t *Tx) FindSite(key queue.SiteKey) (found *stored.Site, err error) {
	if r := t.sites[key]; r != nil {
		return r, nil
	}
	err = t.c.Query(context.Background(), "SELECT id, failures != 0 OR since IS NOT NULL OR retry_at IS NOT NULL OR"+
		" last IS NOT NULL FROM site WHERE key = ?", func(r database.Row) error {
		found = &stored.Site{ID: r.Int(0), Key: key, HasState: r.Int(1) != 0}
		return database.ErrStop
	}, string(key))
	if err != nil || found == nil {
		return nil, err
	}
	if len(t.sites) >= sitesKept {
		clear(t.sites)
	}
	t.sites[key] = found
	return found, nil
}

// StateOf reads the state of a site.
func (t *Tx) StateOf(site *stored.Site) (state queue.SiteState, err error) {
	if !site.HasState {
		return state, nil
	}
	err = t.c.Query(context.Background(), "SELECT "+stored.SiteColumns+" FROM site s WHERE id = ?",
		func(r database.Row) error {
			s, err := stored.ScanSite(r)
			if err == nil {
				state = s.SiteState
			}
			return err
		}, site.ID)
	return state, err
}

// Waits reports whether any delivery waits at a site.
func (t *Tx) Waits(site *stored.Site) (bool, error) {
	n, err := t.c.Number(context.Background(), "SELECT count(*) FROM"+
		" (SELECT 1 FROM delivery INDEXED BY delivery_open WHERE site = ? AND state <= 2 LIMIT 1)", site.ID)
	return n > 0, err
}

// SetState replaces the state of a site.
func (t *Tx) SetState(site *stored.Site, st *stored.SiteState) error {
	sets := st.Sets()
	if !sets && !site.HasState {
		return nil
	}
	site.HasState = sets
	if sets {
		t.stir(st.Key)
	}
	return t.Exec("UPDATE site SET failures = ?, since = ?, retry_at = ?, last = ? WHERE id = ?", int64(st.Failures),
		database.Stamp(st.Since), database.Stamp(st.RetryAt), st.Facts, site.ID)
}

// ActOnSites names the sites that an action touched and, for Retry, lets their next probes go.
func (t *Tx) ActOnSites(a *queue.Action, done *stored.Acted) error {
	var late []int64
	err := t.c.Query(context.Background(), "SELECT s.key, s.id, coalesce(s.retry_at > ?, 0) FROM json_each(?) j"+
		" CROSS JOIN site s ON s.id = j.value", func(r database.Row) error {
		done.Keys[queue.SiteKey(r.Text(0))] = true
		if r.Int(2) != 0 {
			late = append(late, r.Int(1))
		}
		return nil
	}, a.Now.UnixMicro(), sqlite.List(slices.Sorted(maps.Keys(done.Sites))))
	if err != nil || a.Kind != queue.Retry {
		return err
	}
	for _, id := range late {
		if err := t.Exec("UPDATE site SET retry_at = ? WHERE id = ?", a.Now.UnixMicro(), id); err != nil {
			return err
		}
	}
	return nil
}

// PurgeSites deletes sites without deliveries, unless they still keep somebody from being hammered.
func (t *Tx) PurgeSites(before time.Time) error {
	const unused = " WHERE refs = 0 AND (failures = 0 OR coalesce(retry_at, 0) < ?)"
	if err := t.FlushRefs(); err != nil {
		return err
	}
	n, err := t.c.Number(context.Background(), "SELECT count(*) FROM site INDEXED BY site_unused"+unused,
		before.UnixMicro())
	if err != nil || n == 0 {
		return err
	}
	clear(t.sites)
	return t.Exec("DELETE FROM site"+unused, before.UnixMicro())
}
