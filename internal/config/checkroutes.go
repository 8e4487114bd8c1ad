package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"postern/internal/mail"
)

func (c *Config) checkRoutes(d *decoder) {
	seen := map[string]int{}
	for i := range c.Route {
		r := &c.Route[i]
		path := fmt.Sprintf("route[%d]", i)
		c.checkRouteName(d, i)
		if len(r.Match) == 0 && r.Name == "" {
			d.fail(path+".match", "must name the domains of this route",
				`write match = ["partner.test", "*.partner.test"]`)
		}
		checkSource(d, path+".source", r.Source)
		if len(r.To) == 0 && len(r.Without) == 0 && r.Signed8Bit == "" && len(r.Source) == 0 {
			d.fail(path+".to", "must name the hosts that take this mail", `write to = ["mx.partner.test:25"]`)
		}
		for k := range c.Route[:i] {
			if other := &c.Route[k]; len(r.To) > 0 && slices.Equal(r.To, other.To) &&
				(!slices.Equal(r.Without, other.Without) || r.Signed8Bit != other.Signed8Bit) {
				d.fail(path+".to", fmt.Sprintf("route[%d] names the same hosts and speaks to them in another way; "+
					"mail for both shares connections", k),
					"write the same `without` and `signed_8bit` in both")
			}
		}
		for j, m := range r.Match {
			at := fmt.Sprintf("%s.match[%d]", path, j)
			name, err := matchPattern(m)
			if err != nil {
				d.fail(at, err.Error(), `write "partner.test", "*.partner.test" or "*"`)
				continue
			}
			if k, twice := seen[name]; twice {
				d.fail(at, fmt.Sprintf("%s already has route[%d]", name, k), "")
			}
			seen[name], r.Match[j] = i, name
		}
	}
}

// checkRouteName checks the name of route i, by which rules find it.
func (c *Config) checkRouteName(d *decoder, i int) {
	r, path := &c.Route[i], fmt.Sprintf("route[%d].name", i)
	if r.Name == "" {
		return
	}
	if len(r.Name) > 40 || strings.Trim(r.Name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "" {
		d.fail(path, fmt.Sprintf("%q is no name for a route", r.Name),
			`write 1 to 40 lower-case letters, digits and any of -_. : name = "portal"`)
	}
	if len(r.To) == 0 {
		d.fail(fmt.Sprintf("route[%d].to", i), "must name the hosts: rules redirect mail to this route",
			`write to = ["portal.example.com:25"]`)
	}
	if slices.ContainsFunc(c.Route[:i], func(o Route) bool { return o.Name == r.Name }) {
		d.fail(path, fmt.Sprintf("two routes have the name %q", r.Name), "give each a name of its own")
	}
}

// matchPattern brings a route's pattern to its canonical form.
func matchPattern(m string) (string, error) {
	if m == "*" {
		return m, nil
	}
	rest, below := strings.CutPrefix(m, "*.")
	name, err := mail.ParseDomain(rest)
	if err != nil {
		return "", err
	}
	if below {
		return "*." + name.String(), nil
	}
	return name.String(), nil
}

// checkSource examines where connections are to come from. Whether this machine has the addresses is seen at the start.
func checkSource(d *decoder, path string, addrs []netip.Addr) {
	const hint = `write source = ["192.0.2.5", "2001:db8::5"], of this machine, or leave it out`
	for i, a := range addrs {
		at := fmt.Sprintf("%s[%d]", path, i)
		if a = a.Unmap(); a.IsUnspecified() || a.IsMulticast() || a.Zone() != "" {
			d.fail(at, fmt.Sprintf("%s is not an address that connections can come from", a), hint)
		}
		if slices.ContainsFunc(addrs[:i], func(b netip.Addr) bool { return b.Unmap().BitLen() == a.BitLen() }) {
			d.fail(at, fmt.Sprintf("%s is another address of the same family: there can be one of IPv4 and one of IPv6",
				a), hint)
		}
	}
}
