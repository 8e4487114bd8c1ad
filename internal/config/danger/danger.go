package danger

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"postern/internal/config"
	"postern/internal/platform/publicaddr"
	"postern/internal/platform/sandbox"
	"postern/internal/policy"
	"postern/internal/policy/sts"
)

// Of names what a gateway of the configuration would do as it is told and what is hardly meant.
func Of(c *config.Config) []config.Finding {
	return slices.Concat(relayDangers(c), hostBits(c), nameDangers(c), adminDangers(c), listenDangers(c),
		proxyDangers(c), deliveryDangers(c), stsDangers(c), acmeDangers(c), fileDangers(c), storeDangers(c.Store))
}

// Public networks with at most so many bits hold whole countries: who lets one relay lets strangers relay. Those of
// fewer than wideBits are worth a look.
const (
	openBits4, openBits6 = 8, 19
	wideBits4, wideBits6 = 16, 32
)

// relayDangers finds networks of strangers among those that may relay.
func relayDangers(c *config.Config) (out []config.Finding) {
	const hint = `name the networks of your own servers alone, as in networks = ["10.0.0.0/8", "192.0.2.25/32"]`
	for _, every := range []string{"0.0.0.0/0", "::/0"} {
		if publicaddr.Covered(netip.MustParsePrefix(every), publicaddr.Unmapped(c.Relay.Networks)) {
			out = append(out, config.Finding{Key: "relay.networks", Fatal: true, Hint: hint,
				What: fmt.Sprintf("an open relay: every address of %s may relay, so the whole Internet can send "+
					"mail through this gateway", every)})
		}
	}
	if len(out) > 0 {
		return out
	}
	for i, n := range publicaddr.Unmapped(c.Relay.Networks) {
		key := fmt.Sprintf("relay.networks[%d]", i)
		open, wide := openBits4, wideBits4
		if n.Addr().Is6() {
			open, wide = openBits6, wideBits6
		}
		switch {
		case !public(n):
		case n.Bits() <= open:
			out = append(out, config.Finding{Key: key, Fatal: true, Hint: hint,
				What: fmt.Sprintf("an open relay for strangers: %s is a part of the public Internet, and everybody "+
					"there may relay", n)})
		case n.Bits() < wide:
			out = append(out, config.Finding{Key: key, Hint: hint,
				What: fmt.Sprintf("%s are many public addresses, and everybody there may relay", n)})
		case c.Relay.Require < policy.Encrypted:
			out = append(out, config.Finding{Key: key,
				Hint: `write require = "encrypted" below [relay], or name private networks`,
				What: fmt.Sprintf("%s is public, and mail may be handed in from there without TLS", n)})
		}
	}
	return out
}

// insiders are networks of which nothing reaches the public Internet (RFC 6890 §2.2.2 and others).
func insiders() (out []netip.Prefix) {
	for _, n := range []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16",
		"100.64.0.0/10", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "198.18.0.0/15",
		"::1/128", "fc00::/7", "fe80::/10", "2001:db8::/32", "3fff::/20"} {
		out = append(out, netip.MustParsePrefix(n))
	}
	return out
}

// public reports whether a network has addresses of the public Internet.
func public(n netip.Prefix) bool {
	return !slices.ContainsFunc(insiders(), func(in netip.Prefix) bool {
		return in.Bits() <= n.Bits() && in.Contains(n.Addr())
	})
}

// hostBits finds networks that say one thing and mean another: 10.1.2.3/8 is all of 10.0.0.0/8.
func hostBits(c *config.Config) (out []config.Finding) {
	look := func(key string, list []netip.Prefix) {
		for i, n := range list {
			if n != n.Masked() {
				out = append(out, config.Finding{Key: fmt.Sprintf("%s[%d]", key, i), Fatal: true,
					What: fmt.Sprintf("%s names one address and means all of %s", n, n.Masked()),
					Hint: fmt.Sprintf("write %q, or %q for the one address", n.Masked(),
						netip.PrefixFrom(n.Addr(), n.Addr().BitLen()))})
			}
		}
	}
	look("relay.networks", c.Relay.Networks)
	for i, r := range c.RelayClient {
		look(fmt.Sprintf("relay_client[%d].networks", i), r.Networks)
	}
	for i, l := range c.Listen {
		look(fmt.Sprintf("listen[%d].proxy", i), l.Proxy)
	}
	look("delivery.deny_networks", c.Delivery.DenyNetworks)
	look("delivery.revocation_networks", c.Delivery.RevocationNetworks)
	look("policies.networks", c.Policies.Networks)
	return out
}

