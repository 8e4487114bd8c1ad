package smtpserver

import (
	"cmp"
	"net/netip"
	"sync"
	"time"
)

// Gate counts connections, in all and per client. IPv6 clients are counted by their /64, which is what one customer
// has. Safe for concurrent use.
//
// The fuller the memory for sessions, the fewer one client may have: never more than a quarter of what is still free,
// and the last third is for clients that have none. While what the process really uses is measured to be little, they
// may have a quarter more than was planned. So a flood leaves room for others.
type Gate struct {
	total, perClient int
	room             *Memory // of all sessions; nil is no bound

	mu       sync.Mutex // guards all below
	open     int
	clients  map[netip.Prefix]int
	servers  []*Server
	relieved time.Time // last
}

// NewGate bounds connections. 0 means the defaults, 10,000 in all and 100 per client; a negative number, no limit. room
// is what the sessions may cost together, nil for no bound.
func NewGate(total, perClient int, room *Memory) *Gate {
	total = cmp.Or(total, 10_000)
	perClient = cmp.Or(perClient, 100)
	return &Gate{total: total, perClient: perClient, room: room, clients: map[netip.Prefix]int{}}
}

// admission is what a Gate says to a new connection.
type admission uint8

const (
	admitted admission = iota
	fullHouse
	fullClient
	fullShare  // the client has its part of the memory that is left
	fullMemory // there is none for another session
)

// enter counts a connection that may cost so much memory, if it is admitted.
func (g *Gate) enter(client netip.Addr, cost int) admission {
	key := ClientNetwork(client)
	g.mu.Lock()
	defer g.mu.Unlock()
	has := g.clients[key]
	switch {
	case g.total > 0 && g.open >= g.total:
		return fullHouse
	case g.perClient > 0 && has >= g.perClient:
		return fullClient
	case g.room == nil:
	case has > 0 && (int64(has*cost) >= g.room.left()/4 || g.room.left() < g.room.limit/3):
		return fullShare
	case g.room.Tight() || !g.room.Take(cost) && !(has == 0 && g.room.overdraw(cost)):
		return fullMemory
	}
	g.open++
	g.clients[key]++
	return admitted
}

// Full reports whether the next connection would be turned away, whoever makes it.
func (g *Gate) Full() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.total > 0 && g.open >= g.total
}

// leave is for a connection that was admitted and still holds so much memory.
func (g *Gate) leave(client netip.Addr, held int) {
	key := ClientNetwork(client)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.give(held)
	g.open--
	if g.clients[key]--; g.clients[key] == 0 {
		delete(g.clients, key)
	}
}

// take asks for more memory for a connection that was admitted.
func (g *Gate) take(n int) bool { return g.room == nil || g.room.Take(n) }

func (g *Gate) give(n int) {
	if g.room != nil {
		g.room.Give(n)
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
