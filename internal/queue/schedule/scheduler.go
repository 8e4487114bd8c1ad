package schedule

import (
	"container/heap"
	"math/rand/v2"
	"time"
)

// Scheduler decides which site may start a worker. It is not safe for concurrent use: one goroutine owns it.
type Scheduler struct {
	cfg     Config
	longest instant
	random  *rand.Rand

	sites               map[string]*site
	works, probes, idle queue
	seq                 uint64
	running, probing    int
	now                 instant // the newest time told; 0 before the first
	turned              bool    // Next has been called
	listed              instant // what the store did not list is due by then
}

// New makes a Scheduler without sites. The seed fixes its jitter.
func New(cfg Config, seed uint64) *Scheduler {
	cfg = cfg.withDefaults()
	return &Scheduler{
		cfg:     cfg,
		longest: instant(cfg.Longest()),
		random:  rand.New(rand.NewPCG(seed, seed^0x9e3779b97f4a7c15)),
		sites:   make(map[string]*site),
	}
}

// askedParts is into how many parts the longest wait is cut for asking after what the store did not list.
const askedParts = 16

// Load tells what the store knew about a site at start: when its earliest delivery is due (zero: none waits) and its
// row of failures. It is called before the first Next. Of the other deliveries there the store did not say when they are
// due; see listedBy for when it must be, and until then the site is tried now and again.
func (s *Scheduler) Load(site string, due time.Time, failures int, since, retryAt time.Time) {
	if due.IsZero() && failures <= 0 {
		return
	}
	e := s.site(site)
	if failures > 0 {
		e.failures, e.since, e.retryAt = failures, at(since), at(retryAt)
	}
	if !due.IsZero() {
		e.dues.add(at(due), s.now)
		e.asked = at(due)
	}
	s.place(e)
}

// Added tells that something waits at site from due on.
func (s *Scheduler) Added(site string, due time.Time) {
	e := s.site(site)
	e.dues.add(at(due), s.now)
	s.place(e)
}

// Kick makes site due now; its backoff is forgotten for one probe. A probe that is running already may have begun before
// what the administrator repaired, so another one follows it.
func (s *Scheduler) Kick(site string, now time.Time) {
	s.saw(at(now))
	e := s.site(site)
	e.dues.add(at(now), s.now)
	e.kicked = e.failures > 0 || e.running > 0
	s.place(e)
}

// Next returns a site that may start one worker now and counts it as running; ok is false when there is none. probe
// says that the site failed before and that its worker should try with little. The caller answers with Claimed when
// the worker has its deliveries, and with Done when it ended.
func (s *Scheduler) Next(now time.Time) (site string, probe, ok bool) {
	s.turn(at(now))
	e := s.head()
	if e == nil || e.key > s.now {
		return "", false, false
	}
	heap.Remove(e.queue, e.pos)
	e.dues.take(s.now)
	e.running++
	s.running++
	e.kicked = false
	if e.failures > 0 {
		e.probing = true
		s.probing++
	}
	s.place(e)
	return e.name, e.probing, true
}

// Claimed tells that a worker of site has claimed deliveries; a worker may do so several times. full means that it took
// all it may and more may be waiting: another worker may start if the site works.
func (s *Scheduler) Claimed(site string, full bool, now time.Time) {
	e := s.sites[site]
	if e == nil {
		return
	}
	s.saw(at(now))
	if full {
		e.dues.add(at(now), s.now)
	} else {
		s.askAgain(e)
	}
	s.place(e)
}

// askAgain sets when a loaded site, where nothing more is due now, is tried for what the store did not list.
func (s *Scheduler) askAgain(e *site) {
	if e.asked == 0 || s.now < e.asked {
		return
	}
	if s.now >= s.listed {
		e.asked = 0
		return
	}
	e.asked = min(s.listed, s.now+max(s.longest/askedParts, 1))
	e.dues.add(e.asked, s.now)
}

// Done tells that a worker of site ended, and returns the state to store. Only a probe lengthens a row of failures:
// workers that ran side by side when the site broke are one failure, not many.
func (s *Scheduler) Done(site string, r Result) State {
	e := s.sites[site]
	if e == nil || e.running == 0 {
		return State{}
	}
	s.saw(at(r.Now))
	probe := e.probing
	e.running--
	s.running--
	if probe {
		e.probing = false
		s.probing--
	}
	switch {
	case r.Passed:
		e.repaired()
	case r.Failed && (probe || e.failures == 0):
		s.failed(e, at(r.Now))
	}
	if !r.Due.IsZero() {
		e.dues.add(s.leftAt(r), s.now)
	}
	s.place(e)
	return e.state()
}

// leftAt is when what a worker left behind is tried again. A worker that neither passed nor failed has done nothing; if
// it left something due the same would happen at once and again, so that waits for the first retry step.
func (s *Scheduler) leftAt(r Result) instant {
	if !r.Passed && !r.Failed && !r.Due.After(r.Now) {
		return at(r.Now.Add(s.cfg.step(1)))
	}
	return at(r.Due)
}

