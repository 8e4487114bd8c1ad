package pgstore

import (
	"time"

	"postern/internal/queue"
	"postern/internal/queue/database"
	"postern/internal/queue/leased"
	"postern/internal/queue/postgres"
	"postern/internal/queue/stored"
)

// keptMark stands in the place of the worker in a lease of mail that may still be waiting in memory.
const keptMark = "(kept)"

// wanted is a delivery that is stored with its lease already held, where its site is healthy.
type wanted struct {
	n     *stored.Message
	place int
	token int64 // 0: not leased
}

// want plans the leases of new mail that is to be kept. What is not kept is for everybody to claim.
func (t *txn) want(n *stored.Message) {
	for i := range n.Deliveries {
		if d := &n.Deliveries[i]; t.s.kept.Wants(&d.Delivery) {
			t.wanted = append(t.wanted, &wanted{n: n, place: i})
		} else {
			t.stirs = append(t.stirs, d.Site)
		}
	}
}

// addKept leases new mail for this gateway where nothing is known against its site.
func (t *txn) addKept(b *postgres.Batch) error {
	var rows [][]any
	byID := map[int64]*wanted{}
	for _, w := range t.wanted {
		d := &w.n.Deliveries[w.place]
		byID[int64(d.ID)] = w
		rows = append(rows, []any{int64(d.ID), string(d.Site), w.n.AcceptedAt.Add(t.s.cfg.Keep).UnixMicro()})
	}
	if len(rows) == 0 {
		return nil
	}
	args, err := postgres.Columns("iti", rows)
	if err != nil {
		return err
	}
	b.Add(`INSERT INTO lease (delivery, token, until, owner, node, worker, batch)
		SELECT u.id, nextval('lease_token'), u.until, ?4, ?5, ?6, ?7 FROM unnest(?1::bigint[], ?2::text[], ?3::bigint[]) u(id, site, until)
		JOIN site s ON s.key = u.site WHERE s.failures = 0 AND s.since IS NULL AND s.retry_at IS NULL AND s.last IS NULL
		RETURNING delivery, token`, func(r database.Row) error {
		byID[r.Int(0)].token = r.Int(1)
		return nil
	}, append(args, t.s.owner, t.s.cfg.Node, keptMark, -t.number)...)
	t.keeps, t.wanted = append(t.keeps, t.wanted...), nil
	return nil
}

// keep puts what was leased so into memory.
func (t *txn) keep() {
	now := time.Now()
	var works []queue.Work
	for i, w := range t.keeps {
		d := &w.n.Deliveries[w.place]
		if w.token == 0 {
			t.stirs = append(t.stirs, d.Site)
		} else {
			lease := queue.Lease{Delivery: d.ID, Token: w.token}
			t.s.given.Note(lease, w.n.AcceptedAt.Add(t.s.cfg.Keep), &d.Delivery, d.State, d.Facts)
			works = append(works, queue.Work{Delivery: d.Delivery, Message: w.n.Message, Lease: lease, Was: d.State,
				NextHop: d.At.NextHop})
		}
		if i == len(t.keeps)-1 || t.keeps[i+1].n != w.n {
			t.s.kept.Put(works, w.n.Body.Data, now)
			works = nil
		}
	}
}

// keptAt takes what is kept of a site out of memory.
func (s *Store) keptAt(site queue.SiteKey) []queue.Lease {
	return s.kept.Drop(site, func(*queue.Delivery) bool { return true })
}

// giveBack lets everybody claim what is not kept any more, at a site or, "", at any.
func (s *Store) giveBack(site queue.SiteKey, leases []queue.Lease) {
	if len(leases) > 0 {
		s.unlease(site, leases)
		s.kept.Returned(leases)
	}
}

// keepLoop gives back what was kept and not asked for, and what could not be given back before, until the store is
// closed.
func (s *Store) keepLoop() {
	s.each(leased.LookEvery, func() {
		s.giveBack("", s.kept.Old(time.Now()))
		s.mu.Lock()
		owed := s.owed
		s.owed = nil
		s.mu.Unlock()
		s.unlease("", owed)
	})
}
