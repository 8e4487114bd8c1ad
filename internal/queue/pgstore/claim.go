package pgstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"postern/internal/queue"
	"postern/internal/queue/database"
	"postern/internal/queue/leased"
	"postern/internal/queue/postgres"
	"postern/internal/queue/stored"
)

// claimed is a statement that leases deliveries.
type claimed struct {
	text string
	args []any
	each func(r database.Row) error
}

// The statements of Claim: pick what may be leased, passing over what others are at, and lease it. What makes a claim
// exclusive is the lease's key: a row that another transaction leased a moment ago conflicts, and is left alone unless
// it has run out. ?1 is now, ?2 until, ?3 to ?5 owner, node and worker, ?6 the limit, ?7 the transaction.
const (
	pickFree = ` AND d.state <= 2
		AND NOT EXISTS (SELECT 1 FROM lease l WHERE l.delivery = d.id AND l.until > ?1)
		AND NOT EXISTS (SELECT 1 FROM wish w WHERE w.delivery = d.id)`
	pickLease = ` LIMIT ?6 FOR UPDATE OF d SKIP LOCKED)
		INSERT INTO lease AS l (delivery, token, until, owner, node, worker, batch)
		SELECT id, nextval('lease_token'), ?2, ?3, ?4, ?5, ?7 FROM picked ON CONFLICT (delivery) DO UPDATE
			SET token = excluded.token, until = excluded.until, owner = excluded.owner, node = excluded.node, worker = excluded.worker,
				batch = excluded.batch
			WHERE l.until <= ?1
		RETURNING delivery, token`
	pick = "WITH picked AS MATERIALIZED (SELECT d.id FROM delivery d WHERE "

	claimAtSite = pick + "d.site = (SELECT id FROM site WHERE key = ?8) AND d.due <= ?9" + pickFree +
		" ORDER BY d.due, d.id" + pickLease
	claimAtLater = pick + "d.site = (SELECT id FROM site WHERE key = ?8) AND d.due > ?9" + pickFree +
		" ORDER BY d.due, d.id" + pickLease
	claimOverdue  = pick + "d.deadline <= ?8" + pickFree + " ORDER BY d.deadline, d.id" + pickLease
	claimOverLate = pick + "d.deadline > ?8" + pickFree + " ORDER BY d.deadline, d.id" + pickLease
	claimIDs      = pick + "d.id = ANY(?8::bigint[])" + pickFree + " ORDER BY d.id" + pickLease
)

// lapsedWishes are the wishes of deliveries whose leases have run out.
const (
	lapsedWishes = " FROM wish w WHERE NOT EXISTS (SELECT 1 FROM lease l WHERE l.delivery = w.delivery AND l.until > ?)"
	anyLapsed    = "SELECT 1" + lapsedWishes + " LIMIT 1"
)

// siteNow is what a claim that found less than it may take is told besides: whether the site has failed, and when the
// next of what waits there is due.
const siteNow = `SELECT (failures, since, retry_at, last) IS DISTINCT FROM (0::bigint, NULL::bigint, NULL::bigint, NULL::text),
	(SELECT d.due FROM delivery d WHERE d.site = s.id AND d.state <= 2 AND d.due > ?2 ORDER BY d.site, d.due, d.id LIMIT 1)
	FROM site s WHERE s.key = ?1`

// Claim leases deliveries.
func (s *Store) Claim(ctx context.Context, c queue.Claim) ([]queue.Work, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	if err := s.gate.Enter(ctx); err != nil {
		return nil, err
	}
	defer s.gate.Leave()
	if c.Site == "" {
		s.giveBack("", s.kept.Drop("", c.Selects))
	} else {
		s.giveBack(c.Site, s.kept.Unfit(&c))
	}
	if err := s.kept.Rest(ctx, c.Site); err != nil {
		return nil, err
	}
	if c.Site != "" && s.kept.IsQuiet(&c, time.Now()) {
		return s.kept.Take(&c, c.Limit, nil), nil
	}
	return s.claimStored(ctx, &c)
}

