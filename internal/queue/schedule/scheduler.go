package schedule

import (
	"container/heap"
	"math/rand/v2"
	"time"
)

// Scheduler decides which site may start a worker. It is not safe for concurrent use: one goroutine owns it.
type Scheduler struct {
	cfg     Config
	bounds  bounds
	longest instant
	random  *rand.Rand

	sites        map[string]*site
	timers, idle heapOf
	pools        [parts]pool
	families     map[string]*family
	held         []*Place
	nextSlow     instant // no place becomes slow before
	seq          uint64
	now          instant // the newest time told; 0 before the first
	turned       bool    // Next has been called

	gateways, rank int // see Among
}

// New makes a Scheduler without sites. The seed fixes its jitter.
func New(cfg Config, seed uint64) *Scheduler {
	cfg = cfg.withDefaults()
	return &Scheduler{
		cfg:      cfg,
		bounds:   cfg.bounds(),
		longest:  instant(cfg.Longest()),
		random:   rand.New(rand.NewPCG(seed, seed^0x9e3779b97f4a7c15)),
		sites:    make(map[string]*site),
		families: make(map[string]*family),
		nextSlow: never,
	}
}

// askedParts is into how many parts the longest wait is cut for asking after what the store did not list.
const askedParts = 16

// Load tells what the store knew about a site at start: when its earliest delivery is due (zero: none waits) and its
// row of failures. It is called before the first Next. Of the other deliveries there the store did not say when they
// are due; until all of it must be the site is tried now and again.
func (s *Scheduler) Load(site string, due time.Time, failures int, since, retryAt time.Time) {
	if due.IsZero() && failures <= 0 {
		return
	}
	e := s.site(site)
	if failures > 0 {
		e.failures, e.since, e.retryAt = int32(min(failures, 1<<30)), at(since), at(retryAt)
	}
	if !due.IsZero() {
		e.dues.add(at(due), s.now)
		e.asked = at(due)
	}
	s.place(e)
}

// TookMail tells that a site took mail at a time, as Load does before the first Next.
func (s *Scheduler) TookMail(site string, when time.Time) {
	e := s.site(site)
	e.good = max(e.good, at(when))
	s.place(e)
}

// Added tells that something of an origin waits at site from due on.
func (s *Scheduler) Added(site string, due time.Time, o Origin) {
	e := s.site(site)
	switch {
	case len(e.dues) == 0:
		e.lane, e.reports = o.Lane, o.Report
	case e.reports && !o.Report:
		e.lane, e.reports = o.Lane, false
	case e.reports == o.Report && e.lane != o.Lane:
		if p := &s.pools[s.partOf(e)]; p.waits(o.Lane) < p.waits(e.lane) {
			e.lane = o.Lane // the sooner turn
		}
	}
	e.dues.add(at(due), s.now)
	s.place(e)
}

// Kick makes site due now; its backoff is forgotten for one probe. A probe that is running already may have begun
// before what the administrator repaired, so another one follows it.
func (s *Scheduler) Kick(site string, now time.Time) {
	s.saw(at(now))
	e := s.site(site)
	e.dues.add(at(now), s.now)
	e.kicked = e.failures > 0 || e.running > 0
	s.place(e)
}

// Elsewhere tells what another gateway found out of a site: its row of failures, at least one, and before when nobody
// may probe it. A longer row that is known here goes on. A kick from before is forgotten.
func (s *Scheduler) Elsewhere(site string, found State, now time.Time) {
	s.saw(at(now))
	e := s.site(site)
	if n := int32(min(max(found.Failures, 1), 1<<30)); n > e.failures {
		e.failures, e.since = n, at(now)
		if !found.Since.IsZero() {
			e.since = min(at(found.Since), e.since)
		}
	}
	e.retryAt, e.kicked = at(found.RetryAt), false
	s.take(e) // this news does cost it its turn
	s.place(e)
}

// Next returns the place of a worker that may start now; ok is false when there is none. The caller answers with
// Claimed when the worker has its deliveries, and with Done when it ended.
func (s *Scheduler) Next(now time.Time) (p *Place, ok bool) {
	s.turn(at(now))
	e, k := s.head()
	if e == nil {
		return nil, false
	}
	s.took(k, e)
	e.dues.take(s.now)
	e.running++
	e.probing = e.failures > 0
	p = s.start(e, k)
	e.kicked = false
	s.place(e)
	return p, true
}

// head is the site to start next and its part, nil if there is none: of those that each part would start the one that
// became ready first.
func (s *Scheduler) head() (first *site, in part) {
	for k := range overtime {
		if e := s.pick(k); e != nil && (first == nil || e.seq < first.seq) {
			first, in = e, k
		}
	}
	return first, in
}

// Claimed tells that a worker has claimed deliveries of an origin, the zero Origin for none; a worker may do so several
// times. full means that it
// took all it may and more may be waiting: another worker may start if the site works. False means that the place was
// for another kind of mail, and that there is none for what was claimed: the worker gives it back and ends.
func (s *Scheduler) Claimed(p *Place, full bool, o Origin, now time.Time) bool {
	s.saw(at(now))
	e := p.site
	if full {
		e.dues.add(at(now), s.now)
	} else {
		e.batch = 0 // nothing is left to be divided
		s.askAgain(e)
	}
	ok := true
	if o != (Origin{}) {
		e.reports = o.Report
		ok = s.sort(p)
	}
	s.place(e)
	return ok
}