// failed adds one to the row of failures and sets the time of the next probe.
func (s *Scheduler) failed(e *site, now instant) {
	if e.failures == 0 {
		e.since = now
	}
	e.failures++
	step := s.cfg.step(e.failures)
	e.retryAt = now + instant(step) + instant(s.random.Float64()*s.cfg.Jitter*float64(step))
}

// Back tells that the clock went back by a time and stands at now. What waits keeps its pace: it is as long until its try
// as it was before. The store still has its times by the other clock, so every site is tried now and again until all it
// can have is due.
func (s *Scheduler) Back(by time.Duration, now time.Time) {
	d := instant(by)
	for _, e := range s.sites {
		for i := range e.dues {
			e.dues[i] -= d
		}
		e.key, e.since, e.retryAt = e.key-d, e.since-d, e.retryAt-d
		e.asked = at(now)
	}
	s.now = at(now)
	s.listed = s.listedBy()
}

// listedBy is when all that the store did not list is due, or was claimed. By the clock of now nothing is planned for
// later than the longest wait. What an earlier clock planned for later than that from the time of a claim is claimed with
// it (queue.Claim.Beyond), so that twice the wait bounds what is left.
func (s *Scheduler) listedBy() instant { return s.now + 2*s.longest }

// Wake returns the earliest time at which Next can answer; ok is false when nothing waits or all workers are busy, so
// that only another call can change that. The time may be in the past.
func (s *Scheduler) Wake() (t time.Time, ok bool) {
	e := s.head()
	if e == nil {
		return time.Time{}, false
	}
	return e.key.time(), true
}

// Crowded reports whether a site that works could start a worker now, but for the bound of all workers together.
func (s *Scheduler) Crowded(now time.Time) bool {
	e := s.works.first()
	return s.running >= s.cfg.Total && e != nil && e.key <= at(now)
}

// Sites returns how many sites are kept in memory.
func (s *Scheduler) Sites() int { return len(s.sites) }

// Running returns how many workers have been started and are not done.
func (s *Scheduler) Running() int { return s.running }

// head returns the site to start next, whether or not its time has come: of the heads of both queues the one ready
// first; nil when no worker may be started.
func (s *Scheduler) head() *site {
	if s.running >= s.cfg.Total {
		return nil
	}
	e := s.works.first()
	if p := s.probes.first(); p != nil && s.probing < s.cfg.maxProbes() && (e == nil || p.before(e)) {
		return p
	}
	return e
}

// saw moves the clock forward; only Next moves it back.
func (s *Scheduler) saw(now instant) { s.now = max(s.now, now) }

// turn sets the clock, forgets sites that have been idle for long, and, when the clock stood later before, brings
// everything that waits back into reach.
func (s *Scheduler) turn(now instant) {
	if now < s.now || !s.turned {
		s.reach(now + s.longest)
	}
	first := !s.turned
	s.now, s.turned = now, true
	if first || s.listed > s.listedBy() {
		s.listed = s.listedBy()
	}
	for e := s.idle.first(); e != nil && e.key <= now; e = s.idle.first() {
		heap.Remove(&s.idle, e.pos)
		delete(s.sites, e.name)
	}
}

// reach lowers every wait to limit.
func (s *Scheduler) reach(limit instant) {
	for _, e := range s.sites {
		e.retryAt = min(e.retryAt, limit)
		e.key = min(e.key, limit)
	}
	heap.Init(&s.works)
	heap.Init(&s.probes)
	heap.Init(&s.idle)
}

// site returns the record of name, new if there is none.
func (s *Scheduler) site(name string) *site {
	e := s.sites[name]
	if e == nil {
		e = &site{name: name}
		s.sites[name] = e
	}
	return e
}

// place puts e into the queue it belongs to, or forgets it. Within a queue a site never moves back, so that news about
// it cannot cost it its turn.
func (s *Scheduler) place(e *site) {
	q, key := s.where(e)
	if q != nil && q == e.queue {
		if key < e.key {
			e.key = key
			heap.Fix(q, e.pos)
		}
		return
	}
	if e.queue != nil {
		heap.Remove(e.queue, e.pos)
	}
	switch {
	case q != nil:
		s.seq++
		e.key, e.seq = key, s.seq
		heap.Push(q, e)
	case len(e.dues) == 0 && e.running == 0:
		delete(s.sites, e.name)
	}
}

// where returns the queue e belongs to and since when, nil while e may start nothing.
func (s *Scheduler) where(e *site) (*queue, instant) {
	if len(e.dues) == 0 {
		if e.failures > 0 && e.running == 0 {
			return &s.idle, max(e.retryAt, s.now) + s.longest
		}
		return nil, 0
	}
	key := e.dues[0]
	if e.failures == 0 {
		if e.running >= s.cfg.PerSite {
			return nil, 0
		}
		return &s.works, s.reachable(key)
	}
	if e.running > 0 {
		return nil, 0
	}
	if !e.kicked {
		key = max(key, e.retryAt)
	}
	return &s.probes, s.reachable(key)
}

// reachable brings a time between now and the longest wait from now.
func (s *Scheduler) reachable(key instant) instant {
	if s.now == 0 {
		return key
	}
	return min(max(key, s.now), s.now+s.longest)
}