// claiming is one claim in the database.
type claiming struct {
	*queue.Claim
	leases []queue.Lease
	lapsed bool      // something is wished of a delivery whose lease ran out
	failed bool      // the site has failed
	next   time.Time // when something is due at the site, zero for never
}

// claimStored claims in the database, and at a site adds what is kept.
func (s *Store) claimStored(ctx context.Context, c *queue.Claim) ([]queue.Work, error) {
	found, began, stirs := &claiming{Claim: c}, time.Now(), s.kept.Stirred()
	err := s.lease(ctx, found, false, c.Limit)
	if err == nil && found.lapsed { // what was wished is carried out before anything is claimed
		s.unlease(c.Site, found.leases)
		// then it waits, and is not claimed
		if err := s.lapse(ctx, c.Now); err != nil && !errors.Is(err, queue.ErrFull) {
			return nil, err
		}
		err = s.lease(ctx, found, false, c.Limit)
	}
	if err == nil && found.failed { // all of it waits for one probe
		if kept := s.keptAt(c.Site); len(kept) > 0 {
			s.giveBack(c.Site, kept)
			s.unlease(c.Site, found.leases)
			err = s.lease(ctx, found, false, c.Limit)
		}
	}
	work, err := s.loaded(ctx, found, err)
	if err != nil {
		return nil, err
	}
	full := len(work) >= c.Limit
	work = s.withKept(c, work)
	if !c.Beyond.IsZero() && len(c.IDs) == 0 && len(work) < c.Limit {
		beyond := &claiming{Claim: c}
		err := s.lease(ctx, beyond, true, c.Limit-len(work))
		more, err := s.loaded(ctx, beyond, err)
		if err != nil {
			s.unlease(c.Site, leasesOf(work))
			return nil, err
		}
		work = append(work, more...)
		full = len(work) >= c.Limit
	}
	if c.Site != "" && !found.failed {
		next := s.given.NextEnd(c.Site, c.Now, found.next)
		s.kept.Note(c.Site, leased.Quiet{At: began, Now: c.Now, Next: next, Beyond: c.Beyond, Full: full}, stirs)
	}
	slices.SortFunc(work, func(a, b queue.Work) int { return c.Compare(&a, &b) })
	return work, nil
}

// withKept adds what is kept at the site of a claim, which gets what comes first of both.
func (s *Store) withKept(c *queue.Claim, work []queue.Work) []queue.Work {
	if c.Site == "" {
		return work
	}
	work = append(work, s.kept.Take(c, c.Limit-len(work), nil)...)
	slices.SortFunc(work, func(a, b queue.Work) int { return c.Compare(&a, &b) })
	for len(work) == c.Limit {
		earlier := s.kept.Take(c, 1, &work[len(work)-1])
		if len(earlier) == 0 {
			break
		}
		last := work[len(work)-1]
		s.unlease(c.Site, []queue.Lease{last.Lease})
		work[len(work)-1] = earlier[0]
		slices.SortFunc(work, func(a, b queue.Work) int { return c.Compare(&a, &b) })
	}
	return work
}

// lease picks deliveries and leases them: what is due, or what is beyond.
func (s *Store) lease(ctx context.Context, c *claiming, beyond bool, limit int) error {
	args := []any{c.Now.UnixMicro(), c.Until.UnixMicro(), s.owner, s.cfg.Node, c.Worker, int64(limit), int64(0)}
	text, at := claimIDs, c.Now
	if beyond {
		at = c.Beyond
	}
	switch {
	case c.Site != "":
		text = [2]string{claimAtSite, claimAtLater}[stored.Flag(beyond)]
		args = append(args, string(c.Site), at.UnixMicro())
	case c.Overdue:
		text = [2]string{claimOverdue, claimOverLate}[stored.Flag(beyond)]
		args = append(args, at.UnixMicro())
	default:
		args = append(args, postgres.Dialect().List(c.IDs))
	}
	err := s.claims.do(ctx, 0, func(t *txn) error {
		c.leases, c.lapsed, args[6] = nil, false, t.number
		t.claimed = append(t.claimed, claimed{anyLapsed, args[:1], func(r database.Row) error {
			c.lapsed = true
			return nil
		}}, claimed{text, args, func(r database.Row) error {
			c.leases = append(c.leases, queue.Lease{Delivery: queue.DeliveryID(r.Int(0)), Token: r.Int(1)})
			return nil
		}})
		if c.Site != "" && !beyond && s.cfg.Keep > 0 {
			t.claimed = append(t.claimed,
				claimed{siteNow, []any{string(c.Site), c.Now.UnixMicro()}, func(r database.Row) error {
					c.failed, c.next = r.Int(0) != 0, r.Time(1)
					return nil
				}})
		}
		return nil
	})
	if err != nil {
		c.leases, c.lapsed = nil, false
	}
	return err
}

