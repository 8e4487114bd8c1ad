package pgnodes

import "time"

// heard is what the clock of the database said, and when.
type heard struct{ now, at time.Time }

// Ahead is how far the wall clock of this machine is ahead of the database's, below zero where it is behind, as far as
// the last renewal tells; 0 before the first. What has passed since is told by the monotonic clock, so that a jump of
// the other one shows at once.
func (r *Registry) Ahead() time.Duration {
	h := r.clock.Load()
	if h == nil {
		return 0
	}
	now := time.Now()
	return now.Round(0).Sub(h.now.Add(now.Sub(h.at)))
}
