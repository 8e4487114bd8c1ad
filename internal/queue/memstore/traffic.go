package memstore

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"postern/internal/history/traffic"
)

// AddTraffic adds sums to those that are there.
func (s *Store) AddTraffic(ctx context.Context, sums []traffic.Sum) error {
	return s.with(ctx, func(a *access) error {
		for _, one := range sums {
			n := one.Count
			one.At, one.Count = one.At.UTC(), 0
			a.traffic[one] += n
		}
		return nil
	})
}

// Traffic lists sums.
func (s *Store) Traffic(ctx context.Context, q traffic.Query) (out []traffic.Sum, err error) {
	err = s.with(ctx, func(a *access) error {
		for one, n := range a.traffic {
			if one.Kind == q.Kind && (q.Name == "" || one.Name == q.Name) && !one.At.Before(q.Since) && (q.Until.IsZero() || one.At.Before(q.Until)) {
				one.Count = n
				out = append(out, one)
			}
		}
		return nil
	})
	slices.SortFunc(out, func(a, b traffic.Sum) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Level, b.Level), cmp.Compare(a.Outcome, b.Outcome))
	})
	if q.Limit > 0 && len(out) > q.Limit {
		out = out[:q.Limit]
	}
	return out, err
}

// ForgetTraffic drops old sums.
func (s *Store) ForgetTraffic(ctx context.Context, kind traffic.Kind, before time.Time) error {
	return s.with(ctx, func(a *access) error {
		maps.DeleteFunc(a.traffic, func(one traffic.Sum, _ int64) bool { return one.Kind == kind && one.At.Before(before) })
		return nil
	})
}
