package schedule

import "hash/fnv"

// Among tells that this is one of so many gateways, the rank-th of them, counted from 0, which all share the limit of a
// site. The same numbers again change nothing. Workers that are too many now are asked for with Surplus.
func (s *Scheduler) Among(gateways, rank int) {
	if gateways = max(gateways, 1); s.gateways == gateways && s.rank == rank {
		return
	}
	s.gateways, s.rank = gateways, rank
	for _, e := range s.sites {
		s.place(e)
	}
}

// Surplus reports whether p is one of more workers than its site may have. The worker ends, and what it leaves waits
// for another.
func (s *Scheduler) Surplus(p *Place) bool { return int(p.site.running) > s.share(p.site.name) }

// share is how many workers a site may have here: of the limit, which is divided among all gateways, what falls to this
// one. What is left over falls to other gateways at other sites.
func (s *Scheduler) share(site string) int {
	limit, n := s.cfg.PerSite, s.gateways
	if n <= 1 {
		return limit
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(site)) // a hash takes everything
	first := int(h.Sum32() % uint32(n))
	share := limit / n
	if turn := ((s.rank-first)%n + n) % n; turn < limit%n {
		share++
	}
	return max(share, 1)
}
