package pgstore

import (
	"sync"
	"time"

	"postern/internal/queue"
	"postern/internal/queue/stored"
)

// given remembers the leases that this process gave, with what a settlement needs of their deliveries: while a lease is
// held nobody else changes that, but for what is wished. So a settlement need not read it again; the transaction only
// asks whether the lease still stands and nothing is wished (see txn.sure). Safe for concurrent use.
type given struct {
	mu   sync.Mutex // guards what follows
	held map[queue.DeliveryID]givenLease
}

type givenLease struct {
	token int64
	until time.Time // by the clock of the store
	row   deliveryRow
}

// givenMost bounds the memory; of leases that are not remembered the database is asked.
const givenMost = 1 << 14

// note remembers claimed work.
func (g *given) note(lease queue.Lease, until time.Time, d *queue.Delivery, was queue.State, facts string) {
	row := deliveryRow{Delivery: *d, facts: facts, token: lease.Token, leased: true}
	row.State, row.History = was, nil
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.held) >= givenMost || g.held == nil {
		g.held = map[queue.DeliveryID]givenLease{}
	}
	g.held[lease.Delivery] = givenLease{lease.Token, until, row}
}

// noteAll remembers what was read of claimed deliveries.
func (g *given) noteAll(leases []queue.Lease, until time.Time, found []*stored.Record) {
	for i, r := range found {
		g.note(leases[i], until, &r.Delivery, r.State, r.Facts)
	}
}

// prolong remembers new ends of leases, and reports whether one ends sooner than before.
func (g *given) prolong(leases []queue.Lease, until time.Time) (sooner bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, l := range leases {
		if one, known := g.held[l.Delivery]; known && one.token == l.Token {
			sooner = sooner || until.Before(one.until)
			one.until = until
			g.held[l.Delivery] = one
		}
	}
	return sooner
}

// nextEnd is when the next lease at a site ends, if that is before next; zero is never.
func (g *given) nextEnd(site queue.SiteKey, now, next time.Time) time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, one := range g.held {
		if one.row.Site == site && one.until.After(now) && (next.IsZero() || one.until.Before(next)) {
			next = one.until
		}
	}
	return next
}

// rows are the deliveries of leases, if all of them are remembered; they are the caller's.
func (g *given) rows(leases []queue.Lease) (map[queue.DeliveryID]*deliveryRow, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := make(map[queue.DeliveryID]*deliveryRow, len(leases))
	for _, l := range leases {
		one, known := g.held[l.Delivery]
		if !known || one.token != l.Token || one.row.Wish != nil {
			return nil, false
		}
		if out[l.Delivery] == nil {
			row := one.row
			out[l.Delivery] = &row
		}
	}
	return out, true
}

// forget drops leases that ended.
func (g *given) forget(ids []int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, id := range ids {
		delete(g.held, queue.DeliveryID(id))
	}
}

// sureOf is a check that makes the transaction fail where a lease does not stand or something is wished: it divides by
// zero then. endSure is the same while it ends the leases.
const (
	sureOf = `SELECT 1 / (CASE WHEN (SELECT count(*) FROM unnest(?1::bigint[], ?2::bigint[]) u(id, token)
		JOIN lease l ON l.delivery = u.id AND l.token = u.token) = ?3` + unwished
	endSure = `WITH gone AS (DELETE FROM lease l USING unnest(?1::bigint[], ?2::bigint[]) u(id, token)
		WHERE l.delivery = u.id AND l.token = u.token RETURNING 1)
		SELECT 1 / (CASE WHEN (SELECT count(*) FROM gone) = ?3` + unwished
	unwished = ` AND NOT EXISTS (SELECT 1 FROM wish w WHERE w.delivery = ANY(?1::bigint[])) THEN 1 ELSE 0 END)`
)

// recall takes what is to be looked up of deliveries from memory, and reports whether it did.
func (t *txn) recall() bool {
	if t.doubt {
		return false
	}
	rows, ok := t.s.given.rows(t.leases)
	if ok {
		t.rows, t.unsure, t.recalled = rows, t.leases, true
	}
	return ok
}
