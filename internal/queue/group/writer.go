package group

import (
	"context"
	"time"
)

// pause is between two tries of what needs a lock.
const pause = 20 * time.Millisecond

// Change is what a transaction T is to do: all of it, or an error. When it returns an error after it wrote, what it did
// is undone. It may be called twice, the first time undone.
type Change[T any] func(t T) error

// request is a change that somebody waits for.
type request[T any] struct {
	run      Change[T]
	bytes    int // for the bound of the group
	done     chan error
	since    time.Time
	patience time.Duration // how long it waits while another program has the database locked
	alone    bool          // it needs the lock, as far as is known
}

// Weight is how much it writes.
func (r *request[T]) Weight() int { return r.bytes }

// Writer serves changes of many in common transactions. Use New, and Loop in a goroutine. Do is safe for concurrent
// use.
type Writer[T any] struct {
	requests chan *request[T]
	attempt  func(changes []Change[T]) (results []error, err error)
	busy     func(err error) bool
	// waiting is what needs the lock that another program has, until the next try at retry.
	waiting []*request[T]
	retry   time.Time
}

// New makes a Writer. Attempt does changes in one transaction and commits it: a change that fails before it wrote
// anything gets its error in results and leaves the others alone; any other failure undoes everything and is returned.
// Busy says of such an error that another program has the database locked.
func New[T any](attempt func(changes []Change[T]) (results []error, err error), busy func(err error) bool) *Writer[T] {
	return &Writer[T]{requests: make(chan *request[T], 2*Most), attempt: attempt, busy: busy}
}

// Do hands a change over and waits for the commit it is part of. Once handed over it is waited for whatever becomes of
// ctx, because what it refers to is in use. It waits no longer than patience while another program has the database
// locked.
func (w *Writer[T]) Do(ctx context.Context, patience time.Duration, bytes int, run Change[T]) error {
	r := &request[T]{run: run, bytes: bytes, done: make(chan error, 1), since: time.Now(), patience: patience}
	select {
	case w.requests <- r:
		return <-r.done
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close ends Loop after what was handed over. Nobody may be in Do.
func (w *Writer[T]) Close() { close(w.requests) }

// Queued counts the changes that wait to be looked at.
func (w *Writer[T]) Queued() int { return len(w.requests) }

// Loop serves changes until Close; it is the one goroutine that does.
func (w *Writer[T]) Loop() {
	for group := w.next(); group != nil; group = w.next() {
		w.serve(group)
	}
}

// serve runs a group in one transaction. When that fails, each request gets a transaction of its own, so that one that
// cannot be done does not take others with it.
func (w *Writer[T]) serve(group []*request[T]) {
	results, err := w.try(group)
	if err != nil && w.busy(err) {
		w.locked(group, err)
		return
	}
	if err != nil && len(group) > 1 {
		for i := range group {
			w.serve(group[i : i+1])
		}
		return
	}
	for i, r := range group {
		if err != nil {
			r.done <- err
		} else {
			r.done <- results[i]
		}
	}
}

func (w *Writer[T]) try(group []*request[T]) ([]error, error) {
	changes := make([]Change[T], len(group))
	for i, r := range group {
		changes[i] = r.run
	}
	return w.attempt(changes)
}

// next returns what is to be served, nil when the store is closed. What waits for the lock comes again after each
// pause.
func (w *Writer[T]) next() []*request[T] {
	if len(w.waiting) == 0 {
		first, ok := <-w.requests
		if !ok {
			return nil
		}
		return Gather(w.requests, first)
	}
	timer := time.NewTimer(time.Until(w.retry))
	defer timer.Stop()
	select {
	case first, ok := <-w.requests:
		if ok {
			return Gather(w.requests, first)
		}
		<-timer.C
	case <-timer.C:
	}
	again := w.waiting
	w.waiting = nil
	return again
}

// locked is what becomes of a group that met the lock: whoever has not yet been tried alone is, for it may need no
// lock.
func (w *Writer[T]) locked(group []*request[T], err error) {
	now := time.Now()
	w.retry = now.Add(pause)
	for _, r := range group {
		switch {
		case !r.alone && len(group) > 1:
			r.alone = true
			w.serve([]*request[T]{r})
		case now.Sub(r.since) >= r.patience:
			r.done <- err
		default:
			r.alone = true
			w.waiting = append(w.waiting, r)
		}
	}
}
