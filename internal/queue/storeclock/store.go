package storeclock

import (
	"context"
	"errors"
	"iter"
	"time"

	"postern/internal/operator/audit"
	"postern/internal/queue"
)

// Kept is what keeps mail, and the trail of what administrators do to it, by a clock of its own.
type Kept interface {
	queue.Store
	audit.Ledger
}

// Store is a Kept as a machine with another clock uses it. Use New. Safe for concurrent use.
type Store struct {
	kept
	ahead func() time.Duration
}

type kept = Kept

// New returns a Store. ahead tells how far the clock of this machine is ahead of the store's; it is asked for every
// call.
func New(k Kept, ahead func() time.Duration) *Store { return &Store{k, ahead} }

var _ Kept = (*Store)(nil)

// shifts are how times are turned on the way in and on the way out.
func (s *Store) shifts() (in, out shift) {
	by := shift(s.ahead())
	return -by, by
}

// Accept implements queue.Store, and so do the others.
func (s *Store) Accept(ctx context.Context, sub *queue.Submission) error {
	in, _ := s.shifts()
	if in == 0 {
		return s.kept.Accept(ctx, sub)
	}
	turned := *sub
	in.submission(&turned)
	err := s.kept.Accept(ctx, &turned)
	told(sub, &turned)
	return err
}

// told passes on what the store filled in.
func told(to, by *queue.Submission) {
	to.Message.Size = by.Message.Size
	for i := range to.Deliveries {
		to.Deliveries[i].ID = by.Deliveries[i].ID
	}
}

// Claim leases deliveries.
func (s *Store) Claim(ctx context.Context, c queue.Claim) ([]queue.Work, error) {
	in, out := s.shifts()
	if in == 0 {
		return s.kept.Claim(ctx, c)
	}
	in.claim(&c)
	work, err := s.kept.Claim(ctx, c)
	return each(work, out.work), err
}

// Settle ends leases.
func (s *Store) Settle(ctx context.Context, b queue.Batch) error {
	in, out := s.shifts()
	if in == 0 {
		return s.kept.Settle(ctx, b)
	}
	turned := b
	in.batch(&turned)
	err := s.kept.Settle(ctx, turned)
	for i := range b.Settlements {
		b.Settlements[i].Became, b.Settlements[i].Wished = turned.Settlements[i].Became,
			out.wish(turned.Settlements[i].Wished)
	}
	for i := range b.New {
		told(b.New[i], turned.New[i])
	}
	return err
}

// Extend prolongs leases.
func (s *Store) Extend(ctx context.Context, leases []queue.Lease, until time.Time) error {
	in, _ := s.shifts()
	return s.kept.Extend(ctx, leases, in.at(until))
}

// Sites lists them.
func (s *Store) Sites(ctx context.Context) ([]queue.Site, error) {
	_, out := s.shifts()
	sites, err := s.kept.Sites(ctx)
	if out == 0 {
		return sites, err
	}
	return each(sites, out.site), err
}

// TookMail lists sites that took mail.
func (s *Store) TookMail(ctx context.Context, since time.Time, limit int) (map[queue.SiteKey]time.Time, error) {
	in, out := s.shifts()
	took, err := s.kept.TookMail(ctx, in.at(since), limit)
	for key, at := range took {
		took[key] = out.at(at)
	}
	return took, err
}

// List yields records.
func (s *Store) List(ctx context.Context, f queue.Filter) iter.Seq2[queue.Record, error] {
	return func(yield func(queue.Record, error) bool) {
		in, out := s.shifts()
		turned := f
		in.filter(&turned)
		for r, err := range s.kept.List(ctx, turned) {
			var unfinished *queue.Unfinished
			if out != 0 {
				out.record(&r)
				if errors.As(err, &unfinished) {
					at := *unfinished
					out.unfinished(&at)
					err = &at
				}
			}
			if !yield(r, err) {
				return
			}
		}
	}
}

// Act changes states.
func (s *Store) Act(ctx context.Context, a queue.Action) (queue.Acted, error) {
	in, _ := s.shifts()
	in.action(&a)
	return s.kept.Act(ctx, a)
}

// Purge deletes what ended long ago.
func (s *Store) Purge(ctx context.Context, before time.Time, limit int) (int, error) {
	in, _ := s.shifts()
	return s.kept.Purge(ctx, in.at(before), limit)
}

// Stats counts.
func (s *Store) Stats(ctx context.Context) (queue.Stats, error) {
	_, out := s.shifts()
	stats, err := s.kept.Stats(ctx)
	out.stats(&stats)
	return stats, err
}

// Rules implements audit.Ledger, and so do the others.
func (s *Store) Rules(ctx context.Context) (audit.Revision, error) {
	_, out := s.shifts()
	r, err := s.kept.Rules(ctx)
	out.revision(&r)
	return r, err
}

// AppendRules stores a revision.
func (s *Store) AppendRules(ctx context.Context, text string, e audit.Entry) (audit.Revision, error) {
	in, out := s.shifts()
	in.entry(&e)
	r, err := s.kept.AppendRules(ctx, text, e)
	out.revision(&r)
	return r, err
}

// Append stores an entry.
func (s *Store) Append(ctx context.Context, e audit.Entry) error {
	in, _ := s.shifts()
	in.entry(&e)
	return s.kept.Append(ctx, e)
}

// Revision returns one.
func (s *Store) Revision(ctx context.Context, number int64) (audit.Revision, error) {
	_, out := s.shifts()
	r, err := s.kept.Revision(ctx, number)
	out.revision(&r)
	return r, err
}

// Revisions lists them.
func (s *Store) Revisions(ctx context.Context, below int64, limit int) ([]audit.Revision, error) {
	_, out := s.shifts()
	list, err := s.kept.Revisions(ctx, below, limit)
	return each(list, out.revision), err
}

// Entries lists them.
func (s *Store) Entries(ctx context.Context, below int64, limit int) ([]audit.Entry, error) {
	_, out := s.shifts()
	list, err := s.kept.Entries(ctx, below, limit)
	return each(list, out.entry), err
}
