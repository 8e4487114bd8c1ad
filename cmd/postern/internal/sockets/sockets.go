// Package sockets opens a socket for each listener, or takes those that systemd has opened.
//
// The law of sockets that systemd hands over (LISTEN_FDS): a listener takes those of its own address and port, one a
// family where systemd opened one a family. A listener of every address takes, besides the wildcards of its port,
// single addresses of it that nobody else names. A socket that carries the name of a listener (FileDescriptorName) goes
// to no other. What nobody takes is closed before any other is opened, and named in the log: a client must not be left
// hanging at it. systemd itself keeps it open, so that no listener can open an address that it covers: such a start
// fails by the name of the socket, not as if another program were in the way.
package sockets

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"

	"github.com/coreos/go-systemd/v22/activation"

	"postern/cmd/postern/internal/cli"
	"postern/internal/config"
)

// Set are what the listeners of a configuration serve.
type Set struct {
	Of    [][]net.Listener // by listener, each at least one
	Spare []string         // what was handed over and closed, in words

	held []offer // of Spare, what systemd has open at a TCP address
}

// Count is how many sockets there are.
func (s *Set) Count() (n int) {
	for _, one := range s.Of {
		n += len(one)
	}
	return n
}

// Close closes all of them; of nil there are none.
func (s *Set) Close() {
	if s == nil {
		return
	}
	for _, one := range s.Of {
		for _, l := range one {
			_ = l.Close() // nothing was served yet
		}
	}
}

// Open opens a socket for each listener, or takes those that are open already, so that port 25 needs no rights.
func Open(cfg *config.Config) (*Set, error) {
	out := &Set{Of: make([][]net.Listener, len(cfg.Listen))}
	offered, open := handedOver(out)
	for i, to := range assign(places(cfg), offered) {
		if to >= 0 {
			out.Of[to] = append(out.Of[to], open[i])
			continue
		}
		out.Spare, out.held = append(out.Spare, offered[i].String()), append(out.held, offered[i])
		_ = open[i].Close() // nobody was served at it
	}
	handed := map[int]bool{}
	for i := range out.Of {
		handed[i] = len(out.Of[i]) > 0
	}
	if list := Overlaps(cfg, handed); len(list) > 0 {
		out.Close()
		return nil, cli.Misconfigured(cli.WithHint(errors.New(cli.FindingText(cfg, list[0])),
			"`postern config check` shows this and what else is to be mended"))
	}
	for i, lc := range cfg.Listen {
		if handed[i] {
			continue
		}
		l, err := net.Listen("tcp", lc.Address)
		if err != nil {
			out.Close()
			if blocked := out.blocked(lc.Address, err, unitHint(lc.Address)); blocked != nil {
				return nil, blocked
			}
			return nil, cli.WithHint(fmt.Errorf("cannot listen at %s: %w", lc.Address, err),
				"is another mail server running? A port below 1024 needs CAP_NET_BIND_SERVICE or the socket unit "+
					"of the package")
		}
		out.Of[i] = []net.Listener{l}
	}
	return out, nil
}

// blocked dresses the error of opening an address that is in use because systemd holds a socket there which it handed
// over and which no listener takes; nil where it is another program's.
func (s *Set) blocked(address string, err error, hint string) error {
	if s == nil || !errors.Is(err, syscall.EADDRINUSE) {
		return nil
	}
	for _, o := range s.held {
		if PlaceOf(address).meets(o.place()) {
			return cli.Misconfigured(cli.WithHint(fmt.Errorf("cannot listen at %s: systemd holds a socket at %s, "+
				"which it handed over and which is not this address; it is closed here and stays open there",
				address, o), hint))
		}
	}
	return nil
}

// BlockedAdmin dresses an error of opening the address of [admin] where a socket of systemd is in the way, which is
// never handed to it; nil where that is another program's.
func (s *Set) BlockedAdmin(address string, err error) error {
	return s.blocked(address, err, unitWithout)
}

// unitHint is how the socket unit opens an address of a listener, and nothing else.
func unitHint(address string) string {
	return fmt.Sprintf("`systemctl edit %s` and write below [Socket]: ListenStream= alone, which takes back what the "+
		"unit opens, then ListenStream=%s; or give the listener the socket's address", socketUnitName,
		strings.TrimPrefix(address, ":"))
}

// offer is a socket that was handed over: where it listens, and its name.
type offer struct {
	at   netip.AddrPort
	name string
}

// String is the address with the name behind it.
func (o offer) String() string { return o.at.String() + " (" + o.name + ")" }

func (o offer) place() place { return place{At: o.at} }

// handedOver takes the sockets that the process was started with. What is no TCP listener is spare at once.
func handedOver(out *Set) (offered []offer, open []net.Listener) {
	for _, f := range activation.Files(true) {
		l, err := net.FileListener(f)
		_ = f.Close() // FileListener has one of its own
		at, isTCP := tcpAddress(l, err)
		if !isTCP {
			out.Spare = append(out.Spare, "no TCP address ("+f.Name()+")")
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
		case p.At == o.at && !p.every:
			if !p.taker || foreign(places, o.name, i) {
				return -1
			}
			return i
		case p.every && p.At.Port() == o.at.Port() && p.taker && best < 0 && !foreign(places, o.name, i):
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
