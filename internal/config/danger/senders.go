package danger

import (
	"fmt"
	"net/netip"
	"slices"

	"postern/internal/config"
	"postern/internal/platform/publicaddr"
)

// Senders says who may send as any domain, and which bindings return no reports. None of it is fatal.
func Senders(c *config.Config) []config.Finding {
	var out []config.Finding
	loose := func(key, who string) {
		out = append(out, config.Finding{Key: key, What: who + " may send as any domain; bind it by a [[relay_client]]",
			Hint: "write [[relay_client]] with its domains as senders, \"<>\" among them"})
	}
	var networks []netip.Prefix
	users, certificates := map[string]bool{}, false
	for i, r := range c.RelayClient {
		for _, n := range r.Networks {
			networks = append(networks, n.Masked())
		}
		for _, u := range r.Users {
			users[u] = true
		}
		certificates = certificates || slices.Contains(r.Certificates, "*")
		if !slices.ContainsFunc(r.Senders, func(s config.Sender) bool { return s.Null || s.Any }) {
			out = append(out, config.Finding{Key: fmt.Sprintf("relay_client[%d].senders", i),
				What: `lacks "<>": reports and receipts of these clients, which have the null sender, are refused`,
				Hint: `add "<>" to senders`})
		}
	}
	for i, n := range c.Relay.Networks {
		if !publicaddr.Covered(n.Masked(), networks) {
			loose(fmt.Sprintf("relay.networks[%d]", i), "some or all of "+n.String())
		}
	}
	for i, u := range c.User {
		if !users[u.Name] {
			loose(fmt.Sprintf("user[%d]", i), fmt.Sprintf("the user %q", u.Name))
		}
	}
	if c.Relay.ClientCertificates != "" && !certificates {
		loose("relay.client_certificates",
			`every certificate that no [[relay_client]] names (certificates = ["*"] is all of the others)`)
	}
	return out
}
