package server

import (
	"context"
	"sync"
	"time"

	"postern/internal/event/metrics"
	"postern/internal/queue"
)

// figuresFor is how long the queue's figures are believed. Monitoring asks often, and with a million deliveries waiting
// the question for the oldest of them is not free.
const figuresFor = 2 * time.Second

// figures keeps the newest answer of Store.Stats. Safe for concurrent use.
type figures struct {
	stats func(context.Context) (queue.Stats, error)

	mu   sync.Mutex // guards what follows; held while the store is asked, so that it is asked once
	at   time.Time
	last queue.Stats
	err  error
}

func (f *figures) get() (queue.Stats, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.at.IsZero() || time.Since(f.at) > figuresFor {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		f.last, f.err = f.stats(ctx)
		f.at = time.Now()
	}
	return f.last, f.err
}

// metrics is the answer in the form monitoring takes.
func (f *figures) metrics() (metrics.Queue, error) {
	stats, err := f.get()
	q := metrics.Queue{States: make(map[string]int64, len(stats.States)), Bytes: stats.BodyBytes, Oldest: stats.Oldest}
	for state, n := range stats.States {
		q.States[state.String()] = n
	}
	return q, err
}
