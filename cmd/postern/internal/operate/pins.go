package operate

import (
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"postern/cmd/postern/internal/cli"
	"postern/cmd/postern/internal/remote"
	"postern/internal/operator/api"
	"postern/internal/operator/mailhosts"
	"postern/internal/policy/mxpins"
)

// peersPinsCmd shows which names of mail hosts are known.
type peersPinsCmd struct {
	remote.Gateway
	Domain string `arg:"" optional:"" help:"A recipient domain. Without it, every one."`
}

// Run lists.
func (c *peersPinsCmd) Run(a *cli.App) error {
	list := func(client *api.Client) iter.Seq2[mxpins.Pin, error] { return client.Pins(a.Ctx, c.Domain) }
	rows := a.NewTable(cli.Col("DOMAIN", 20), cli.Col("RULE", 14), cli.Col("MAIL HOSTS BELOW", 18),
		cli.Col("SINCE", 10), cli.Col("BY", 0))
	n, err := remote.List(a, &c.Gateway, list, func(p *mxpins.Pin) {
		rows.Row(p.Domain, p.Rule, p.Name, dayText(&p.Since), p.By)
	})
	if err == nil && n == 0 && !c.JSON {
		fmt.Fprintln(a.Stdout, "no names of mail hosts are remembered; the first delivery under a rule does it")
	}
	return err
}

// peersApproveCmd accepts mail hosts of a domain.
type peersApproveCmd struct {
	remote.Gateway
	Domain string   `arg:"" help:"The recipient domain."`
	Name   []string `arg:"" optional:"" help:"What is approved: a registrable domain, or a mail host below it. Without it, what could be approved is listed."`
	Rule   string   `placeholder:"NAME" help:"Only for this rule. Otherwise for every rule that remembers mail hosts of the domain."`
}

// Run approves. Nothing new to approve is exit code 1: what was wanted was not there.
func (c *peersApproveCmd) Run(a *cli.App) error {
	if len(c.Name) == 0 {
		out, err := remote.Ask(a, &c.Gateway, func(client *api.Client) (mailhosts.Candidates, error) {
			return client.Candidates(a.Ctx, c.Domain)
		})
		if err != nil {
			return err
		}
		return c.list(a, &out)
	}
	out, err := remote.Ask(a, &c.Gateway, func(client *api.Client) (mailhosts.ApproveResult, error) {
		return client.Approve(a.Ctx, mailhosts.ApproveRequest{Domain: c.Domain, Names: c.Name, Rule: c.Rule})
	})
	if err != nil {
		return err
	}
	if c.JSON {
		if err := a.Object(out); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(a.Stdout, "mail hosts of %s now: %s\n", out.Domain, strings.Join(out.Hosts, ", "))
		for _, p := range out.Approved {
			fmt.Fprintf(a.Stdout, "+ %s  known to rule %s\n", p.Name, p.Rule)
		}
		if len(out.Approved) > 0 {
			fmt.Fprintf(a.Stdout, "%s made due\n", cli.Plural(out.Retried, "delivery"))
		}
	}
	if len(out.Approved) == 0 {
		return cli.Failure(errors.New("all of these are known already; nothing was approved"),
			"postern peers pins "+out.Domain, cli.ExitShort)
	}
	return nil
}

// list shows what could be approved. It is exit code 1: nothing was approved.
func (c *peersApproveCmd) list(a *cli.App, out *mailhosts.Candidates) error {
	if c.JSON {
		if err := a.Object(out); err != nil {
			return err
		}
	} else {
		for i := range out.Candidates {
			showCandidate(a, &out.Candidates[i])
		}
	}
	var now []string
	for _, k := range out.Candidates {
		if len(k.Hosts) > 0 {
			now = append(now, k.Name)
		}
	}
	switch {
	case out.Problem != "":
		return cli.Failure(errors.New("nothing was approved: "+out.Problem), "postern peers pins "+out.Domain,
			cli.ExitFail)
	case len(now) > 0:
		return cli.Failure(errors.New("nothing was approved; ask the partner which of these are theirs, and name them"),
			"postern peers approve "+out.Domain+" "+strings.Join(now, " "), cli.ExitShort)
	}
	return cli.Failure(errors.New("DNS names no mail hosts of "+out.Domain+" that are not known already; nothing "+
		"was approved"),
		"postern peers pins "+out.Domain, cli.ExitShort)
}

func showCandidate(a *cli.App, k *mailhosts.Candidate) {
	fmt.Fprintln(a.Stdout, k.Name)
	now := "none of its hosts"
	if len(k.Hosts) > 0 {
		now = strings.Join(k.Hosts, ", ")
	}
	a.Detail("  ", "DNS now", now)
	if k.SeenAt != nil {
		a.Detail("  ", "Seen", "beside the host used first, "+cli.Clock(k.SeenAt))
	}
	if k.Waiting > 0 {
		a.Detail("  ", "Waiting", fmt.Sprintf("%s since %s met it, last %s", cli.Plural(k.Waiting, "delivery"),
			cli.Clock(k.WaitingSince), cli.Clock(k.MetAt)))
	}
	if len(k.Rules) == 0 {
		a.Detail("  ", "New to", "all rules: none remembers anything of the domain; --rule names one")
		return
	}
	a.Detail("  ", "New to", "rule "+strings.Join(k.Rules, ", "))
}

// peersUnpinCmd forgets which names are known.
type peersUnpinCmd struct {
	remote.Gateway
	Domain string `arg:"" help:"The recipient domain."`
	Rule   string `placeholder:"NAME" help:"Only for this rule."`
}

// Run forgets.
func (c *peersUnpinCmd) Run(a *cli.App) error {
	out, err := remote.Ask(a, &c.Gateway, func(client *api.Client) (mailhosts.UnpinResult, error) {
		return client.Unpin(a.Ctx, mailhosts.UnpinRequest{Domain: c.Domain, Rule: c.Rule})
	})
	if err != nil {
		return err
	}
	if c.JSON {
		if err := a.Object(out); err != nil {
			return err
		}
	}
	if len(out.Forgotten) == 0 {
		return cli.Failure(errors.New("nothing is remembered of the mail hosts of "+c.Domain), "postern peers pins",
			cli.ExitShort)
	}
	if c.JSON {
		return nil
	}
	for _, p := range out.Forgotten {
		fmt.Fprintf(a.Stdout, "- %s  of rule %s\n", p.Name, p.Rule)
	}
	fmt.Fprintln(a.Stdout, "the next delivery under the rule remembers the mail hosts it finds then")
	return nil
}

// dayText is a day in a table.
func dayText(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.UTC().Format(time.DateOnly)
}
