package smtpserver

import (
	"net/netip"
	"sync"
)

// Gate counts connections, in all and per client. IPv6 clients are counted by their /64, which is what one customer
// has. Safe for concurrent use.
type Gate struct {
	total, perClient int

	mu      sync.Mutex // guards all below
	open    int
	clients map[netip.Prefix]int
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
