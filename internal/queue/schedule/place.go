package schedule

import "time"

// Place is what a worker holds from Next to Done. It belongs to its Scheduler; only its Site, Probe and Kicked, which
// never change, may be read elsewhere.
type Place struct {
	site  *site
	part  part
	lane  uint32
	probe bool
	kick  bool
	index int // in Scheduler.held

	since   instant // from when it is counted whether the place is held quickly
	slow    bool    // it has been held for longer
	sent    bool    // a whole message was sent, its answer is awaited
	idle    bool    // it waits for more mail, with an open channel
	evicted bool    // Evict has named it
	target  target
	refused *family // that did not let it in, nil if none
	woke    *family // whose freed place it may have been woken for, nil if none
}

// Site is the name of the site.
func (p *Place) Site() string { return p.site.name }

// Probe says that the site failed before and that the worker should try with little.
func (p *Place) Probe() bool { return p.probe }

// Kicked says that it is for a probe because of Kick.
func (p *Place) Kicked() bool { return p.kick }

// Lingers says that its worker waits for more mail.
func (p *Place) Lingers() bool { return p.idle }

// start makes a place of part k for a worker at e.
func (s *Scheduler) start(e *site, k part) *Place {
	p := &Place{site: e, part: k, lane: e.lane, probe: e.failures > 0, kick: e.kicked, since: s.now,
		index: len(s.held), woke: e.woke}
	e.woke = nil
	s.held = append(s.held, p)
	s.pools[k].hold(p.laneIn(k), 1)
	s.nextSlow = min(s.nextSlow, s.slowAt(p))
	return p
}

func (p *Place) laneIn(k part) uint32 { return laneOf(k, p.lane, p.probe) }

// end gives a place back.
func (s *Scheduler) end(p *Place) {
	s.leave(p)
	s.pools[p.part].hold(p.laneIn(p.part), -1)
	last := len(s.held) - 1
	s.held[p.index] = s.held[last]
	s.held[p.index].index = p.index
	s.held[last] = nil
	s.held = s.held[:last]
	p.index = -1
	if p.woke != nil {
		s.freed(p.woke) // it may not have needed what it was woken for
	}
}

// move counts p in another part.
func (s *Scheduler) move(p *Place, k part) {
	if k == p.part {
		return
	}
	s.pools[p.part].hold(p.laneIn(p.part), -1)
	s.pools[k].hold(p.laneIn(k), 1)
	for _, f := range p.target {
		if f != nil {
			s.count(f, p.part, -1)
			s.count(f, k, 1)
		}
	}
	p.part = k
	for _, f := range p.target {
		if f != nil {
			s.freed(f)
		}
	}
}

// admits reports whether p can move to k: there is room for its lane, and its families are not full.
func (s *Scheduler) admits(p *Place, k part) bool {
	if !s.fits(k, p.laneIn(k)) {
		return false
	}
	for _, f := range p.target {
		if f != nil && of(k) != of(p.part) && s.full(f, k, 0) {
			return false
		}
	}
	return true
}

// never is later than every instant.
const never = instant(1<<63 - 1)

// slowAt is when p becomes slow if nothing happens.
func (s *Scheduler) slowAt(p *Place) instant {
	if p.slow || p.idle {
		return never
	}
	return p.since + instant(s.cfg.SlowAfter)
}

// slowDown finds the places that have become slow.
func (s *Scheduler) slowDown() {
	if s.now < s.nextSlow {
		return
	}
	s.nextSlow = never
	for _, p := range s.held {
		if at := s.slowAt(p); at > s.now {
			s.nextSlow = min(s.nextSlow, at)
			continue
		}
		p.slow = true
		if e := p.site; !e.slow {
			e.slow = true
			s.place(e)
		}
	}
	for _, p := range s.held {
		s.aside(p)
	}
}

// aside moves a slow place out of the way of quick ones, if there is room.
func (s *Scheduler) aside(p *Place) {
	if !p.slow {
		return
	}
	k := p.part
	switch {
	case k == reports || k == overtime:
		return
	case p.sent && s.admits(p, overtime):
		k = overtime
	case k == own && s.admits(p, ownSlow):
		k = ownSlow
	case (k == works || k == tries) && s.admits(p, slow):
		k = slow
	}
	s.move(p, k)
}

// quick notes that p is held quickly from now on; a place that had been put aside comes back where there is room.
func (s *Scheduler) quick(p *Place) {
	p.since, p.slow, p.sent, p.idle = s.now, false, false, false
	s.nextSlow = min(s.nextSlow, s.slowAt(p))
	if k := s.partOf(p.site); k != p.part && s.admits(p, k) {
		s.move(p, k)
	}
}

