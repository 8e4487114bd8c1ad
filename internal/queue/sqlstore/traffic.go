package sqlstore

import (
	"context"
	"time"

	"postern/internal/history/traffic"
)

// AddTraffic adds sums to those that are there, in one transaction.
func (s *Store) AddTraffic(ctx context.Context, sums []traffic.Sum) error {
	return s.change(ctx, func(t *txn) error {
		for i := range sums {
			one := &sums[i]
			if err := t.exec(`INSERT INTO traffic (kind, at, name, level, outcome, count) VALUES (?, ?, ?, ?, ?, ?)
				ON CONFLICT DO UPDATE SET count = count + excluded.count`,
				string(one.Kind), one.At.Unix(), one.Name, one.Level, one.Outcome, one.Count); err != nil {
				return err
			}
		}
		return nil
	})
}

// Traffic lists sums.
func (s *Store) Traffic(ctx context.Context, q traffic.Query) (out []traffic.Sum, err error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	text, args := "SELECT at, name, level, outcome, count FROM traffic WHERE kind = ?", []any{string(q.Kind)}
	if q.Name != "" {
		text, args = text+" AND name = ?", append(args, q.Name)
	}
	if !q.Since.IsZero() {
		text, args = text+" AND at >= ?", append(args, ceilSecond(q.Since))
	}
	if !q.Until.IsZero() {
		text, args = text+" AND at < ?", append(args, ceilSecond(q.Until))
	}
	text += " ORDER BY at, name, level, outcome"
	if q.Limit > 0 {
		text, args = text+" LIMIT ?", append(args, int64(q.Limit))
	}
	err = s.read(ctx, func(c *conn) error {
		out = nil
		return c.query(ctx, text, func(r row) error {
			out = append(out, traffic.Sum{At: time.Unix(r.int(0), 0).UTC(), Kind: q.Kind, Name: r.text(1), Level: r.text(2), Outcome: r.text(3), Count: r.int(4)})
			return nil
		}, args...)
	})
	return out, err
}

// ceilSecond is the first whole second at or after t; buckets begin at whole seconds.
func ceilSecond(t time.Time) int64 {
	if t.Nanosecond() > 0 {
		return t.Unix() + 1
	}
	return t.Unix()
}

// ForgetTraffic drops old sums.
func (s *Store) ForgetTraffic(ctx context.Context, kind traffic.Kind, before time.Time) error {
	return s.change(ctx, func(t *txn) error {
		return t.exec("DELETE FROM traffic WHERE kind = ? AND at < ?", string(kind), ceilSecond(before))
	})
}
