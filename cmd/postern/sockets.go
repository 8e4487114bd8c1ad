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

// close closes all of them; of nil there are none.
func (s *sockets) close() {
	if s == nil {
		return
	}
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
	handed := map[int]bool{}
	for i := range out.of {
		handed[i] = len(out.of[i]) > 0
	}
	if list := overlaps(cfg, handed); len(list) > 0 {
		out.close()
		return nil, misconfigured(withHint(errors.New(sayFinding(cfg, list[0])), "`postern config check` shows this and what else is to be mended"))
	}
	for i, lc := range cfg.Listen {
		if handed[i] {
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
	name    string // of the listener
	address string // as it is written
	at      netip.AddrPort
	every   bool
	taker   bool // a listener of mail, which may be handed a socket
}

// places are all addresses that the configuration names, the listeners first and in their order.
func places(cfg *config.Config) (out []place) {
	for _, lc := range cfg.Listen {
		p := placeOf(lc.Address)
		p.name, p.address, p.taker = lc.Name, lc.Address, true
		out = append(out, p)
	}
	if cfg.Admin.Listen != "" {
		p := placeOf(cfg.Admin.Listen)
		p.address = cfg.Admin.Listen
		out = append(out, p)
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

// overlaps lists the listeners of which only one can be opened. handed are those that systemd opens, which is asked there.
func overlaps(cfg *config.Config, handed map[int]bool) (out []config.Finding) {
	all := places(cfg)
	key := func(i int) string {
		if !all[i].taker {
			return "admin.listen"
		}
		return fmt.Sprintf("listen[%d].address", i)
	}
	for i := range all {
		for j := range all[:i] {
			if all[i].meets(all[j]) && !(handed[i] && handed[j]) {
				out = append(out, config.Finding{Key: key(i), Fatal: true, What: fmt.Sprintf("%s overlaps with %s of %s: only one of them can be opened", all[i].address, all[j].address, key(j)),
					Hint: "name each address and port once; an address without a host is all addresses of the machine"})
				break
			}
		}
	}
	return out
}

// meets reports whether two places cannot both be listened at. Port 0 is another one each time, and a wildcard of either
// family is all addresses to net.Listen.
func (p place) meets(o place) bool {
	every := func(p place) bool { return p.every || p.at.Addr().IsUnspecified() }
	return p.at.IsValid() && o.at.IsValid() && p.at.Port() != 0 && p.at.Port() == o.at.Port() &&
		(every(p) || every(o) || p.at.Addr() == o.at.Addr())
}
