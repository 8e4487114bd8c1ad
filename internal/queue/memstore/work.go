package memstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"postern/internal/attempt"
	"postern/internal/queue"
)

// Claim leases deliveries.
func (s *Store) Claim(ctx context.Context, c queue.Claim) ([]queue.Work, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	s.lapse(c.Now)
	chosen := slices.DeleteFunc(slices.Clone(s.rows), func(r *row) bool { return !claims(&c, r) })
	slices.SortStableFunc(chosen, func(a, b *row) int {
		if c.Overdue {
			return a.Deadline.Compare(b.Deadline)
		}
		if len(c.IDs) > 0 {
			return cmp.Compare(a.ID, b.ID)
		}
		return a.Due.Compare(b.Due)
	})
	var out []queue.Work
	for _, r := range chosen[:min(c.Limit, len(chosen))] {
		s.lastToken++
		r.token, r.until = s.lastToken, c.Until
		w := queue.Work{Delivery: s.delivery(r), Message: r.message.Message, Was: r.State}
		w.Lease = queue.Lease{Delivery: r.ID, Token: r.token}
		w.NextHop, w.SiteState = s.sites[r.Site].nextHop, s.sites[r.Site].state
		out = append(out, w)
	}
	return out, nil
}

// claims reports whether c selects r and r is not under a running lease.
func claims(c *queue.Claim, r *row) bool {
	if !r.State.Waiting() || r.leased(c.Now) {
		return false
	}
	switch {
	case c.Overdue:
		return c.Takes(r.Deadline)
	case c.Site != "":
		return r.Site == c.Site && c.Takes(r.Due)
	}
	return slices.Contains(c.IDs, r.ID)
}

func (r *row) leased(now time.Time) bool { return r.token != 0 && r.until.After(now) }

// delivery is r as callers see it.
func (s *Store) delivery(r *row) queue.Delivery {
	d := r.Delivery
	d.Requirement = s.sites[r.Site].requirement
	d.History = slices.Clone(d.History)
	if r.token != 0 && d.State.Waiting() {
		d.State = queue.Sending
	}
	return d
}

// held checks that all leases are held, each named once.
func (s *Store) held(leases []queue.Lease) error {
	seen := map[queue.DeliveryID]bool{}
	for _, l := range leases {
		r := s.byID[l.Delivery]
		if r == nil || r.token == 0 || r.token != l.Token || seen[l.Delivery] {
			return queue.ErrStaleLease
		}
		seen[l.Delivery] = true
	}
	return nil
}

// Settle ends leases.
func (s *Store) Settle(ctx context.Context, b queue.Batch) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	if err := s.check(&b); err != nil {
		return err
	}
	var ends queue.WishEnds
	for i := range b.Settlements {
		s.settle(&b.Settlements[i], b.Now, &ends)
	}
	s.recordAll(&ends)
	for _, sub := range b.New {
		s.insert(sub)
	}
	for key, state := range b.Sites {
		state.Since, state.RetryAt = queue.Kept(state.Since), queue.Kept(state.RetryAt)
		s.sites[key].state = state
	}
	return nil
}

// check finds out whether all of b can be done.
func (s *Store) check(b *queue.Batch) error {
	leases, ids, sites := []queue.Lease{}, map[queue.ID]bool{}, map[queue.SiteKey]bool{}
	for i := range b.Settlements {
		if err := b.Settlements[i].Check(); err != nil {
			return err
		}
		leases = append(leases, b.Settlements[i].Lease)
		if m := b.Settlements[i].Move; m != nil {
			sites[queue.NewSiteKey(m.NextHop, m.Requirement)] = true
		}
	}
	if err := s.held(leases); err != nil {
		return err
	}
	for _, sub := range b.New {
		if err := s.admit(sub); err != nil {
			return err
		}
		if ids[sub.Message.ID] {
			return fmt.Errorf("memstore: message %s exists", sub.Message.ID)
		}
		ids[sub.Message.ID] = true
		for _, d := range sub.Deliveries {
			sites[queue.NewSiteKey(d.NextHop, d.Requirement)] = true
		}
	}
	for key := range b.Sites {
		if s.sites[key] == nil && !sites[key] {
			return fmt.Errorf("memstore: site %s: %w", key, queue.ErrNotFound)
		}
	}
	return nil
}

func (s *Store) settle(st *queue.Settlement, now time.Time, ends *queue.WishEnds) {
	r := s.byID[st.Lease.Delivery]
	r.token = 0
	if st.Apply(&r.Delivery, now); st.Wished != nil {
		ends.Add(st.Wished, &r.Delivery, now)
	}
	if st.Attempt != nil {
		r.History = remember(r.History, *st.Attempt)
	}
	if st.Move != nil {
		r.Site = s.site(st.Move.NextHop, st.Move.Requirement).key
	}
	ended(r)
}

// remember appends to a history, keeping the first and the newest.
func remember(h []attempt.Attempt, a attempt.Attempt) []attempt.Attempt {
	if len(h) == queue.HistoryKept {
		h = slices.Delete(slices.Clone(h), 1, 2)
	}
	return append(h, a)
}

// Extend prolongs leases.
func (s *Store) Extend(ctx context.Context, leases []queue.Lease, until time.Time) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	if err := s.held(leases); err != nil {
		return err
	}
	for _, l := range leases {
		s.byID[l.Delivery].until = until
	}
	return nil
}

// lapse carries out what is wished of deliveries whose leases have run out.
func (s *Store) lapse(now time.Time) {
	var ends queue.WishEnds
	for _, r := range s.rows {
		if wish := r.Wish; wish != nil && r.State.Waiting() && !r.leased(now) {
			r.token = 0
			r.CarryOut(now)
			ends.Add(wish, &r.Delivery, now)
			ended(r)
		}
	}
	s.recordAll(&ends)
}

// Wished returns what is not to be sent any more.
func (s *Store) Wished(ctx context.Context, ids []queue.DeliveryID) ([]queue.DeliveryID, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var out []queue.DeliveryID
	for _, id := range ids {
		if r := s.byID[id]; r != nil && r.State.Waiting() && r.Wish.Withdraws() {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out, nil
}
