package route

import (
	"context"
	"net/netip"
	"os"
	"strings"

	"postern/internal/dns"
	"postern/internal/mail"
)

// lookupNamed finds the addresses of a host an administrator named: in the hosts file, as the loopback, in DNS. The
// file is small and read each time, so that a change needs no restart.
func (t *Table) lookupNamed(ctx context.Context, host mail.Domain) (dns.Addresses, *Problem) {
	if t.cfg.HostsFile != "none" {
		text, err := os.ReadFile(t.cfg.HostsFile)
		if addrs := searchHosts(string(text), host); err == nil && len(addrs) > 0 {
			return given(addrs), nil
		}
	}
	if isLocalhost(host) {
		return given(loopback()), nil
	}
	found, _, problem := t.lookup(ctx, host)
	return found, problem
}

// given are addresses that DNS was not asked for.
func given(addrs []netip.Addr) (out dns.Addresses) {
	out.V4.Addrs = addrs
	return out
}

// searchHosts returns the addresses that text, in the form of hosts(5), gives for host.
func searchHosts(text string, host mail.Domain) []netip.Addr {
	var found []netip.Addr
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		ip, err := netip.ParseAddr(fields[0])
		if err != nil {
			continue
		}
		for _, name := range fields[1:] {
			if d, err := mail.ParseDomain(name); err == nil && d == host {
				found = append(found, ip)
			}
		}
	}
	return found
}

// isLocalhost reports whether d is localhost or below it, which always is the loopback (RFC 6761 §6.3).
func isLocalhost(d mail.Domain) bool {
	localhost := mail.MustDomain("localhost")
	return d == localhost || d.Below(localhost)
}

func loopback() []netip.Addr {
	return []netip.Addr{netip.IPv6Loopback(), netip.AddrFrom4([4]byte{127, 0, 0, 1})}
}
