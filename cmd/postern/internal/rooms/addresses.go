package rooms

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"postern/internal/config"
	"postern/internal/gateway/route"
)

func hops(in []config.HostPort) (out []route.HostPort) {
	for _, h := range in {
		out = append(out, route.HostPort(h))
	}
	return out
}

// LocalAddrs lists where we listen, so that mail never loops back to us: a listener on every address is all addresses
// of the machine's interfaces.
func LocalAddrs(cfg *config.Config) (out []netip.AddrPort) {
	for _, l := range cfg.Listen {
		out = append(out, AddressesOf(l.Address)...)
	}
	return out
}

// AddressesOf lists the addresses at which a listener of an address is reached.
func AddressesOf(address string) (out []netip.AddrPort) {
	host, portText, err := net.SplitHostPort(address)
	port, portErr := strconv.ParseUint(portText, 10, 16)
	if err != nil || portErr != nil || port == 0 {
		return nil // checked by the configuration; port 0 is chosen by the system
	}
	if ip, err := netip.ParseAddr(host); err == nil && !ip.IsUnspecified() {
		return []netip.AddrPort{netip.AddrPortFrom(ip, uint16(port))}
	}
	out = append(out, netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(port)))
	list, err := net.InterfaceAddrs()
	if err != nil {
		return out
	}
	for _, a := range list {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil {
			out = append(out, netip.AddrPortFrom(prefix.Addr(), uint16(port)))
		}
	}
	return out
}

// Source is an address that connections come from, and the key that names it.
type Source struct {
	Key  string
	Addr netip.Addr
}

// Sources lists all of them.
func Sources(cfg *config.Config) (out []Source) {
	add := func(key string, list []netip.Addr) {
		for i, a := range list {
			out = append(out, Source{fmt.Sprintf("%s[%d]", key, i), a.Unmap()})
		}
	}
	add("delivery.source", cfg.Delivery.Source)
	for i := range cfg.Route {
		add(fmt.Sprintf("route[%d].source", i), cfg.Route[i].Source)
	}
	return out
}

// HasSource says why no connection can come from an address, nil where one can.
func HasSource(source netip.Addr) error {
	l, err := net.ListenPacket("udp", netip.AddrPortFrom(source, 0).String())
	if err != nil {
		return err
	}
	return l.Close()
}
