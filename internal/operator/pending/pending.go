// Package pending keeps questions that are waiting for their answer: each is taken once, in time, and strangers who
// begin many push out the oldest instead of filling memory.
package pending

import (
	"sync"
	"time"
)

// Table holds values by key for a while. Make it with New; safe for concurrent use.
type Table[T any] struct {
	life time.Duration
	most int

	mu    sync.Mutex
	open  map[string]entry[T]
	order []string // by age
}

type entry[T any] struct {
	value T
	ends  time.Time
}

// New returns a table that keeps each value for life, and at most most of them.
func New[T any](life time.Duration, most int) *Table[T] {
	return &Table[T]{life: life, most: most, open: map[string]entry[T]{}}
}

// Put keeps a value under a key that nobody used before.
func (t *Table[T]) Put(key string, value T) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	for len(t.order) > 0 && (len(t.order) >= t.most || now.After(t.open[t.order[0]].ends)) {
		delete(t.open, t.order[0])
		t.order = t.order[1:]
	}
	t.open[key] = entry[T]{value, now.Add(t.life)}
	t.order = append(t.order, key)
}

// Take returns the value of a key, once, and false for one that is unknown, taken or too old.
func (t *Table[T]) Take(key string) (T, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e, ok := t.open[key]
	delete(t.open, key)
	return e.value, ok && time.Now().Before(e.ends)
}
