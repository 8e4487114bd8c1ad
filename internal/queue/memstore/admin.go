package memstore

import (
	"context"
	"iter"
	"maps"
	"slices"
	"time"

	"postern/internal/queue"
)

// Sites lists the sites where mail waits or that fail, by key.
func (s *Store) Sites(ctx context.Context) ([]queue.Site, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	out, waiting := map[queue.SiteKey]*queue.Site{}, map[queue.SiteKey]bool{}
	for key, st := range s.sites {
		out[key] = &queue.Site{Key: key, NextHop: st.nextHop, Requirement: st.requirement, SiteState: st.state}
	}
	for _, r := range s.rows {
		if !r.State.Waiting() {
			continue
		}
		waiting[r.Site] = true
		at := out[r.Site]
		if r.Due.IsZero() {
			at.Held++
		} else {
			at.Queued++
			if at.Earliest.IsZero() || r.Due.Before(at.Earliest) {
				at.Earliest = r.Due
			}
		}
	}
	var list []queue.Site
	for _, key := range slices.Sorted(maps.Keys(out)) {
		if waiting[key] || out[key].Failures > 0 {
			list = append(list, *out[key])
		}
	}
	return list, nil
}

// TookMail looks through the newest deliveries for sites that took mail.
func (s *Store) TookMail(ctx context.Context, since time.Time, limit int) (map[queue.SiteKey]time.Time, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	out := map[queue.SiteKey]time.Time{}
	for _, r := range s.rows[max(0, len(s.rows)-limit):] {
		ordinary := !r.message.Envelope.From.IsNull()
		if at := r.FinishedAt; ordinary && r.State == queue.Delivered && !at.Before(since) && at.After(out[r.Site]) {
			out[r.Site] = at
		}
	}
	return out, nil
}

// List yields records, the newest acceptance first, of the moment it was called.
func (s *Store) List(ctx context.Context, f queue.Filter) iter.Seq2[queue.Record, error] {
	return func(yield func(queue.Record, error) bool) {
		found, err := s.find(ctx, &f)
		for _, r := range found {
			if !yield(r, nil) {
				return
			}
		}
		if err != nil {
			yield(queue.Record{}, err)
		}
	}
}

func (s *Store) find(ctx context.Context, f *queue.Filter) ([]queue.Record, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var out []queue.Record
	looked := map[queue.ID]bool{}
	for _, r := range slices.Backward(s.rows) {
		if f.After > 0 && r.ID >= f.After {
			continue
		}
		if looked[r.message.ID] = true; f.Look > 0 && len(looked) > f.Look {
			return out, unfinished(s.rows, r)
		}
		rec := queue.Record{Delivery: s.delivery(r), Message: r.message.Message}
		rec.NextHop, rec.SiteState = s.sites[r.Site].nextHop, s.sites[r.Site].state
		if f.Matches(&rec) {
			if f.Brief {
				rec.History = nil
			}
			out = append(out, rec)
		}
		if f.Limit > 0 && len(out) == f.Limit {
			break
		}
	}
	return out, nil
}

// unfinished says where a search stopped that did not look at next any more.
func unfinished(rows []*row, next *row) error {
	last := rows[slices.Index(rows, next)+1]
	return &queue.Unfinished{After: last.ID, AcceptedAt: last.AcceptedAt}
}

// Act changes states on an administrator's behalf.
func (s *Store) Act(ctx context.Context, a queue.Action) (queue.Acted, error) {
	if err := a.Check(); err != nil {
		return queue.Acted{}, err
	}
	if err := s.enter(ctx); err != nil {
		return queue.Acted{}, err
	}
	defer s.mu.Unlock()
	s.lapse(a.Now)
	var out queue.Acted
	touched := map[queue.SiteKey]bool{}
	for _, r := range s.rows {
		if !r.State.Waiting() || !a.Selects(&r.Delivery) {
			continue
		}
		if r.leased(a.Now) {
			asked := a.Ask(&r.Delivery)
			switch asked {
			case queue.AskedPending:
				out.Pending = append(out.Pending, queue.Pending{Delivery: r.ID, Message: r.message.ID})
			case queue.AskedUndone:
				out.Changed++
			}
			touched[r.Site] = touched[r.Site] || a.Kind == queue.Retry || asked == queue.AskedUndone
			continue
		}
		if a.Apply(&r.Delivery) {
			touched[r.Site] = true
			r.token = 0
			out.Changed++
			ended(r)
		}
	}
	maps.DeleteFunc(touched, func(_ queue.SiteKey, yes bool) bool { return !yes })
	out.Sites = slices.Sorted(maps.Keys(touched))
	if a.Kind == queue.Retry {
		for _, key := range out.Sites {
			s.sites[key].state.Hasten(a.Now)
		}
	}
	return out, nil
}

// Purge deletes finished messages, oldest first, and sites that nothing refers to.
func (s *Store) Purge(ctx context.Context, before time.Time, limit int) (int, error) {
	if err := s.enter(ctx); err != nil {
		return 0, err
	}
	defer s.mu.Unlock()
	n := 0
	for _, r := range slices.Clone(s.rows) {
		m := r.message
		open := func(o *row) bool { return o.State.Waiting() || !o.FinishedAt.Before(before) }
		if n == limit || s.messages[m.ID] == nil || slices.ContainsFunc(m.rows, open) {
			continue
		}
		n++
		delete(s.messages, m.ID)
		for _, o := range m.rows {
			delete(s.byID, o.ID)
		}
	}
	s.rows = slices.DeleteFunc(s.rows, func(r *row) bool { return s.byID[r.ID] == nil })
	used := map[queue.SiteKey]bool{}
	for _, r := range s.rows {
		used[r.Site] = true
	}
	maps.DeleteFunc(s.sites, func(key queue.SiteKey, st *site) bool {
		return !used[key] && (st.state.Failures == 0 || st.state.RetryAt.Before(before))
	})
	return n, nil
}

// Stats counts.
func (s *Store) Stats(ctx context.Context) (queue.Stats, error) {
	if err := s.enter(ctx); err != nil {
		return queue.Stats{}, err
	}
	defer s.mu.Unlock()
	out := queue.Stats{States: map[queue.State]int64{}}
	for _, r := range s.rows {
		out.States[s.delivery(r).State]++
		if r.State.Waiting() && out.Oldest.IsZero() {
			out.Oldest = r.AcceptedAt
		}
	}
	for _, m := range s.messages {
		out.BodyBytes += int64(len(m.body))
	}
	return out, nil
}
