package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"github.com/coreos/go-systemd/v22/activation"

	"postern/internal/config"
)

// The law of sockets that systemd hands over (LISTEN_FDS): a listener takes those of its own address and port, one a family
// where systemd opened one a family. A listener of every address takes, besides the wildcards of its port, single addresses
// of it that nobody else names. A socket that carries the name of a listener (FileDescriptorName) goes to no other. What
// nobody takes is closed, and named in the log: a client must not be left hanging at it.

// sockets are what the listeners of a configuration serve.
type sockets struct {
	of    [][]net.Listener // by listener, each at least one
	spare []string         // what was handed over and closed, in words
}

func (s *sockets) count() (n int) {
	for _, one := range s.of {
		n += len(one)
	}
	return n
}

func (s *sockets) close() {
	for _, one := range s.of {
		for _, l := range one {
			_ = l.Close() // nothing was served yet
		}
	}
}

// openSockets opens a socket for each listener, or takes those that are open already, so that port 25 needs no rights.
func openSockets(cfg *config.Config) (*sockets, error) {
	out := &sockets{of: make([][]net.Listener, len(cfg.Listen))}
	offered, open := handedOver(out)
	for i, to := range assign(places(cfg), offered) {
		if to >= 0 {
			out.of[to] = append(out.of[to], open[i])
			continue
		}
		out.spare = append(out.spare, fmt.Sprintf("%s (%s)", open[i].Addr(), offered[i].name))
		_ = open[i].Close() // nobody was served at it
	}
	for i, lc := range cfg.Listen {
		if len(out.of[i]) > 0 {
			continue
		}
		l, err := net.Listen("tcp", lc.Address)
		if err != nil {
			out.close()
			return nil, withHint(fmt.Errorf("cannot listen at %s: %w", lc.Address, err),
				"is another mail server running? A port below 1024 needs CAP_NET_BIND_SERVICE or the socket unit of the package")
		}
		out.of[i] = []net.Listener{l}
	}
	return out, nil
}

// closeSockets closes what is open, if anything is.
func (g *gateway) closeSockets() {
	if g.sockets != nil {
		g.sockets.close()
	}
}

// warnOfSpare names the sockets that nobody took.
func (g *gateway) warnOfSpare() {
	for _, s := range g.sockets.spare {
		g.warn("socket", errors.New("systemd handed over a socket at "+s+" that no listener names; it is closed"),
			"name its address in a [[listen]], or take it out of the socket unit")
	}
}

// offer is a socket that was handed over: where it listens, and its name.
type offer struct {
	at   netip.AddrPort
	name string
}

// handedOver takes the sockets that the process was started with. What is no TCP listener is spare at once.
func handedOver(out *sockets) (offered []offer, open []net.Listener) {
	for _, f := range activation.Files(true) {
		l, err := net.FileListener(f)
		_ = f.Close() // FileListener has one of its own
		at, isTCP := tcpAddress(l, err)
		if !isTCP {
			out.spare = append(out.spare, "no TCP address ("+f.Name()+")")
			if err == nil {
				_ = l.Close() // nobody was served at it
			}
			continue
		}
		offered, open = append(offered, offer{at, f.Name()}), append(open, l)
	}
	return offered, open
}

func tcpAddress(l net.Listener, err error) (netip.AddrPort, bool) {
	if err != nil {
		return netip.AddrPort{}, false
	}
	a, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}, false
	}
	return plain(a.AddrPort()), true
}

// plain is an address without IPv4 in IPv6 clothes.
func plain(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// place is an address that the configuration names. every is the one without a host: all addresses of both families.
type place struct {
	name  string // of the listener
	at    netip.AddrPort
	every bool
	taker bool // a listener of mail, which may be handed a socket
}

// places are all addresses that the configuration names, the listeners first and in their order.
func places(cfg *config.Config) (out []place) {
	for _, lc := range cfg.Listen {
		p := placeOf(lc.Address)
		p.name, p.taker = lc.Name, true
		out = append(out, p)
	}
	if cfg.Admin.Listen != "" {
		out = append(out, placeOf(cfg.Admin.Listen))
	}
	return out
}

// placeOf reads an address as net.Listen does. One that cannot be read fits no socket; opening it will say why.
func placeOf(address string) place {
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return place{}
	}
	if host == "" {
		port, err := net.LookupPort("tcp", portText)
		if err != nil {
			return place{}
		}
		return place{at: netip.AddrPortFrom(netip.IPv6Unspecified(), uint16(port)), every: true}
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		if port, err := strconv.ParseUint(portText, 10, 16); err == nil {
			return place{at: plain(netip.AddrPortFrom(ip, uint16(port)))}
		}
	}
	a, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return place{}
	}
	return place{at: plain(a.AddrPort())}
}

// assign says for each socket which listener serves it, -1 for none.
func assign(places []place, offered []offer) []int {
	out := make([]int, len(offered))
	for i, o := range offered {
		out[i] = taker(places, o)
	}
	return out
}

// taker is the listener that serves a socket, -1 if there is none.
func taker(places []place, o offer) int {
	best := -1
	for i, p := range places {
		switch {
		case p.at == o.at && !p.every:
			if !p.taker || foreign(places, o.name, i) {
				return -1
			}
			return i
		case p.every && p.at.Port() == o.at.Port() && p.taker && best < 0 && !foreign(places, o.name, i):
			best = i
		}
	}
	return best
}

// foreign reports whether a socket's name is that of another listener.
func foreign(places []place, name string, mine int) bool {
	if places[mine].name == name {
		return false
	}
	for _, p := range places {
		if p.taker && p.name == name {
			return true
		}
	}
	return false
}
