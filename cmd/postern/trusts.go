package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"postern/internal/config"
	"postern/internal/gateway/inforce"
	"postern/internal/operator/api"
	"postern/internal/policy"
	"postern/internal/policy/certcheck/roots"
	"postern/internal/policy/rules"
)

// The law of files that are named as trust. One that cannot be read is our fault: mail that needs it waits with
// policy-unavailable, and nobody else is told to act. So it is said where it can still be mended: rules that name one are
// refused when they are applied, edited or previewed, `postern config check` counts it as a problem, and at the start, at a
// reload and when it changes the log warns of each that what is in force names.

// trustIn says what is wrong with a file of CA certificates as it is now, and what to do.
func trustIn(s *roots.Store) func(file string) (wrong, hint string) {
	return func(file string) (wrong, hint string) {
		err := s.Check(file)
		if e, ok := errors.AsType[*roots.Error](err); ok {
			return fmt.Sprintf("%s: %v", e.File, e.Err), e.Hint
		}
		if err != nil {
			return err.Error(), ""
		}
		return "", ""
	}
}

// mostTrustWarnings bounds the lines that one look at the files of trust writes.
const mostTrustWarnings = 20

// warnOfTrusts logs each file of trust that what is in force names and that cannot be read now.
func (g *gateway) warnOfTrusts() {
	check, told := trustIn(g.roots), 0
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

// askedWithin is how long a check of the configuration waits for the running gateway.
const askedWithin = 5 * time.Second

// ruleFiles says which files of trust cannot be used that rules in force name, where a gateway runs that can be asked for its
// rules.
func (a *app) ruleFiles(cfg *config.Config) (out []config.Finding) {
	ctx, cancel := context.WithTimeout(a.ctx, askedWithin)
	defer cancel()
	client := api.Dial(cfg.Socket())
	defer client.Close()
	view, err := client.Rules(ctx)
	if err != nil {
		return nil // none runs, or it is for others to ask
	}
	trusted, err := openRoots(cfg, warnOfRoots(a.stderr))
	if err != nil {
		return nil // told as a problem of trust.roots
	}
	var broken *rules.ParseError
	if !errors.As(rules.CheckFiles("rules", []byte(view.Text), trustIn(trusted)), &broken) {
		return nil
	}
	for _, p := range broken.Problems {
		out = append(out, config.Finding{Key: fmt.Sprintf("rules, line %d of revision %d", p.Line, view.Revision), Fatal: true,
			What: p.What + "; mail that needs it waits with policy-unavailable"})
	}
	return out
}