// nowhere are domains of which no other server finds a name: those kept for examples and tests, and those of one
// machine or one house (RFC 2606 §2, RFC 6761 §6, RFC 6762 §3, RFC 8375 §3).
func nowhere() []string {
	return []string{"localhost", "localdomain", "local", "internal", "lan", "home", "home.arpa", "invalid", "example",
		"example.com", "example.net", "example.org"}
}

// nameDangers finds names by which other servers cannot find this one. Much of the world refuses mail of such a HELO.
func nameDangers(c *config.Config) (out []config.Finding) {
	look := func(key, name string) {
		what := ""
		switch {
		case !strings.Contains(name, "."):
			what = fmt.Sprintf("%s is a single label: other servers cannot find it, and many refuse mail from it", name)
		case slices.ContainsFunc(nowhere(), func(d string) bool { return name == d || strings.HasSuffix(name, "."+d) }):
			what = fmt.Sprintf("%s is a name that no other server can find, and many refuse mail from it", name)
		}
		if what != "" {
			out = append(out, config.Finding{Key: key, What: what,
				Hint: "write the full name of this gateway in DNS, the one its address leads back to"})
		}
	}
	look("hostname", c.Hostname.String())
	if c.Delivery.Helo != c.Hostname {
		look("delivery.helo", c.Delivery.Helo.String())
	}
	return out
}

// adminDangers finds an admin listener that others than this machine can reach in the clear.
func adminDangers(c *config.Config) []config.Finding {
	host, _, err := net.SplitHostPort(c.Admin.Listen)
	if err != nil || c.Admin.TLS || publicaddr.Loopback(host) {
		return nil
	}
	const hint = `write tls = true below [admin], or listen = "127.0.0.1:8025"`
	if c.Admin.Console {
		return []config.Finding{{Key: "admin.listen", Fatal: true, Hint: hint, What: fmt.Sprintf(
			"%s is no loopback address and TLS is off: the console is not served there, and metrics and health are "+
				"shown to everybody in the clear", c.Admin.Listen)}}
	}
	return []config.Finding{{Key: "admin.listen", Hint: hint, What: fmt.Sprintf("metrics and health are shown to "+
		"everybody who reaches %s, in the clear", c.Admin.Listen)}}
}

// listenDangers finds listeners that speak in another way than whoever connects to their port expects.
func listenDangers(c *config.Config) (out []config.Finding) {
	for i, l := range c.Listen {
		key := fmt.Sprintf("listen[%d]", i)
		_, port, _ := net.SplitHostPort(l.Address)
		say := func(field, what, hint string) {
			out = append(out, config.Finding{Key: key + "." + field, What: what, Hint: hint})
		}
		switch {
		case l.Mode == config.ModeWeb && port != "443":
			say("address", "others ask for a policy at port 443 alone (RFC 8461 §3.3): it has to be forwarded to "+
				"port "+port, `write address = ":443"`)
		case l.Mode == config.ModeACME && port != "80":
			say("address", "a CA comes to port 80 alone (RFC 8555 §8.3): it has to be forwarded to port "+port,
				`write address = ":80"`)
		case port == "443" && l.Mode != config.ModeWeb:
			say("mode", fmt.Sprintf("port 443 is for HTTPS, and nobody expects mode %q there", l.Mode),
				`write mode = "web"`)
		case port == "25" && l.Mode != config.ModeSMTP:
			say("mode", fmt.Sprintf("other mail servers send to port 25 and cannot use mode %q: no mail of the "+
				"world arrives there", l.Mode), `write mode = "smtp"`)
		case port == "25" && l.RequireTLS:
			say("require_tls", "other mail servers without TLS cannot send to port 25 then (RFC 3207 §4)",
				"leave require_tls out; [relay] require is for your own clients")
		case port == "465" && l.Mode != config.ModeSMTPS:
			say("mode", "clients of port 465 begin with TLS at once (RFC 8314 §3.3)", `write mode = "smtps"`)
		case (port == "587" || port == "25") && l.Mode == config.ModeSMTPS:
			say("mode", "clients of port "+port+" do not begin with TLS", `write mode = "submission"`)
		case port == "587" && l.Mode == config.ModeSMTP && !l.RequireTLS:
			say("mode", "port 587 is for people's programs, which should have to use TLS and a password",
				`write mode = "submission"`)
		}
	}
	return out
}

