package storeclock

import (
	"time"

	"postern/internal/attempt"
	"postern/internal/operator/audit"
	"postern/internal/policy"
	"postern/internal/queue"
)

// shift turns times by one clock into those by another. What it is given by reference it changes; what that refers to
// in turn may be somebody else's, and is copied first.
type shift time.Duration

// at is a time turned; zero is none and stays so.
func (by shift) at(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.Add(time.Duration(by))
}

func (by shift) all(times ...*time.Time) {
	for _, t := range times {
		*t = by.at(*t)
	}
}

// each returns a copy of a list with every element turned.
func each[T any](list []T, turn func(*T)) []T {
	if list == nil {
		return nil
	}
	out := append([]T{}, list...)
	for i := range out {
		turn(&out[i])
	}
	return out
}

func (by shift) delivery(d *queue.Delivery) {
	by.all(&d.AcceptedAt, &d.ExpiresAt, &d.Due, &d.Deadline, &d.FinishedAt)
	d.Wish = by.wish(d.Wish)
	d.History = each(d.History, by.attempt)
	d.Effects = each(d.Effects, by.effect)
}

func (by shift) effect(e *policy.Effect) { by.all(&e.At) }

func (by shift) message(m *queue.Message) { by.all(&m.AcceptedAt) }

func (by shift) wish(w *queue.Wish) *queue.Wish {
	if w == nil {
		return nil
	}
	out := *w
	by.all(&out.At)
	return &out
}

func (by shift) attempt(a *attempt.Attempt) {
	by.all(&a.At)
	a.Tries = each(a.Tries, by.try)
}

func (by shift) try(t *attempt.Try) {
	by.all(&t.At)
	t.Published = each(t.Published, by.published)
	t.JSON = nil // it has the times of before
}

func (by shift) published(p *policy.Published) { by.all(&p.AsOf, &p.Until) }

// attemptCopy is a copy, turned; nil stays nil.
func (by shift) attemptCopy(a *attempt.Attempt) *attempt.Attempt {
	if a == nil {
		return nil
	}
	out := *a
	by.attempt(&out)
	return &out
}

func (by shift) siteState(s *queue.SiteState) {
	by.all(&s.Since, &s.RetryAt)
	s.Last = by.attemptCopy(s.Last)
}

func (by shift) site(s *queue.Site) {
	by.siteState(&s.SiteState)
	by.all(&s.Earliest)
}

func (by shift) work(w *queue.Work) {
	by.delivery(&w.Delivery)
	by.message(&w.Message)
	by.siteState(&w.SiteState)
}

func (by shift) record(r *queue.Record) {
	by.delivery(&r.Delivery)
	by.message(&r.Message)
	by.siteState(&r.SiteState)
}

func (by shift) claim(c *queue.Claim) { by.all(&c.Now, &c.Until, &c.Beyond) }

func (by shift) filter(f *queue.Filter) { by.all(&f.Since, &f.Until) }

func (by shift) submission(s *queue.Submission) {
	by.message(&s.Message)
	s.Deliveries = each(s.Deliveries, func(d *queue.NewDelivery) { by.delivery(&d.Delivery) })
}

func (by shift) settlement(s *queue.Settlement) {
	by.all(&s.Due, &s.Deadline)
	s.Attempt = by.attemptCopy(s.Attempt)
	s.Wished = by.wish(s.Wished)
	if s.Move != nil {
		move := *s.Move
		by.all(&move.ExpiresAt)
		move.Effects = each(move.Effects, by.effect)
		s.Move = &move
	}
}

func (by shift) batch(b *queue.Batch) {
	by.all(&b.Now)
	b.Settlements = each(b.Settlements, by.settlement)
	b.New = each(b.New, func(s **queue.Submission) {
		out := **s
		by.submission(&out)
		*s = &out
	})
	if b.Sites == nil {
		return
	}
	sites := make(map[queue.SiteKey]queue.SiteState, len(b.Sites))
	for key, state := range b.Sites {
		by.siteState(&state)
		sites[key] = state
	}
	b.Sites = sites
}

func (by shift) action(a *queue.Action) { by.all(&a.Now) }

func (by shift) stats(s *queue.Stats) { by.all(&s.Oldest) }

func (by shift) unfinished(u *queue.Unfinished) { by.all(&u.AcceptedAt) }

func (by shift) entry(e *audit.Entry) { by.all(&e.At) }

func (by shift) revision(r *audit.Revision) { by.all(&r.AppliedAt) }
