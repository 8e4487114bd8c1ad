package route

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"

	"postern/internal/dns"
	"postern/internal/mail"
	"postern/internal/policy"
)

// lookup asks DNS for the addresses of host. Signed says that every answer it gave was vouched for, that there is no
// address too.
func (t *Table) lookup(ctx context.Context, host mail.Domain) (found dns.Addresses, signed bool, problem *Problem) {
	if t.cfg.Resolver == nil {
		return found, false, lookupProblem(errors.New("no resolver"), "the addresses of "+host.String())
	}
	found = t.cfg.Resolver.Addrs(ctx, host)
	if err := found.Err(); err != nil {
		if dns.IsNXDomain(err) {
			return found, none(found), &Problem{Reason: policy.DNSNoAddress,
				Text: fmt.Sprintf("the host %s does not exist", host)}
		}
		return found, false, lookupProblem(err, "the addresses of "+host.String())
	}
	if len(found.V4.Addrs)+len(found.V6.Addrs) == 0 {
		return found, none(found), &Problem{Reason: policy.DNSNoAddress,
			Text: fmt.Sprintf("the host %s has no address", host)}
	}
	return found, vouched(found.V4) && vouched(found.V6), nil
}

// none reports whether it was vouched for that a host has no address.
func none(a dns.Addresses) bool { return a.V4.Secure && a.V6.Secure }

// vouched reports whether the addresses of a family, if there are any, were.
func vouched(f dns.Family) bool { return len(f.Addrs) == 0 || f.Secure }

// lookupProblem says which look-up failed and how, in our own words.
func lookupProblem(err error, what string) *Problem {
	kind := dns.KindOf(err)
	p := &Problem{Text: fmt.Sprintf("cannot look up %s: %s", what, kind)}
	if oddity := dns.OddityOf(err); oddity != "" {
		p.Text += " (" + oddity + ")"
	}
	switch kind {
	case dns.NXDomain:
		p.Reason = policy.DNSNXDomain
	case dns.Timeout:
		p.Reason = policy.DNSTimeout
	case dns.Bogus:
		p.Reason = policy.DNSSECBogus
	default:
		p.Reason = policy.DNSServfail
	}
	return p
}

// judge returns the addresses of a host that may be dialled, both families taking turns, or why there is none. Of a hop
// that is this gateway itself none may be. byAdmin exempts from the denied networks.
func (t *Table) judge(host string, port uint16, addrs []netip.Addr, byAdmin bool) ([]netip.Addr, *Problem) {
	var good []netip.Addr
	var denied netip.Addr
	for _, ip := range addrs {
		ip = ip.Unmap() // ::ffff:127.0.0.1 is 127.0.0.1 to the system that dials it
		switch {
		case undialable(ip) || !byAdmin && t.denied(ip):
			if !denied.IsValid() {
				denied = ip
			}
		case t.local(ip, port):
			return nil, &Problem{Reason: policy.MXLoop,
				Text: fmt.Sprintf("%s has the address %s, at which this gateway itself listens", host, ip)}
		case !slices.Contains(good, ip):
			good = append(good, ip)
		}
	}
	if len(good) == 0 {
		return nil, &Problem{Reason: policy.MXPrivate,
			Text: fmt.Sprintf("%s has the address %s, to which mail is never delivered", host, denied)}
	}
	good = interleave(good)
	return good[:min(len(good), t.cfg.MaxAddrs)], nil
}

// undialable reports whether ip is not the address of one host.
func undialable(ip netip.Addr) bool {
	return !ip.IsValid() || ip.IsUnspecified() || ip.IsMulticast() || ip == netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// denied reports whether ip, or an IPv4 address that a translator would make of it, lies in a denied network.
func (t *Table) denied(ip netip.Addr) bool {
	for _, p := range t.cfg.DenyNetworks {
		if p.Contains(ip.WithZone("")) {
			return true
		}
	}
	inner, ok := embedded(ip)
	return ok && (undialable(inner) || t.denied(inner))
}

// embedded returns the IPv4 address inside an IPv6 address of NAT64 (RFC 6052 §2.1), 6to4 (RFC 3056 §2) or the old
// compatible form (RFC 4291 §2.5.5.1).
func embedded(ip netip.Addr) (netip.Addr, bool) {
	if !ip.Is6() {
		return netip.Addr{}, false
	}
	b := ip.As16()
	switch {
	case netip.PrefixFrom(netip.MustParseAddr("64:ff9b::"), 96).Contains(ip.WithZone("")):
		return netip.AddrFrom4([4]byte(b[12:])), true
	case b[0] == 0x20 && b[1] == 0x02:
		return netip.AddrFrom4([4]byte(b[2:6])), true
	case [12]byte(b[:12]) == [12]byte{} && !ip.IsLoopback():
		return netip.AddrFrom4([4]byte(b[12:])), true
	}
	return netip.Addr{}, false
}

// local reports whether we listen at ip and port. Listening at every address includes the loopback.
func (t *Table) local(ip netip.Addr, port uint16) bool {
	for _, l := range t.cfg.LocalAddrs {
		if l.Port() != 0 && l.Port() != port {
			continue
		}
		at := l.Addr().Unmap()
		if at == ip || at.IsUnspecified() && ip.IsLoopback() && (ip.Is4() || at.Is6()) {
			return true
		}
	}
	return false
}

// interleave shuffles each family and lets them take turns, IPv6 first, so that a family that cannot be reached costs
// one try and not all of them.
func interleave(addrs []netip.Addr) []netip.Addr {
	rand.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })
	var v4, v6 []netip.Addr
	for _, ip := range addrs {
		if ip.Is4() {
			v4 = append(v4, ip)
		} else {
			v6 = append(v6, ip)
		}
	}
	out := make([]netip.Addr, 0, len(addrs))
	for i := range max(len(v4), len(v6)) {
		if i < len(v6) {
			out = append(out, v6[i])
		}
		if i < len(v4) {
			out = append(out, v4[i])
		}
	}
	return out
}
