// Package publicaddr tells addresses of the public Internet from those of our own network. Strangers choose names that
// the gateway looks up and connects to; whoever lets such a name lead to loopback, to a private network or to the
// service of a cloud that hands out credentials must find that nothing is dialled there.
//
//	Public   is it an address at which a public server can be?
//	May      that, or does it lie in a network that an administrator named?
//	Unmapped networks in the form in which addresses are held against them
//	Covered  does every address of a network lie in one of some networks?
//	Loopback is it this machine itself?
//
// Networks for documentation count as public: nobody has them, so that nothing is there to be reached.
package publicaddr

import (
	"net/netip"
	"slices"
)

// special are networks beyond those netip knows where no public server is (RFC 6890). 2002::/16 and 2001::/32 lead to
// relays that wrap IPv4 addresses of anybody's choice.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.88.99.0/24"), netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("2001::/32"), netip.MustParsePrefix("2002::/16"),
}

// unicast is all that is given out of IPv6 to be reached by everybody.
var unicast = netip.MustParsePrefix("2000::/3")

var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// Public reports whether a public server can be at ip. An IPv4 address inside IPv6, as the system (::ffff:192.0.2.1) or
// a translator of the network (RFC 6052 §2.1) spells it, is judged as what it means. An address with a zone is none.
func Public(ip netip.Addr) bool { return May(ip, nil) }

// May reports whether ip is public or lies in one of the networks that are allowed.
func May(ip netip.Addr, allowed []netip.Prefix) bool {
	if !ip.IsValid() || ip.Zone() != "" {
		return false
	}
	ip = ip.Unmap()
	within := func(p netip.Prefix) bool { return p.Contains(ip) }
	switch {
	case slices.ContainsFunc(allowed, within):
		return true
	case nat64.Contains(ip):
		b := ip.As16()
		return May(netip.AddrFrom4([4]byte(b[12:])), allowed)
	case ip.Is6() && !unicast.Contains(ip):
		return false
	}
	return ip.IsGlobalUnicast() && !ip.IsPrivate() && !slices.ContainsFunc(special, within)
}

// Unmapped copies networks, with those of IPv4-mapped addresses (::ffff:10.0.0.0/104) in their IPv4 form and host bits
// cleared: the form in which an address that was unmapped is held against them.
func Unmapped(networks []netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range networks {
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		out = append(out, p.Masked())
	}
	return out
}

// Covered reports whether every address of p lies in one of the networks.
func Covered(p netip.Prefix, networks []netip.Prefix) bool {
	var inside []netip.Prefix
	for _, n := range networks {
		n = n.Masked()
		if n.Bits() <= p.Bits() && n.Contains(p.Addr()) {
			return true
		}
		if n.Bits() > p.Bits() && p.Contains(n.Addr()) {
			inside = append(inside, n)
		}
	}
	if len(inside) == 0 {
		return false
	}
	low, high := halves(p)
	return Covered(low, inside) && Covered(high, inside)
}

// halves splits a network of more than one address.
func halves(p netip.Prefix) (low, high netip.Prefix) {
	bits := p.Bits() + 1
	raw := p.Addr().AsSlice()
	raw[p.Bits()/8] |= 0x80 >> (p.Bits() % 8)
	top, _ := netip.AddrFromSlice(raw) // as long as it was
	return netip.PrefixFrom(p.Addr(), bits), netip.PrefixFrom(top, bits)
}

// Loopback reports whether a host is this machine itself, by address or name.
func Loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}
