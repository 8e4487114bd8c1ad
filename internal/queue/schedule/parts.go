package schedule

import "container/list"

// part is a part of the places; see the package comment.
type part uint8

const (
	own part = iota
	ownSlow
	works
	tries
	slow
	reports
	overtime
	parts = int(overtime) + 1
)

// unproven reports whether k is one of the parts that Config.Unproven bounds together.
func (k part) unproven() bool { return k == tries || k == slow || k == reports }

// shared reports whether a lane may hold no more places of k than are left free.
func (k part) shared() bool { return k.unproven() || k == works || k == overtime }

// bounds are what each part has at least and at most.
type bounds struct{ least, most [parts]int }

// bounds divides the places. What the parts have at least is no more than there is, and so it is for those that share
// Unproven.
func (c *Config) bounds() (b bounds) {
	total, u := c.Total, c.Unproven
	kept := min(c.Own, total-u)
	b.least = [parts]int{own: kept - kept/2, ownSlow: kept / 2, works: max(0, min(total/5, total-u-kept)),
		tries: u / 4, slow: u / 10, reports: min(u/20, c.Reports)}
	b.most = [parts]int{own: total, ownSlow: max(1, kept/2), works: total,
		tries: u, slow: max(1, u/2), reports: c.Reports, overtime: c.Overtime}
	return b
}

// pool is a part with what it holds and who waits for it.
type pool struct {
	running int
	waiting int // sites in all lanes
	lanes   map[uint32]*lane
	turns   list.List // of *lane, those where sites wait, the next to start first
}

// lane is the sites of one submitter that wait for a part, and the places it holds there.
type lane struct {
	pool    *pool
	id      uint32
	running int
	line    line
	turn    *list.Element // in turns, nil while nothing waits
}

func (p *pool) lane(id uint32) *lane {
	l := p.lanes[id]
	if l == nil {
		if p.lanes == nil {
			p.lanes = make(map[uint32]*lane)
		}
		l = &lane{pool: p, id: id}
		l.line.lane = l
		p.lanes[id] = l
	}
	return l
}

// waits counts the sites in a lane.
func (p *pool) waits(id uint32) int {
	if l := p.lanes[id]; l != nil {
		return l.line.n
	}
	return 0
}

func (p *pool) push(id uint32, e *site) {
	l := p.lane(id)
	l.line.push(e)
	p.waiting++
	if l.turn == nil {
		l.turn = p.turns.PushBack(l)
	}
}

// remove takes e out of its lane.
func (p *pool) remove(e *site) {
	l := e.line.lane
	l.line.remove(e)
	p.waiting--
	if l.line.n == 0 {
		p.turns.Remove(l.turn)
		l.turn = nil
		p.clean(l)
	}
}

// hold counts n more places of a lane.
func (p *pool) hold(id uint32, n int) {
	l := p.lane(id)
	l.running += n
	p.running += n
	p.clean(l)
}

// clean forgets a lane that holds nothing and where nobody waits.
func (p *pool) clean(l *lane) {
	if l.running == 0 && l.line.n == 0 {
		delete(p.lanes, l.id)
	}
}

// laneOf is the lane of a site, or of its worker, in a part. Reports have no submitter that means anything: there are
// those that fail and the others.
func laneOf(k part, lane uint32, fails bool) uint32 {
	if k != reports {
		return lane
	}
	if fails {
		return 1
	}
	return 0
}

// room is how many more places of a part there are now.
func (s *Scheduler) room(k part) int {
	n := s.bounds.most[k] - s.pools[k].running
	if k == overtime {
		return n
	}
	free, group := s.free(k)
	if k.unproven() {
		n = min(n, group)
	}
	return min(n, free)
}

// free is how many more places the bound of all leaves to a part, and how many that of the unproven ones.
func (s *Scheduler) free(k part) (all, unproven int) {
	all, unproven = s.cfg.Total, s.cfg.Unproven
	for j := range overtime {
		taken := s.pools[j].running
		if j != k {
			taken = max(taken, s.bounds.least[j])
		}
		all -= taken
		if j.unproven() {
			unproven -= taken
		}
	}
	return all, unproven
}

// fits reports whether a part has a place for a lane.
func (s *Scheduler) fits(k part, lane uint32) bool {
	room := s.room(k)
	if !k.shared() {
		return room > 0
	}
	held := 0
	if l := s.pools[k].lanes[lane]; l != nil {
		held = l.running
	}
	return held < room
}

// pick returns the site of a part to start next, nil when none may be.
func (s *Scheduler) pick(k part) *site {
	p := &s.pools[k]
	if p.waiting == 0 {
		return nil
	}
	room := s.room(k)
	if room <= 0 {
		return nil
	}
	for turn := p.turns.Front(); turn != nil; turn = turn.Next() {
		if l := turn.Value.(*lane); !k.shared() || l.running < room {
			return l.line.head
		}
	}
	return nil
}

// took ends the turn of the lane of a site of k that starts.
func (s *Scheduler) took(k part, e *site) {
	p := &s.pools[k]
	l := e.line.lane
	p.turns.MoveToBack(l.turn)
	p.remove(e)
}