// sort counts a place where what was claimed belongs.
func (s *Scheduler) sort(p *Place) bool {
	k := s.partOf(p.site)
	if k == p.part || p.part != tries && p.part != reports || k != tries && k != reports {
		return true
	}
	if s.admits(p, k) {
		s.move(p, k)
		return true
	}
	return k == tries // mail in a place for reports does no harm
}

// askAgain sets when a site is tried next for what the store did not list, when nothing more is due there now. What a
// claim left is due within the longest wait: by the clock of now nothing is planned for later, and what an earlier
// clock planned for later than that was claimed with it (queue.Claim.Beyond). So the first claim that leaves nothing
// due says until when to ask.
func (s *Scheduler) askAgain(e *site) {
	if e.asked == 0 || s.now < e.asked {
		return
	}
	if e.askUntil == 0 {
		e.askUntil = s.now + s.longest
	}
	if s.now >= e.askUntil {
		e.asked, e.askUntil = 0, 0
		return
	}
	e.asked = min(e.askUntil, s.now+max(s.longest/askedParts, 1))
	e.dues.add(e.asked, s.now)
}

// Done tells that a worker ended, and returns the state to store. Only a probe lengthens a row of failures: workers
// that ran side by side when the site broke are one failure, not many.
func (s *Scheduler) Done(p *Place, r Result) State {
	if p.index < 0 {
		return State{}
	}
	e := p.site
	s.saw(at(r.Now))
	e.running--
	if p.probe {
		e.probing = false
	}
	switch {
	case r.Passed:
		e.repaired()
	case r.Failed && (p.probe || e.failures == 0):
		s.failed(e, at(r.Now))
	case !r.Failed:
		e.waits = p.refused
	}
	if !r.Due.IsZero() {
		e.dues.add(s.leftAt(p, r), s.now)
	}
	s.end(p)
	s.place(e)
	return e.state()
}

// leftAt is when what a worker left behind is tried again. A worker that neither passed nor failed has done nothing; if
// it left something due the same would happen at once and again, so that waits for the first retry step, unless it
// waits for its family.
func (s *Scheduler) leftAt(p *Place, r Result) instant {
	if !r.Passed && !r.Failed && p.refused == nil && !r.Due.After(r.Now) {
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
	step := s.cfg.step(int(e.failures))
	e.retryAt = now + instant(step) + instant(s.random.Float64()*s.cfg.Jitter*float64(step))
}

// Back tells that the clock went back by a time and stands at now. What waits keeps its pace: it is as long until its
// try as it was before. The store still has its times by the other clock, so every site is tried now and again until
// all it can have is due.
func (s *Scheduler) Back(by time.Duration, now time.Time) {
	d := instant(by)
	for _, e := range s.sites {
		for i := range e.dues {
			e.dues[i] -= d
		}
		e.key, e.since, e.retryAt = e.key-d, e.since-d, e.retryAt-d
		if e.good > 0 {
			e.good = max(e.good-d, 1)
		}
		e.asked, e.askUntil = at(now), 0
	}
	for _, p := range s.held {
		p.since -= d
	}
	s.nextSlow = 0
	s.now = at(now)
}

// Wake returns the earliest time at which Next can answer, or Rouse or Evict has something to say; ok is false when
// nothing waits, or only another call can change that all places are taken. The time may be in the past.
func (s *Scheduler) Wake() (t time.Time, ok bool) {
	next, waiting := never, 0
	if e, _ := s.head(); e != nil {
		return s.now.time(), true
	}
	for k := range overtime {
		waiting += s.pools[k].waiting
	}
	if waiting > 0 {
		next = s.nextSlow
	}
	if e := s.timers.first(); e != nil {
		next = min(next, e.key)
	}
	for _, p := range s.held {
		if due, ok := s.dueAtIdle(p); ok {
			next = min(next, due)
		}
	}
	if next == never {
		return time.Time{}, false
	}
	return next.time(), true
}

// Sites returns how many sites are kept in memory.
func (s *Scheduler) Sites() int { return len(s.sites) }

// Running returns how many workers have been started and are not done.
func (s *Scheduler) Running() int { return len(s.held) }

// saw moves the clock forward; only Next moves it back.
func (s *Scheduler) saw(now instant) { s.now = max(s.now, now) }

// turn sets the clock, forgets sites that have been idle for long, and, when the clock stood later before, brings
// everything that waits back into reach. What is due becomes ready.
func (s *Scheduler) turn(now instant) {
	if now < s.now || !s.turned {
		s.reach(now)
	}
	s.now, s.turned = now, true
	for e := s.idle.first(); e != nil && (e.key <= now || s.idle.Len() > s.cfg.Remembered); e = s.idle.first() {
		heap.Remove(&s.idle, int(e.pos))
		delete(s.sites, e.name)
	}
	for e := s.timers.first(); e != nil && e.key <= now; e = s.timers.first() {
		s.place(e)
	}
	s.slowDown()
}

// reach lowers every wait to the longest there can be from now.
func (s *Scheduler) reach(now instant) {
	limit := now + s.longest
	for _, e := range s.sites {
		e.retryAt = min(e.retryAt, limit)
		if e.heap == &s.timers {
			e.key = min(e.key, limit)
		}
		if e.heap == &s.idle {
			e.key = min(e.key, now+s.keeps(e))
		}
	}
	heap.Init(&s.timers)
	heap.Init(&s.idle)
	for _, p := range s.held {
		p.since = min(p.since, now)
	}
	s.nextSlow = 0
}
