package danger

import (
	"fmt"
	"net/netip"

	"postern/internal/config"
	"postern/internal/platform/publicaddr"
)

// proxyDangers finds networks from which too many may say who a client is, and balancers that may relay themselves.
func proxyDangers(c *config.Config) (out []config.Finding) {
	const hint = `name the load balancers alone, as in proxy = ["192.0.2.10/32"]`
	for i, l := range c.Listen {
		key := fmt.Sprintf("listen[%d].proxy", i)
		var relays []netip.Prefix // who may relay there
		if l.Mode.TakesMail() {
			relays = publicaddr.Unmapped(c.Relay.Networks)
		}
		if every := proxyOfAll(key, l.Proxy, len(relays) > 0, hint); len(every) > 0 {
			out = append(out, every...)
			continue
		}
		for j, n := range publicaddr.Unmapped(l.Proxy) {
			at := fmt.Sprintf("%s[%d]", key, j)
			wide := wideBits4
			if n.Addr().Is6() {
				wide = wideBits6
			}
			if public(n) && n.Bits() < wide {
				out = append(out, config.Finding{Key: at, Hint: hint,
					What: fmt.Sprintf("%s are many public addresses, and everybody there may say to be any client", n)})
				continue
			}
			for _, r := range relays {
				if n.Overlaps(r) {
					out = append(out, config.Finding{Key: at,
						Hint: "take the load balancers out of relay.networks: their clients are known by their own " +
							"addresses",
						What: fmt.Sprintf("%s may relay (relay.networks has %s), and so may every client that the "+
							"load balancer there does not name (UNKNOWN)", n, r)})
					break
				}
			}
		}
	}
	return out
}

// proxyOfAll finds a listener at which everybody may say to be any client.
func proxyOfAll(key string, networks []netip.Prefix, relays bool, hint string) (out []config.Finding) {
	for _, every := range []string{"0.0.0.0/0", "::/0"} {
		if !publicaddr.Covered(netip.MustParsePrefix(every), publicaddr.Unmapped(networks)) {
			continue
		}
		f := config.Finding{Key: key, Hint: hint,
			What: fmt.Sprintf("every address of %s may say to be any client: limits of clients, log and trace tell "+
				"what a stranger wrote", every)}
		if relays {
			f.Fatal = true
			f.What = fmt.Sprintf("an open relay: every address of %s may say to be any client, one of "+
				"relay.networks too", every)
		}
		out = append(out, f)
	}
	return out
}
