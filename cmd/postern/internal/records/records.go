// Package records has the verb about what belongs in DNS for our own domains. It works from the configuration alone,
// without a running gateway.
//
// Without --check the lines of a zone are printed, to be pasted; with it DNS and the policy hosts are asked, and what
// is found is held against the configuration by the judge that the gateway itself asks now and then (policy/ownzone).
package records

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"

	"postern/cmd/postern/internal/cli"
	"postern/cmd/postern/internal/rooms"
	"postern/internal/config"
	"postern/internal/dns/resolver"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/policy/ownzone"
	"postern/internal/smtp"
)

// Cmd prints the records that should be in DNS, or what is wrong with those that are.
type Cmd struct {
	Domains []string `arg:"" optional:"" name:"domain" help:"Domains of the configuration; all of them where none is named."`
	Check   bool     `help:"Ask DNS and the policy hosts, and say what is missing or differs. Exit code 1 when something is wrong, 3 when something could not be found out."`
	JSON    bool     `help:"Print newline-delimited JSON objects."`
	Port    uint16   `name:"policy-port" hidden:"" default:"443" help:"Where policy hosts listen, in a laboratory."`
}

// Run prints records or findings.
func (c *Cmd) Run(a *cli.App) error {
	cfg, err := a.Load()
	if err != nil {
		return err
	}
	own, err := rooms.OwnZone(cfg)
	if err != nil {
		return cli.WithHint(err, "`postern config check` says what is wrong with the files of the configuration")
	}
	chosen, unknown, err := c.choose(own)
	if err != nil {
		return err
	}
	if len(chosen) > 0 {
		err = c.about(a, cfg, own, chosen)
	}
	if len(unknown) == 0 {
		return err
	}
	if err != nil { // which says more than that names are unknown; they are told all the same
		fmt.Fprintf(a.Stderr, "postern: %s\n", strangers(unknown))
		return err
	}
	return cli.Failure(errors.New(strangers(unknown)), "name a [[domain]] of the configuration, or none for all",
		cli.ExitShort)
}

func strangers(names []string) string {
	if len(names) == 1 {
		return names[0] + " is no domain of this gateway"
	}
	return strings.Join(names, ", ") + " are no domains of this gateway"
}

// about prints what is asked of the domains that are known.
func (c *Cmd) about(a *cli.App, cfg *config.Config, own *ownzone.Own, chosen []ownzone.Domain) error {
	if c.Check {
		return c.check(a, cfg, own, chosen)
	}
	var names []mail.Domain
	for _, d := range chosen {
		names = append(names, d.Name)
	}
	for _, r := range own.Records(names...) {
		if err := c.print(a, r); err != nil {
			return err
		}
	}
	return nil
}

// choose finds the domains that are named, all of them where none is, and the names that are none of ours.
func (c *Cmd) choose(own *ownzone.Own) (out []ownzone.Domain, unknown []string, err error) {
	if len(own.Domains) == 0 && len(c.Domains) == 0 {
		return nil, nil, cli.WithHint(errors.New("the configuration has no domain that mail is received for"),
			"add a [[domain]]; `postern config example` shows one")
	}
	if len(c.Domains) == 0 {
		return own.Domains, nil, nil
	}
	for _, text := range c.Domains {
		name, err := mail.ParseDomain(text)
		i := slices.IndexFunc(own.Domains, func(d ownzone.Domain) bool { return err == nil && d.Name == name })
		if i < 0 {
			unknown = append(unknown, smtp.Printable(text, 100))
		} else {
			out = append(out, own.Domains[i])
		}
	}
	return out, unknown, nil
}

// recordJSON is a record with --json. The names stay for ever.
type recordJSON struct {
	Domain string `json:"domain"` // "" where it belongs to a host of ours and thereby to all domains
	Name   string `json:"name"`
	Type   string `json:"type"`
	Value  string `json:"value"`
	Why    string `json:"why"`
}

func (c *Cmd) print(a *cli.App, r ownzone.Record) error {
	if c.JSON {
		return a.Object(recordJSON{r.Domain.String(), r.Name, r.Type, r.Value, r.Why})
	}
	line := r.Line()
	if r.Hint {
		line = "; " + line // somebody chooses
	}
	_, err := fmt.Fprintf(a.Stdout, "; %s\n%s\n", smtp.Printable(r.Why, 500), line)
	return err
}

// findingJSON is a finding with --json. The names stay for ever.
type findingJSON struct {
	Domain   string        `json:"domain"` // "" where it is about a host of ours and thereby about all domains
	Name     string        `json:"name"`
	Code     ownzone.Code  `json:"code"`
	Severity ownzone.Level `json:"severity"` // "error", "warning" or "unknown"
	Message  string        `json:"message"`
	There    string        `json:"there"`
	Want     string        `json:"want"`
	Hint     string        `json:"hint"`
}

// check asks, and prints what is found.
func (c *Cmd) check(a *cli.App, cfg *config.Config, own *ownzone.Own, domains []ownzone.Domain) error {
	r, err := resolver.New(rooms.Resolving(cfg))
	if err != nil {
		return err
	}
	trusted, err := rooms.OpenRoots(cfg, rooms.WarnOfRoots(a.Stderr))
	if err != nil {
		return err
	}
	pools, err := trusted.Pools(policy.PublicTrust)
	if err != nil {
		return err
	}
	roots := pools[policy.PublicTrust]
	asker := rooms.AskingOthers(r, nil, func() *x509.CertPool { return roots }, c.Port)
	seen := asker.Look(a.Ctx, own, domains, roots)
	if err := a.Ctx.Err(); err != nil {
		return err
	}
	counts := map[ownzone.Level]int{}
	for _, f := range ownzone.Judge(own, seen) {
		counts[f.Level]++
		if err := c.tell(a, f); err != nil {
			return err
		}
	}
	return c.conclude(a, counts, len(domains))
}

func (c *Cmd) tell(a *cli.App, f ownzone.Finding) error {
	if c.JSON {
		return a.Object(findingJSON{f.Domain.String(), f.Name, f.Code, f.Level, f.Text, f.There, f.Want, f.Hint})
	}
	line := fmt.Sprintf("%s: %s: %s: %s", f.Level, f.Name, f.Code, f.Text)
	if f.There != "" {
		line += "; there: " + f.There
	}
	if f.Want != "" {
		line += "; should be: " + f.Want
	}
	_, err := fmt.Fprintf(a.Stdout, "%s\n   hint: %s\n", line, f.Hint)
	return err
}

// conclude is the last line, and the exit code: what is wrong weighs more than what is not known.
func (c *Cmd) conclude(a *cli.App, counts map[ownzone.Level]int, domains int) error {
	text := ""
	switch {
	case counts[ownzone.Wrong] > 0:
		if !c.JSON {
			text = cli.Plural(counts[ownzone.Wrong], "error")
		}
		return cli.Short(text)
	case counts[ownzone.Unknown] > 0:
		return cli.Failure(fmt.Errorf("%s could not be answered", cli.Plural(counts[ownzone.Unknown], "question")), "",
			cli.ExitFail)
	case c.JSON:
		return nil
	}
	_, err := fmt.Fprintf(a.Stdout, "%s: good\n", cli.Plural(domains, "domain"))
	return err
}
