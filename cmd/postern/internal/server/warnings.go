package server

import (
	"context"
	"errors"
	"fmt"

	"postern/cmd/postern/internal/confcheck"
	"postern/cmd/postern/internal/rooms"
	"postern/internal/config"
	"postern/internal/gateway/inforce"
	"postern/internal/policy"
)

// warnOfDangers logs the worst of a configuration that was taken, and what its resolvers take away.
func (g *Gateway) warnOfDangers(cfg *config.Config) {
	for _, f := range confcheck.Resolvers(cfg) {
		g.warn(f.Key, errors.New(f.What), f.Hint)
	}
	for _, f := range confcheck.Dangers(context.Background(), cfg) {
		if f.Fatal {
			g.warn("configuration", fmt.Errorf("%s: %s", f.Key, f.What), f.Hint)
		}
	}
}

func (g *Gateway) warnOfRevocation(err error) {
	g.warn("revocation", err, "make the folder crl in the data folder writable; until then lists are fetched anew "+
		"after a restart")
}

// mostOwnWarnings bounds the lines that one reload writes about rules.
const mostOwnWarnings = 20

// warnOfOwnDomains logs which rules speak about domains of our own servers, after these may have changed: such a rule
// does nothing about them.
func (g *Gateway) warnOfOwnDomains() {
	view := g.rules.Now()
	if view.Err != nil {
		return // whoever asks for rules is told
	}
	list := view.Rules.OwnWarnings(view.OwnDomains())
	for _, w := range list[:min(len(list), mostOwnWarnings)] {
		g.log.Warn("rules", "rule", w.Rule, "text", w.Text, "hint", w.Hint)
	}
	if more := len(list) - mostOwnWarnings; more > 0 {
		g.log.Warn("rules", "text", fmt.Sprintf("%d more rules speak about domains of our own; rules list names them",
			more))
	}
}

// mostTrustWarnings bounds the lines that one look at the files of trust writes.
const mostTrustWarnings = 20

// warnOfTrusts logs each file of trust that what is in force names and that cannot be read now.
func (g *Gateway) warnOfTrusts() {
	check, told := rooms.TrustIn(g.roots), 0
	for _, file := range trustsOf(g.rules.Now(), string(g.inForce.Load().Relay.ClientCertificates)) {
		wrong, hint := check(file)
		if wrong == "" {
			continue
		}
		if told++; told > mostTrustWarnings {
			g.warn("trust", errors.New("more files of trust cannot be read"), "`postern config check` names them")
			return
		}
		g.warn("trust "+file, fmt.Errorf("%s; what needs it waits, or goes on with what was read before", wrong), hint)
	}
}

// warnOfRoutes logs each route that rules in force redirect to and that the configuration does not have.
func (g *Gateway) warnOfRoutes() {
	v := g.rules.Now()
	if v.Rules == nil || v.Table == nil {
		return
	}
	for i, use := range v.Rules.Routes() {
		if i < mostTrustWarnings && !v.Table.Called(use.Route) {
			g.warn("route "+use.Route, fmt.Errorf("the rule %s sends mail to it, and the configuration does not "+
				"have it: that mail waits", use.Rule),
				"give a [[route]] that name and reload, or change the rule")
		}
	}
}

// trustsOf lists the files of trust that rules and domains in force name, and more, each once.
func trustsOf(v *inforce.View, more ...string) (out []string) {
	seen := map[string]bool{"": true, policy.PublicTrust: true}
	add := func(list []string) {
		for _, file := range list {
			if !seen[file] {
				seen[file], out = true, append(out, file)
			}
		}
	}
	if v.Rules != nil {
		add(v.Rules.Trusts())
	}
	if v.Table != nil {
		add(v.Table.Trusts())
	}
	add(more)
	return out
}
