package danger

import (
	"fmt"
	"slices"

	"postern/internal/config"
)

// acmeDangers finds what keeps the CA from finding this gateway.
func acmeDangers(c *config.Config) (out []config.Finding) {
	a := &c.TLS.ACME
	answers := 0
	say := func(key, what, hint string) {
		out = append(out, config.Finding{Key: key, What: what, Hint: hint})
	}
	for _, one := range []struct {
		challenge config.Challenge
		mode      config.Mode
		port      string
	}{{config.HTTP01, config.ModeACME, "80"}, {config.TLSALPN01, config.ModeWeb, "443"}} {
		switch {
		case !a.By(one.challenge):
		case slices.ContainsFunc(c.Listen, func(l config.Listen) bool { return l.Mode == one.mode }):
			answers++
		default:
			say("tls.acme.challenges", fmt.Sprintf("nothing answers %s: no listener has mode %q", one.challenge,
				one.mode),
				fmt.Sprintf("write [[listen]] mode = %q; the CA comes to port %s of every name", one.mode, one.port))
		}
	}
	if a.Used() && answers == 0 {
		for i := range out {
			out[i].Fatal = true
			out[i].What += ", so there will be no certificate"
		}
	}
	for i, l := range c.Listen {
		if l.Mode == config.ModeACME && !a.By(config.HTTP01) {
			say(fmt.Sprintf("listen[%d].mode", i),
				`nothing is served there: no CA is asked, or "http-01" is not among the challenges`,
				"write [tls] acme, or take the listener out")
		}
	}
	if a.Used() && !slices.Contains(a.Names, c.Hostname) {
		say("tls.acme.names", fmt.Sprintf("the hostname %s is not among the names", c.Hostname),
			"put it first, or leave names out")
	}
	return out
}
