package storeclock

import (
	"sync/atomic"
	"time"
)

// least is by how much a clock must be off before that is minded.
const least = 500 * time.Millisecond

// Clock knows how far the wall clock of this machine is ahead of a store's. The zero Clock has heard nothing. Safe for
// concurrent use.
type Clock struct {
	heard atomic.Pointer[heard]
	used  atomic.Int64 // what Ahead last returned, ns
}

// heard is what the clock of the store said.
type heard struct {
	store  time.Time
	at     time.Time     // when it said so, as near as is known, with the monotonic clock
	unsure time.Duration // by how much at may be wrong
}

// Heard tells that the clock of the store showed now when it answered what it was asked at a time of this machine's. It
// is called when the answer is there: the longer that took, the less it says.
func (c *Clock) Heard(now, asked time.Time) {
	half := time.Since(asked) / 2
	c.heard.Store(&heard{now, asked.Add(half), half})
}

// Ahead is how far this machine's wall clock is ahead of the store's, below 0 where it is behind, in whole
// microseconds; 0 where they agree, and before anything was heard.
func (c *Clock) Ahead() time.Duration {
	h := c.heard.Load()
	if h == nil {
		return 0
	}
	now := time.Now()
	found := h.ahead(now.Round(0), now.Sub(h.at))
	for {
		used := c.used.Load()
		next := settled(time.Duration(used), found, h.unsure)
		if int64(next) == used || c.used.CompareAndSwap(used, int64(next)) {
			return next
		}
	}
}

// ahead is by how much a wall clock is ahead when so much time has passed.
func (h *heard) ahead(wall time.Time, passed time.Duration) time.Duration {
	return wall.Sub(h.store.Add(passed))
}

// settled is what is used from now on where used was, and something else was found.
func settled(used, found, unsure time.Duration) time.Duration {
	switch slack := least + unsure; {
	case (found - used).Abs() <= slack:
		return used
	case found.Abs() <= slack:
		return 0
	}
	return found.Truncate(time.Microsecond)
}