// shortMaxAge is what a policy that is enforced should be kept for at least: who hides it for so long has undone it.
const shortMaxAge = 24 * time.Hour

// stsDangers finds policies that protect nobody, and those that keep our own mail away.
func stsDangers(c *config.Config) (out []config.Finding) {
	served := slices.ContainsFunc(c.Listen, func(l config.Listen) bool { return l.Mode == config.ModeWeb })
	published := 0
	for i := range c.Domain {
		own := &c.Domain[i]
		say := func(field, what, hint string) {
			out = append(out, config.Finding{Key: fmt.Sprintf("domain[%d].sts%s", i, field), What: what, Hint: hint})
		}
		p, err := own.STS.Policy()
		if err != nil || !own.STS.Published() {
			continue
		}
		published++
		if !served {
			say("", fmt.Sprintf("this gateway does not serve the policy of %s: no listener has mode \"web\"", own.Name),
				`write [[listen]] mode = "web", unless another server has it at https://mta-sts.`+own.Name.String())
		}
		if p.Mode != sts.None && !p.Matches(c.Hostname) {
			say(".mx", fmt.Sprintf("the policy does not name %s, the hostname: senders that keep to it do not "+
				"deliver here", c.Hostname),
				fmt.Sprintf("add %q to mx, unless MX records call this gateway something else", c.Hostname))
		}
		if p.Mode == sts.Enforce && p.MaxAge < shortMaxAge {
			say(".max_age", "others forget the policy within a day: who keeps it from them for so long undoes it "+
				"(RFC 8461 §10.2)", `write max_age = "168h" or more`)
		}
	}
	for i, l := range c.Listen {
		if l.Mode == config.ModeWeb && published == 0 && !c.TLS.PartnerPage && !c.TLSRPT.ReceiveHTTPS &&
			!c.TLS.ACME.By(config.TLSALPN01) {
			out = append(out, config.Finding{Key: fmt.Sprintf("listen[%d].mode", i),
				What: "nothing is served there: no [[domain]] has a policy (sts), and partner_page is off",
				Hint: `write sts = { mode = "testing" } in a [[domain]], or take the listener out`})
		}
	}
	return out
}

// deliveryDangers finds ways for mail to come where it should not.
func deliveryDangers(c *config.Config) (out []config.Finding) {
	if !publicaddr.Covered(netip.MustParsePrefix("127.0.0.0/8"), publicaddr.Unmapped(c.Delivery.DenyNetworks)) {
		out = append(out, config.Finding{Key: "delivery.deny_networks",
			Hint: "leave the key out, or keep its default in the list",
			What: "anybody can name this machine itself, 127.0.0.1, as the mail host of a domain, and mail goes there"})
	}
	for i := range c.Route {
		for j, m := range c.Route[i].Match {
			if slices.ContainsFunc(c.Domain, func(d config.Domain) bool { return d.Name.String() == m }) {
				out = append(out, config.Finding{Key: fmt.Sprintf("route[%d].match[%d]", i, j),
					Hint: "take it out of the route",
					What: m + " is a [[domain]], and its deliver_to says where its mail goes"})
			}
		}
	}
	if d := c.Delivery.DelayNotice.Duration; d > 0 && d >= c.Delivery.Lifetime.Duration {
		out = append(out, config.Finding{Key: "delivery.delay_notice",
			What: "no sender is told of a delay: mail is returned before", Hint: `write delay_notice = "2h", or 0`})
	}
	return out
}

// fileDangers looks at the rights of the configuration file, and at the user the process stays.
func fileDangers(c *config.Config) (out []config.Finding) {
	if c.Process.User == "root" {
		out = append(out, config.Finding{Key: "process.user", What: "the gateway stays root all the time",
			Hint: "write an ordinary user, as the package's postern"})
	}
	info, err := os.Stat(c.Path())
	if err != nil || c.Path() == "" {
		return out
	}
	switch mode, others := info.Mode().Perm(), sandbox.OthersMay(info); {
	case others&0o002 != 0:
		out = append(out, config.Finding{Key: "process", Fatal: true,
			What: fmt.Sprintf("%s can be written by everyone on this machine (mode %04o)", c.Path(), mode),
			Hint: "`chmod o= " + c.Path() + "`"})
	case len(c.User) > 0 && others != 0:
		out = append(out, config.Finding{Key: "user", What: fmt.Sprintf("%s has password hashes and can be read or "+
			"written by everyone on this machine (mode %04o)", c.Path(), mode), Hint: "`chmod o= " + c.Path() + "`"})
	}
	return out
}