// Sent tells that the whole message went out at a place and its answer is awaited: from now on it is not cut off.
func (s *Scheduler) Sent(p *Place) {
	p.sent = true
	s.aside(p)
}

// Moving tells that the peer takes the content fast enough.
func (s *Scheduler) Moving(p *Place, now time.Time) {
	s.saw(at(now))
	p.since = s.now
	if p.slow {
		p.slow = false
		s.nextSlow = min(s.nextSlow, s.slowAt(p))
	}
}

// Progress tells that the worker has done with a message. passed means that its connection passed, which counts for the
// site unless all it carried were reports.
func (s *Scheduler) Progress(p *Place, passed, report bool, now time.Time) {
	s.saw(at(now))
	e := p.site
	fast := s.now-p.since < instant(s.cfg.SlowAfter)
	if passed {
		if !report {
			e.good = s.now
		}
		if fast {
			e.slow = false
		}
	}
	if fast {
		s.quick(p)
	} else { // the next message has time of its own
		p.since, p.sent = s.now, false
		s.back(p)
	}
	s.place(e)
}

// back counts a slow place whose answer came where it is slow, if there is room.
func (s *Scheduler) back(p *Place) {
	k := slow
	if p.site.own {
		k = ownSlow
	}
	if p.part == overtime && s.admits(p, k) {
		s.move(p, k)
	}
}

// Linger tells that a worker waits for more mail with an open channel, or does so no longer.
func (s *Scheduler) Linger(p *Place, idle bool, now time.Time) {
	s.saw(at(now))
	p.idle, p.since, p.sent, p.evicted = idle, s.now, false, false
	s.nextSlow = min(s.nextSlow, s.slowAt(p))
}

// Rouse names places whose workers wait for more mail and shall claim it, for something is due that no other worker may
// start for: one of each site. Where it leaves something due Claimed says so, as ever.
func (s *Scheduler) Rouse() (out []*Place) {
	for _, p := range s.held {
		if due, ok := s.dueAtIdle(p); ok && due <= s.now {
			p.site.dues.take(s.now)
			s.place(p.site)
			out = append(out, p)
		}
	}
	return out
}

// dueAtIdle is when something is due at the site of a place whose worker waits for it, if anything is.
func (s *Scheduler) dueAtIdle(p *Place) (due instant, ok bool) {
	if !p.idle || p.evicted || p.site.failures > 0 || len(p.site.dues) == 0 {
		return 0, false
	}
	return p.site.dues[0], true
}

// Spare is how many other workers could take mail of the site of p: those that may start, and those that wait for more.
func (s *Scheduler) Spare(p *Place) int {
	n := s.most(p.site) - int(p.site.running)
	for _, o := range s.held {
		if o.site == p.site && o.idle && !o.evicted {
			n++
		}
	}
	return max(n, 0)
}

// Divide has each worker at the site of p claim at most so much, until one finds less; 0: as much as it wants.
func (s *Scheduler) Divide(p *Place, batch int) { p.site.batch = int32(batch) }

// Batch is how much a worker at the site of p may claim of most.
func (s *Scheduler) Batch(p *Place, most int) int {
	if b := int(p.site.batch); b > 0 {
		return min(b, most)
	}
	return most
}

// Evict names places whose workers must end, because sites wait that could use them: of workers that are idle, and of
// slow ones that hold a quick place. Each is named once. An idle one ends as usual, one that is not has failed.
func (s *Scheduler) Evict() (out []*Place) {
	for k := range overtime {
		need := s.pools[k].waiting
		if need == 0 {
			continue
		}
		for _, p := range s.held {
			if p.evicted && s.helps(p, k) {
				need--
			}
		}
		for _, p := range s.held {
			if need <= 0 {
				break
			}
			if !p.evicted && s.helps(p, k) {
				p.evicted = true
				need--
				out = append(out, p)
			}
		}
	}
	return out
}

// helps reports whether the end of p could let a site of part k start, and does no harm that matters.
func (s *Scheduler) helps(p *Place, k part) bool {
	switch {
	case p.part == k:
		return p.idle || p.slow && !p.sent && !p.probe && k != slow && k != ownSlow
	case !p.idle || p.part == overtime:
		return false
	case p.part.unproven() && k.unproven():
		return true
	}
	free, _ := s.free(k)
	return free <= 0 && s.pools[k].running < s.bounds.most[k] && s.pools[p.part].running > s.bounds.least[p.part]
}
