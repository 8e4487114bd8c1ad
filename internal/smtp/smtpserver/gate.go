package smtpserver

import (
	"net/netip"
	"sync"
	"time"
)

// Gate counts connections, in all and per client. IPv6 clients are counted by their /64, which is what one customer
// has. Safe for concurrent use.
type Gate struct {
	total, perClient int

	mu       sync.Mutex // guards all below
	open     int
	clients  map[netip.Prefix]int
	servers  []*Server
	relieved time.Time // last
}

// NewGate bounds connections. 0 means the defaults, 10,000 in all and 100 per client; a negative number, no limit.
func NewGate(total, perClient int) *Gate {
	or(&total, 10_000)
	or(&perClient, 100)
	return &Gate{total: total, perClient: perClient, clients: map[netip.Prefix]int{}}
}

// admission is what a Gate says to a new connection.
type admission uint8

const (
	admitted admission = iota
	fullHouse
	fullClient
)

func (g *Gate) enter(client netip.Addr) admission {
	key := ClientNetwork(client)
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.total > 0 && g.open >= g.total:
		return fullHouse
	case g.perClient > 0 && g.clients[key] >= g.perClient:
		return fullClient
	}
	g.open++
	g.clients[key]++
	return admitted
}

func (g *Gate) leave(client netip.Addr) {
	key := ClientNetwork(client)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open--
	if g.clients[key]--; g.clients[key] == 0 {
		delete(g.clients, key)
	}
}

// join lets the Gate ask a server for room.
func (g *Gate) join(s *Server) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.servers = append(g.servers, s)
}

// relievePause is the least time between two looks for room: a flood must not make each of its connections a search.
const relievePause = time.Second

// relieve has every server that shares the Gate end its idle sessions, because the house is full.
func (g *Gate) relieve(now time.Time) {
	g.mu.Lock()
	due := now.Sub(g.relieved) >= relievePause
	if due {
		g.relieved = now
	}
	servers := g.servers
	g.mu.Unlock()
	if !due {
		return
	}
	for _, s := range servers {
		s.endIdle(now)
	}
}

// Open returns how many connections are open.
func (g *Gate) Open() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.open
}

// ClientNetwork is what counts as one client: the address, or the /64 of an IPv6 address.
func ClientNetwork(client netip.Addr) netip.Prefix {
	bits := 32
	if client.Is6() {
		bits = 64
	}
	p, _ := client.Prefix(bits) // fails only for the zero Addr, which is a key as well
	return p
}
