package resolver

import (
	"bufio"
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// parseServer reads "ip", "ip:port" or "[ip]:port".
func parseServer(text string) (netip.AddrPort, error) {
	bare := text
	if strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]") {
		bare = text[1 : len(text)-1]
	}
	if ip, err := netip.ParseAddr(bare); err == nil {
		return netip.AddrPortFrom(ip.Unmap(), 53), nil
	}
	addr, err := netip.ParseAddrPort(text)
	if err != nil || addr.Port() == 0 {
		return netip.AddrPort{}, fmt.Errorf("%q is no DNS server: write an IP address, with a port if it is not "+
			"53, such as \"192.0.2.1\" or \"[2001:db8::1]:5353\"", text)
	}
	return netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port()), nil
}

// parseResolvConf reads the nameserver lines and "options trust-ad" of resolv.conf(5); what it does not know it skips,
// as every reader of that file does.
func parseResolvConf(text []byte) (addrs []netip.AddrPort, trustAD bool) {
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		switch {
		case len(fields) >= 2 && fields[0] == "nameserver":
			if addr, err := parseServer(fields[1]); err == nil {
				addrs = append(addrs, addr)
			}
		case len(fields) >= 2 && fields[0] == "options":
			trustAD = trustAD || slices.Contains(fields[1:], "trust-ad")
		}
	}
	return addrs, trustAD
}