// loaded reads what was leased; where that fails, or leasing did, the leases are given back.
func (s *Store) loaded(ctx context.Context, c *claiming, err error) ([]queue.Work, error) {
	if err != nil || len(c.leases) == 0 {
		s.unlease(c.Site, c.leases)
		return nil, err
	}
	work, err := s.load(ctx, c.leases, c.Until)
	if err != nil {
		s.unlease(c.Site, c.leases)
		return nil, fmt.Errorf("pgstore: reading what was claimed: %w", err)
	}
	return work, nil
}

// load reads claimed deliveries: nobody else changes what is leased.
func (s *Store) load(ctx context.Context, leases []queue.Lease, until time.Time) ([]queue.Work, error) {
	ids := make([]queue.DeliveryID, len(leases))
	for i, l := range leases {
		ids[i] = l.Delivery
	}
	var found []*stored.Record
	err := s.readSoon(ctx, func(c *postgres.Conn) (err error) {
		found, err = s.search.Records(ctx, c, ids)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := make([]queue.Work, len(found))
	for i, r := range found {
		s.given.Note(leases[i], until, &r.Delivery, r.State, r.Facts)
		out[i] = r.Work(leases[i])
	}
	return out, nil
}

// unlease gives back what is not handed out, and notes that the database has it to claim, at a site or, "", at any.
// Where that fails it is tried again.
func (s *Store) unlease(site queue.SiteKey, leases []queue.Lease) {
	if len(leases) == 0 {
		return
	}
	ids, tokens := pairs(leases)
	s.given.Forget(ids)
	s.kept.Settled(ids)
	err := s.others.do(s.life, 0, func(t *txn) error {
		t.then(func() error {
			return t.Exec("DELETE FROM lease l USING unnest(?::bigint[], ?::bigint[]) u(id, token)"+
				" WHERE l.delivery = u.id AND l.token = u.token", ids, tokens)
		})
		return nil
	})
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.owed = append(s.owed, leases...)
		return
	}
	s.kept.Stir(site)
}

func leasesOf(work []queue.Work) (out []queue.Lease) {
	for i := range work {
		out = append(out, work[i].Lease)
	}
	return out
}

func pairs(leases []queue.Lease) (ids, tokens []int64) {
	for _, l := range leases {
		ids, tokens = append(ids, int64(l.Delivery)), append(tokens, l.Token)
	}
	return ids, tokens
}

// Extend prolongs leases.
func (s *Store) Extend(ctx context.Context, leases []queue.Lease, until time.Time) error {
	if err := s.gate.Enter(ctx); err != nil {
		return err
	}
	defer s.gate.Leave()
	if len(leases) == 0 {
		return nil
	}
	err := s.mail.do(ctx, 0, func(t *txn) error {
		t.leases = append(t.leases, leases...)
		t.then(func() error {
			if err := t.held(leases); err != nil {
				return err
			}
			t.extended = append(t.extended, extended{leases, until.UnixMicro()})
			return nil
		})
		return nil
	})
	if err == nil && s.given.Prolong(leases, until) {
		s.kept.Stir()
	}
	return err
}
