package rulevalue

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"postern/internal/mail"
	"postern/internal/platform/tomlfile"
)

// ReadDomains reads domains, each once.
func ReadDomains(p *tomlfile.Problems, e tomlfile.Entry) (out []mail.Domain, ok bool) {
	p.Strings(e, func(value string, at tomlfile.Span) {
		d, err := mail.ParseDomain(value)
		_, literal := d.Literal()
		switch {
		case strings.HasPrefix(value, "*."):
			p.Add(at, tomlfile.Quote(tomlfile.Clip(value))+" in domain: the domain is written alone",
				fmt.Sprintf("write domain = [%s] and below = true", tomlfile.Quote(tomlfile.Clip(value[2:]))))
		case err != nil || literal || strings.ContainsAny(value, "*?@:"):
			p.Add(at, tomlfile.Quote(tomlfile.Clip(value))+" in domain is no domain",
				`write domains: domain = ["example.com"]`)
		case !slices.Contains(out, d):
			out = append(out, d)
		}
	})
	return out, true
}

// ReadNetworks reads addresses and networks.
func ReadNetworks(p *tomlfile.Problems, e tomlfile.Entry) (out []netip.Prefix, ok bool) {
	p.Strings(e, func(value string, at tomlfile.Span) {
		if ip, err := netip.ParseAddr(value); err == nil && ip.Zone() == "" {
			ip = ip.Unmap()
			out = append(out, netip.PrefixFrom(ip, ip.BitLen()))
			return
		}
		network, err := netip.ParsePrefix(value)
		switch {
		case err != nil || network.Addr().Is4In6():
			p.Add(at, fmt.Sprintf("%s is no IP address or network", tomlfile.Quote(tomlfile.Clip(value))),
				"write 192.0.2.7, 10.0.0.0/8 or 2001:db8::/32")
		case network != network.Masked():
			p.Add(at, fmt.Sprintf("the network %s has bits beyond its length", tomlfile.Quote(tomlfile.Clip(value))),
				"write "+network.Masked().String())
		default:
			out = append(out, network)
		}
	})
	return out, true
}

// NetworkTexts prints networks as such.
func NetworkTexts(networks []netip.Prefix) (out []string) {
	for _, n := range networks {
		out = append(out, n.String())
	}
	return out
}

// NetworksTOML prints networks, those of one address as that address.
func NetworksTOML(networks []netip.Prefix) string {
	values := make([]string, len(networks))
	for i, p := range networks {
		values[i] = p.String()
		if p.IsSingleIP() {
			values[i] = p.Addr().String()
		}
	}
	return tomlfile.QuoteList(values)
}
