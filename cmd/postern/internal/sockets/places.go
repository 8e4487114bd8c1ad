package sockets

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"postern/internal/config"
)

// plain is an address without IPv4 in IPv6 clothes.
func plain(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// place is an address that the configuration names. every is the one without a host: all addresses of both families.
type place struct {
	name    string // of the listener
	address string // as it is written
	At      netip.AddrPort
	every   bool
	taker   bool // a listener of mail, which may be handed a socket
}

// places are all addresses that the configuration names, the listeners first and in their order.
func places(cfg *config.Config) (out []place) {
	for _, lc := range cfg.Listen {
		p := PlaceOf(lc.Address)
		p.name, p.address, p.taker = lc.Name, lc.Address, true
		out = append(out, p)
	}
	if cfg.Admin.Listen != "" {
		p := PlaceOf(cfg.Admin.Listen)
		p.address = cfg.Admin.Listen
		out = append(out, p)
	}
	return out
}

// PlaceOf reads an address as net.Listen does. One that cannot be read fits no socket; opening it will say why.
func PlaceOf(address string) place {
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return place{}
	}
	if host == "" {
		port, err := net.LookupPort("tcp", portText)
		if err != nil {
			return place{}
		}
		return place{At: netip.AddrPortFrom(netip.IPv6Unspecified(), uint16(port)), every: true}
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		if port, err := strconv.ParseUint(portText, 10, 16); err == nil {
			return place{At: plain(netip.AddrPortFrom(ip, uint16(port)))}
		}
	}
	a, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return place{}
	}
	return place{At: plain(a.AddrPort())}
}

// Overlaps lists the listeners of which only one can be opened. handed are those that systemd opens, which is asked
// there.
func Overlaps(cfg *config.Config, handed map[int]bool) (out []config.Finding) {
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
				out = append(out, config.Finding{Key: key(i), Fatal: true,
					What: fmt.Sprintf("%s overlaps with %s of %s: only one of them can be opened", all[i].address,
						all[j].address, key(j)),
					Hint: "name each address and port once; an address without a host is all addresses of the machine"})
				break
			}
		}
	}
	return out
}

// meets reports whether two places cannot both be listened at. Port 0 is another one each time, and a wildcard of
// either family is all addresses to net.Listen.
func (p place) meets(o place) bool {
	every := func(p place) bool { return p.every || p.At.Addr().IsUnspecified() }
	return p.At.IsValid() && o.At.IsValid() && p.At.Port() != 0 && p.At.Port() == o.At.Port() &&
		(every(p) || every(o) || p.At.Addr() == o.At.Addr())
}
