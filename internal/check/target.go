package check

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"postern/internal/mail"
)

// Target is what is checked: a domain with all its mail hosts, or one host.
type Target struct {
	// Text is what was asked for, in canonical form.
	Text string
	// Domain is set for a domain; Host or IP for a host, of which Port 0 is the configured one.
	Domain mail.Domain
	Host   mail.Domain
	IP     netip.Addr
	Port   uint16
}

// Parse reads "example.com" or "anna@example.com" (the domain's mail hosts), "mx.example.com:25", "192.0.2.1",
// "192.0.2.1:25", "2001:db8::1" or "[2001:db8::1]:25" (that host).
func Parse(text string) (Target, error) {
	text = strings.TrimSpace(text)
	if i := strings.LastIndexByte(text, '@'); i >= 0 {
		text = text[i+1:]
	}
	if ip, port, ok := parseIP(text); ok {
		return Target{Text: addressText(ip, port), IP: ip, Port: port}, nil
	}
	host, portText, isHost := strings.Cut(text, ":")
	d, err := mail.ParseDomain(host)
	if err != nil || strings.HasPrefix(host, "-") { // an option at the wrong place, more likely than such a domain
		return Target{}, fmt.Errorf("%q is neither a domain nor a host with a port", mail.Clip(text, 77))
	}
	if !isHost {
		return Target{Text: d.String(), Domain: d}, nil
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil || port == 0 {
		return Target{}, fmt.Errorf("%q has no port between 1 and 65535 after the colon", mail.Clip(text, 77))
	}
	return Target{Text: d.String() + ":" + strconv.FormatUint(port, 10), Host: d, Port: uint16(port)}, nil
}

// parseIP reads an address in any spelling, with or without a port.
func parseIP(text string) (netip.Addr, uint16, bool) {
	if at, err := netip.ParseAddrPort(text); err == nil {
		return at.Addr().Unmap(), at.Port(), at.Port() > 0
	}
	inner := strings.TrimSuffix(strings.TrimPrefix(text, "["), "]")
	if len(inner) > 5 && strings.EqualFold(inner[:5], "IPv6:") {
		inner = inner[5:]
	}
	ip, err := netip.ParseAddr(inner)
	return ip.Unmap(), 0, err == nil
}

// addressText is an address in canonical form, IPv6 always in brackets.
func addressText(ip netip.Addr, port uint16) string {
	text := netip.AddrPortFrom(ip, port).String()
	if port == 0 {
		text = strings.TrimSuffix(text, ":0")
	}
	return text
}
