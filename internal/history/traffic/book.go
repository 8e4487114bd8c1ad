package traffic

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"postern/internal/platform/records"
)

// Book keeps sums. Safe for concurrent use.
type Book struct{ store records.Store }

// NewBook returns the Book of a store.
func NewBook(store records.Store) *Book { return &Book{store} }

// of is the kind of the counters of a kind of sums.
func of(kind Kind) string { return "sum " + string(kind) }

// begin is how the keys of the first bucket begin that is not before a time: ten digits of seconds, whose order is that
// of time.
func begin(at time.Time) string {
	if at.Nanosecond() > 0 {
		at = at.Add(time.Second)
	}
	return fmt.Sprintf("%010d", at.Unix())
}

// key has the fields of s in the order of sums; a tab stands before everything that is in them.
func (s *Sum) key() string {
	return begin(s.At.Truncate(time.Second)) + "\t" + s.Name + "\t" + s.Level + "\t" + s.Outcome
}

// read is the sum of a counter.
func read(kind Kind, c *records.Counter) (Sum, error) {
	part := strings.Split(c.Key, "\t")
	if len(part) != 4 {
		return Sum{}, fmt.Errorf("traffic: a stored sum is called %q", c.Key)
	}
	at, err := strconv.ParseInt(part[0], 10, 64)
	return Sum{At: time.Unix(at, 0).UTC(), Kind: kind, Name: part[1], Level: part[2], Outcome: part[3], Count: c.N}, err
}

// AddTraffic adds each Count to what is there for the same bucket, kind, name, level and outcome, all or none.
func (b *Book) AddTraffic(ctx context.Context, sums []Sum) error {
	return b.store.ChangeRecords(ctx, func(t records.Tx) error {
		for i := range sums {
			s := &sums[i]
			if err := t.Add(records.Counter{Kind: of(s.Kind), Key: s.key(), Index: s.Name, N: s.Count}); err != nil {
				return err
			}
		}
		return nil
	})
}

// Traffic lists sums by time, then name, level and outcome.
func (b *Book) Traffic(ctx context.Context, q Query) ([]Sum, error) {
	from := records.Query{Kind: of(q.Kind), Index: q.Name, Limit: q.Limit}
	if !q.Since.IsZero() {
		from.From = begin(q.Since)
	}
	if !q.Until.IsZero() {
		from.To = begin(q.Until)
	}
	return records.Read(ctx, b.store, func(r records.Reader) (out []Sum, err error) {
		list, err := r.Counters(from)
		for i := 0; i < len(list) && err == nil; i++ {
			var one Sum
			one, err = read(q.Kind, &list[i])
			out = append(out, one)
		}
		return out, err
	})
}

// ForgetTraffic drops the sums of a kind whose bucket begins before a time.
func (b *Book) ForgetTraffic(ctx context.Context, kind Kind, before time.Time) error {
	return b.store.ChangeRecords(ctx, func(t records.Tx) error {
		return t.DeleteAll(records.Query{Kind: of(kind), To: begin(before)})
	})
}
