package schedule

import "container/heap"

// site returns the record of name, new if there is none.
func (s *Scheduler) site(name string) *site {
	e := s.sites[name]
	if e == nil {
		e = &site{name: name, own: s.cfg.OwnSite(name)}
		s.sites[name] = e
	}
	return e
}

// lately reports whether a site took mail lately.
func (s *Scheduler) lately(e *site) bool {
	return e.good > 0 && s.now-e.good < instant(s.cfg.Lately)
}

// partOf is the part of the places that a site belongs to.
func (s *Scheduler) partOf(e *site) part {
	bad := e.failures > 0 || e.slow
	switch {
	case e.own && bad:
		return ownSlow
	case e.own:
		return own
	case e.reports && (bad || !s.lately(e)):
		return reports
	case bad:
		return slow
	case s.lately(e):
		return works
	}
	return tries
}

// busy reports whether a site has as many workers as it may.
func (s *Scheduler) busy(e *site) bool { return int(e.running) >= s.most(e) }

// most is how many workers a site may have: one where it fails, or is not known to take mail.
func (s *Scheduler) most(e *site) int {
	if e.failures > 0 || !e.own && !s.lately(e) {
		return 1
	}
	return s.share(e.name)
}

// place puts e where it belongs, or forgets it. Where it waits already it never moves back, so that news about it
// cannot cost it its turn.
func (s *Scheduler) place(e *site) {
	switch {
	case len(e.dues) == 0:
		s.rest(e)
	case s.busy(e):
		s.take(e)
	default:
		s.queue(e)
	}
}

// rest keeps a site at which nothing waits in memory for a while, if that is worth it.
func (s *Scheduler) rest(e *site) {
	if e.heap == &s.idle {
		return
	}
	s.take(e)
	if e.running > 0 {
		return
	}
	if e.failures == 0 && !e.slow && !s.lately(e) {
		delete(s.sites, e.name)
		return
	}
	s.push(&s.idle, e, s.now+s.keeps(e))
}

// keeps is for how long a site is remembered without mail.
func (s *Scheduler) keeps(e *site) instant {
	keep := s.longest
	if e.failures > 0 {
		keep += max(e.retryAt-s.now, 0)
	}
	if s.lately(e) {
		keep = max(keep, e.good+instant(s.cfg.Lately)-s.now)
	}
	return keep
}

// queue has a site wait for its time, for its family, or in its lane.
func (s *Scheduler) queue(e *site) {
	probe := e.failures > 0
	key := e.dues[0]
	if probe && !e.kicked {
		key = max(key, e.retryAt)
	}
	key = s.reachable(key)
	if e.asProbe == probe {
		switch {
		case e.heap == &s.timers:
			key = min(key, e.key)
		case e.line != nil: // its time has come already
			key = s.now
		}
	}
	e.asProbe = probe
	if key > s.now || !s.turned {
		s.wait(e, key)
		return
	}
	k := s.partOf(e)
	if f := e.waits; f != nil && s.full(f, k, 0) {
		if e.line != &f.waiting {
			s.take(e)
			f.waiting.push(e)
		}
		return
	}
	if e.waits != nil {
		e.woke, e.waits = e.waits, nil
	}
	if id := laneOf(k, e.lane, probe); e.line == nil || e.line.lane == nil || s.pools[k].lanes[id] != e.line.lane {
		s.take(e)
		s.seq++
		e.seq = s.seq
		s.pools[k].push(id, e)
	}
}

// wait puts a site among the timers.
func (s *Scheduler) wait(e *site, key instant) {
	if e.heap != &s.timers {
		s.take(e)
		s.push(&s.timers, e, key)
	} else if key != e.key {
		e.key = key
		heap.Fix(&s.timers, int(e.pos))
	}
}

func (s *Scheduler) push(q *heapOf, e *site, key instant) {
	s.seq++
	e.key, e.seq = key, s.seq
	heap.Push(q, e)
}

// take takes a site out of wherever it waits.
func (s *Scheduler) take(e *site) {
	switch {
	case e.heap != nil:
		heap.Remove(e.heap, int(e.pos))
	case e.line == nil:
	case e.line.lane != nil:
		e.line.lane.pool.remove(e)
	default:
		e.line.remove(e)
	}
}

// reachable brings a time between now and the longest wait from now.
func (s *Scheduler) reachable(key instant) instant {
	if s.now == 0 {
		return key
	}
	return min(max(key, s.now), s.now+s.longest)
}
