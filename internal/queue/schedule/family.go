package schedule

// family is all destinations that are one: the same address, host or next hop.
type family struct {
	name string
	// working are the places it holds in the part of sites that work, other those in all others but overtime.
	working, other int
	waiting        line
}

// target is up to two families that a place is in while it dials: an address and the name of its host.
type target [2]*family

// is reports whether t is the families of these names.
func (t *target) is(names []string) bool {
	for i, f := range t {
		if (f != nil) != (i < len(names)) || f != nil && f.name != names[i] {
			return false
		}
	}
	return true
}

// family returns the family of a name, new if there is none.
func (s *Scheduler) family(name string) *family {
	f := s.families[name]
	if f == nil {
		f = &family{name: name}
		s.families[name] = f
	}
	return f
}

// full reports whether a family may hold no more places of a part than it does. mine is 1 for a worker that asks for
// itself and is counted in the part already.
func (s *Scheduler) full(f *family, k part, mine int) bool {
	switch of(k) {
	case counted:
		return f.other >= s.cfg.Family
	case leftFree:
		return f.working >= max(s.cfg.Family, s.room(works)+mine)
	}
	return false
}

// bound is how the places of a part count for a family.
type bound uint8

const (
	unbound  bound = iota
	counted        // against Config.Family
	leftFree       // against what is left free
)

// of is how places of k count.
func of(k part) bound {
	switch k {
	case overtime:
		return unbound
	case works:
		return leftFree
	}
	return counted
}

// Enter tells that a worker is about to wait for a destination, under its names: address, host or next hop. False means
// that too many already do: the worker waits for this one not. If it gives up its site waits until there is room. Our
// own servers are no families.
func (s *Scheduler) Enter(p *Place, names ...string) bool {
	if p.site.own || p.target.is(names) {
		return true
	}
	s.leave(p)
	for _, name := range names[:min(len(names), len(p.target))] {
		f := s.family(name)
		if s.full(f, p.part, 1) {
			p.refused = f
			s.clean(f)
			s.leave(p)
			return false
		}
		s.join(p, f)
	}
	return true
}

// Joined is Enter for a destination that is connected already: it is counted, full or not.
func (s *Scheduler) Joined(p *Place, names ...string) {
	s.leave(p)
	p.refused = nil
	if p.site.own {
		return
	}
	for _, name := range names[:min(len(names), len(p.target))] {
		s.join(p, s.family(name))
	}
}

func (s *Scheduler) join(p *Place, f *family) {
	s.count(f, p.part, 1)
	for i := range p.target {
		if p.target[i] == nil {
			p.target[i] = f
			return
		}
	}
}

// leave takes p out of its families.
func (s *Scheduler) leave(p *Place) {
	for i, f := range p.target {
		if f != nil {
			p.target[i] = nil
			s.count(f, p.part, -1)
			s.freed(f)
		}
	}
}

// count counts places of a family.
func (s *Scheduler) count(f *family, k part, n int) {
	switch of(k) {
	case leftFree:
		f.working += n
	case counted:
		f.other += n
	}
}

// freed wakes the first site that waits for a family, if there is room again.
func (s *Scheduler) freed(f *family) {
	if e := f.waiting.head; e != nil && !s.full(f, s.partOf(e), 0) {
		s.place(e)
	}
	s.clean(f)
}

// clean forgets a family of which nothing is left.
func (s *Scheduler) clean(f *family) {
	if f.working+f.other+f.waiting.n == 0 {
		delete(s.families, f.name)
	}
}
