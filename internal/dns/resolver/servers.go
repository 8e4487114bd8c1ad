package resolver

import (
	"cmp"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"postern/internal/platform/filewatch"
)

// server is one that is asked, with its health.
type server struct {
	addr    netip.AddrPort
	trusted bool // its AD bit is believed

	mu       sync.Mutex // guards what follows
	silences int        // tries in a row without an answer
	badUntil time.Time
	odd      odd
}

// maxBad is how long a silent server is asked last at most.
const maxBad = time.Minute

// silent notes that the server did not answer: it is asked after the others for a while that doubles.
func (s *server) silent(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.silences++
	s.badUntil = now.Add(min(maxBad, time.Second<<min(s.silences, 10)))
}

func (s *server) answered() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.silences, s.badUntil = 0, time.Time{}
}

func (s *server) bad(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return now.Before(s.badUntil)
}

// servers is the list in force.
type servers struct {
	file    string // "" when the list is fixed
	trustAD Trust

	mu      sync.Mutex // guards what follows
	list    []*server
	seen    filewatch.Mark
	checked time.Time
}

func newServers(cfg Config) (*servers, error) {
	s := &servers{trustAD: cfg.TrustAD}
	if len(cfg.Servers) == 0 {
		s.file = cfg.ResolvConf
		return s, nil
	}
	for _, text := range cfg.Servers {
		addr, err := parseServer(text)
		if err != nil {
			return nil, err
		}
		s.list = append(s.list, s.newServer(addr, cfg.TrustAD))
	}
	return s, nil
}

func (s *servers) newServer(addr netip.AddrPort, t Trust) *server {
	trusted := t == TrustAll || t == TrustLoopback && addr.Addr().Unmap().IsLoopback()
	return &server{addr: addr, trusted: trusted}
}

// inOrder returns the servers in the order they are asked, the healthy ones first. Where one is trusted, those that are
// not have no place: their answers are never secure, and would unsay what the trusted one is silent about.
func (s *servers) inOrder(now time.Time) []*server {
	list, _ := s.split(now)
	place := make(map[*server]int, len(list))
	for _, x := range list {
		if x.bad(now) {
			place[x]++
		}
	}
	slices.SortStableFunc(list, func(a, b *server) int { return cmp.Compare(place[a], place[b]) })
	return list
}

// split returns the servers that are asked, and those that are not because one of the others is trusted.
func (s *servers) split(now time.Time) (asked, idle []*server) {
	s.mu.Lock()
	s.refresh(now)
	list := slices.Clone(s.list)
	s.mu.Unlock()
	if !slices.ContainsFunc(list, func(x *server) bool { return x.trusted }) {
		return list, nil
	}
	for _, x := range list {
		if x.trusted {
			asked = append(asked, x)
		} else {
			idle = append(idle, x)
		}
	}
	return asked, idle
}

// validates reports whether the AD bit of any server is believed.
func (s *servers) validates(now time.Time) bool {
	return slices.ContainsFunc(s.inOrder(now), func(x *server) bool { return x.trusted })
}

// refresh reads the file again if it changed, looking at most once a second; the lock is held. A file that cannot be
// read or names no server leaves the list as it is.
func (s *servers) refresh(now time.Time) {
	if s.file == "" || len(s.list) > 0 && now.Sub(s.checked).Abs() < time.Second {
		return
	}
	s.checked = now
	text, err := os.ReadFile(s.file)
	mark := filewatch.Of(text)
	if len(s.list) > 0 && (err != nil || mark == s.seen) {
		return
	}
	if addrs, trust := parseResolvConf(text); err == nil && len(addrs) > 0 {
		if trust && s.trustAD == TrustLoopback {
			s.replace(addrs, TrustAll)
		} else {
			s.replace(addrs, s.trustAD)
		}
		s.seen = mark
	}
	if len(s.list) == 0 {
		// As resolv.conf(5) says: without a nameserver line the one on this machine is asked.
		s.replace([]netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:53")}, s.trustAD)
	}
}

// replace puts a new list in force; servers that stay keep their health.
func (s *servers) replace(addrs []netip.AddrPort, trustAD Trust) {
	var list []*server
	for _, addr := range addrs {
		fresh := s.newServer(addr, trustAD)
		for _, old := range s.list {
			if old.addr == addr && old.trusted == fresh.trusted {
				fresh = old
			}
		}
		list = append(list, fresh)
	}
	s.list = list
}
