package memstore

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"postern/internal/platform/records"
)

// kept is records and counters by kind and key.
type kept struct {
	records  map[name]records.Record
	counters map[name]records.Counter
	undo     []func() // what the transaction under way did, newest last
}

type name struct{ kind, key string }

func newKept() kept {
	return kept{records: map[name]records.Record{}, counters: map[name]records.Counter{}}
}

// ReadRecords reads records of one moment.
func (s *Store) ReadRecords(ctx context.Context, do func(r records.Reader) error) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	return do(&s.kept)
}

// ChangeRecords changes records in one transaction.
func (s *Store) ChangeRecords(ctx context.Context, do func(t records.Tx) error) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	s.kept.undo = nil
	err := do(&s.kept)
	if err != nil {
		for _, back := range slices.Backward(s.kept.undo) {
			back()
		}
	}
	return err
}

// Get returns a record.
func (k *kept) Get(kind, key string) (records.Record, error) {
	r, ok := k.records[name{kind, key}]
	if !ok {
		return r, records.ErrNotFound
	}
	r.Value = slices.Clone(r.Value)
	return r, nil
}

// List lists records.
func (k *kept) List(q records.Query) (out []records.Record, err error) {
	for _, r := range k.records {
		if chooses(&q, r.Kind, r.Key, r.Index) && inTime(&q, r.At) {
			r.Value = slices.Clone(r.Value)
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b records.Record) int {
		if q.Oldest {
			return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Key, b.Key))
		}
		return cmp.Compare(a.Key, b.Key)
	})
	return first(out, q.Limit), nil
}

// Count counts the records of a kind.
func (k *kept) Count(kind string) (n int, err error) {
	for at := range k.records {
		if at.kind == kind {
			n++
		}
	}
	return n, nil
}

// Counters lists counters.
func (k *kept) Counters(q records.Query) (out []records.Counter, err error) {
	for _, c := range k.counters {
		if chooses(&q, c.Kind, c.Key, c.Index) {
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(a, b records.Counter) int { return cmp.Compare(a.Key, b.Key) })
	return first(out, q.Limit), nil
}

// Put stores a record.
func (k *kept) Put(r records.Record) error {
	at := name{r.Kind, r.Key}
	stored := k.records[at].Version
	if r.Version != records.Any && r.Version != stored {
		return records.ErrChanged
	}
	r.Version, r.At, r.Value = stored+1, records.Moment(r.At), append([]byte{}, r.Value...)
	set(k, k.records, at, &r)
	return nil
}

// Delete deletes a record.
func (k *kept) Delete(kind, key string) (bool, error) {
	at := name{kind, key}
	_, ok := k.records[at]
	set(k, k.records, at, nil)
	return ok, nil
}

// DeleteAll deletes records and counters.
func (k *kept) DeleteAll(q records.Query) error {
	if err := q.CheckDelete(); err != nil {
		return err
	}
	for at, r := range maps.Clone(k.records) {
		if chooses(&q, at.kind, at.key, r.Index) && inTime(&q, r.At) {
			set(k, k.records, at, nil)
		}
	}
	for at, c := range maps.Clone(k.counters) {
		if chooses(&q, at.kind, at.key, c.Index) && q.Before.IsZero() {
			set(k, k.counters, at, nil)
		}
	}
	return nil
}

// Add adds to a counter.
func (k *kept) Add(c records.Counter) error {
	at := name{c.Kind, c.Key}
	if old, ok := k.counters[at]; ok {
		c.Index, c.N = old.Index, old.N+c.N
	}
	set(k, k.counters, at, &c)
	return nil
}

// set puts a value into a map of k, or takes it out, so that it can be undone.
func set[T any](k *kept, m map[name]T, at name, v *T) {
	old, had := m[at]
	k.undo = append(k.undo, func() {
		if delete(m, at); had {
			m[at] = old
		}
	})
	if delete(m, at); v != nil {
		m[at] = *v
	}
}

// chooses reports whether q takes what has these names.
func chooses(q *records.Query, kind, key, index string) bool {
	return kind == q.Kind && (q.Index == "" || index == q.Index) && key >= q.From && (q.To == "" || key < q.To)
}

// inTime reports whether q takes records of a moment.
func inTime(q *records.Query, at time.Time) bool {
	if at.IsZero() {
		return q.Before.IsZero() && !q.Oldest
	}
	return q.Before.IsZero() || at.Before(q.Before)
}

func first[T any](list []T, limit int) []T {
	if limit > 0 && len(list) > limit {
		return list[:limit]
	}
	return list
}
