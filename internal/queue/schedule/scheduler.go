package schedule

import "time"

// Scheduler decides which site may start a worker. One goroutine owns it.
type Scheduler struct{ cfg Config }

// New makes a Scheduler; the seed fixes its jitter.
func New(cfg Config, seed uint64) *Scheduler { return &Scheduler{cfg: cfg} }

// Load tells what the store knew about a site at start.
func (s *Scheduler) Load(site string, due time.Time, failures int, since, retryAt time.Time) {}

// Added tells that something waits at site from due on.
func (s *Scheduler) Added(site string, due time.Time) {}

// Next returns a site that may start a worker now and counts it as running.
func (s *Scheduler) Next(now time.Time) (site string, probe, ok bool) { return "", false, false }

// Claimed tells that a worker of site claimed its work; full means that more may be waiting.
func (s *Scheduler) Claimed(site string, full bool, now time.Time) {}

// Done tells that a worker of site ended and returns the state to store.
func (s *Scheduler) Done(site string, r Result) State { return State{} }

// Kick makes site due now; its backoff is forgotten for one probe.
func (s *Scheduler) Kick(site string, now time.Time) {}

// Wake returns the earliest time at which Next can answer; false when only an event can change that.
func (s *Scheduler) Wake() (time.Time, bool) { return time.Time{}, false }
