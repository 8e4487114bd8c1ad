package records

import (
	"encoding/json"
	"fmt"
	"time"
)

// Shelf keeps values of one type as records of one kind, in JSON. Of what is stored fields are only ever added.
type Shelf[T any] struct {
	Kind string
	Key  func(*T) string
	// Index and At say what a value is found by besides; nil is nothing.
	Index func(*T) string
	At    func(*T) time.Time
}

// Get returns the value of a key, ErrNotFound if there is none.
func (s Shelf[T]) Get(r Reader, key string) (v T, err error) {
	rec, err := r.Get(s.Kind, key)
	if err != nil {
		return v, err
	}
	return v, s.decode(&rec, &v)
}

// List returns the values that q chooses; it names no kind.
func (s Shelf[T]) List(r Reader, q Query) ([]T, error) {
	q.Kind = s.Kind
	list, err := r.List(q)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	out := make([]T, len(list))
	for i := range list {
		if err := s.decode(&list[i], &out[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Put stores v in place of a version, as Tx.Put does.
func (s Shelf[T]) Put(t Tx, v *T, version int64) error {
	value, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("records: cannot encode %T: %w", v, err)
	}
	r := Record{Kind: s.Kind, Key: s.Key(v), Value: value, Version: version}
	if s.Index != nil {
		r.Index = s.Index(v)
	}
	if s.At != nil {
		r.At = s.At(v)
	}
	return t.Put(r)
}

func (s Shelf[T]) decode(r *Record, v *T) error {
	if err := json.Unmarshal(r.Value, v); err != nil {
		return fmt.Errorf("records: cannot read the stored %s %q: %w", r.Kind, r.Key, err)
	}
	return nil
}
