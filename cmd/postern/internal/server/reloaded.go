package server

import (
	"sync"
	"time"
)

// reloaded remembers how the last reload, or the start, ended. Safe for concurrent use.
type reloaded struct {
	mu   sync.Mutex
	good bool
	at   time.Time
}

func (r *reloaded) note(good bool, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.good, r.at = good, at
}

// last is how the last reload ended, and when.
func (r *reloaded) last() (good bool, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.good, r.at
}
