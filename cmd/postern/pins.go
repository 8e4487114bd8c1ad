package main

import (
	"errors"
	"fmt"
	"strings"

	"postern/internal/operator/admin"
)

// peersPinsCmd shows which names of mail hosts are known.
type peersPinsCmd struct {
	remote
	Domain string `arg:"" optional:"" help:"A recipient domain. Without it, every one."`
}

// Run lists.
func (c *peersPinsCmd) Run(a *app) error {
	client, err := c.client(a)
	if err != nil {
		return err
	}
	defer client.Close()
	rows := a.newTable(col("DOMAIN", 20), col("RULE", 14), col("MAIL HOSTS BELOW", 18), col("SINCE", 10), col("BY", 0))
	for p, err := range client.Pins(a.ctx, c.Domain) {
		if err != nil {
			return tell(err)
		}
		if c.JSON {
			if err := a.object(p); err != nil {
				return err
			}
			continue
		}
		rows.row(p.Domain, p.Rule, p.Name, dayText(&p.Since), p.By)
	}
	if rows.empty() && !c.JSON {
		fmt.Fprintln(a.stdout, "no names of mail hosts are remembered; the first delivery under a rule does it")
	}
	return nil
}

// peersApproveCmd accepts mail hosts of a domain.
type peersApproveCmd struct {
	remote
	Domain string   `arg:"" help:"The recipient domain."`
	Name   []string `arg:"" optional:"" help:"What is approved: a registrable domain, or a mail host below it. Without it, what could be approved is listed."`
	Rule   string   `placeholder:"NAME" help:"Only for this rule. Otherwise for every rule that remembers mail hosts of the domain."`
}

// Run approves. Nothing new to approve is exit code 1: what was wanted was not there.
func (c *peersApproveCmd) Run(a *app) error {
	client, err := c.client(a)
	if err != nil {
		return err
	}
	defer client.Close()
	if len(c.Name) == 0 {
		out, err := client.Candidates(a.ctx, c.Domain)
		if err != nil {
			return tell(err)
		}
		return c.list(a, &out)
	}
	out, err := client.Approve(a.ctx, admin.ApproveRequest{By: a.asker(), Domain: c.Domain, Names: c.Name, Rule: c.Rule})
	if err != nil {
		return tell(err)
	}
	if c.JSON {
		if err := a.object(out); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(a.stdout, "mail hosts of %s now: %s\n", out.Domain, strings.Join(out.Hosts, ", "))
		for _, p := range out.Approved {
			fmt.Fprintf(a.stdout, "+ %s  known to rule %s\n", p.Name, p.Rule)
		}
		if len(out.Approved) > 0 {
			fmt.Fprintf(a.stdout, "%s made due\n", plural(out.Retried, "delivery"))
		}
	}
	if len(out.Approved) == 0 {
		return failure(errors.New("all of these are known already; nothing was approved"), "postern peers pins "+out.Domain, exitShort)
	}
	return nil
}

// list shows what could be approved. It is exit code 1: nothing was approved.
func (c *peersApproveCmd) list(a *app, out *admin.Candidates) error {
	if c.JSON {
		if err := a.object(out); err != nil {
			return err
		}
	} else {
		for i := range out.Candidates {
			a.showCandidate(&out.Candidates[i])
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
		return failure(errors.New("nothing was approved: "+out.Problem), "postern peers pins "+out.Domain, exitFail)
	case len(now) > 0:
		return failure(errors.New("nothing was approved; ask the partner which of these are theirs, and name them"),
			"postern peers approve "+out.Domain+" "+strings.Join(now, " "), exitShort)
	}
	return failure(errors.New("DNS names no mail hosts of "+out.Domain+" that are not known already; nothing was approved"),
		"postern peers pins "+out.Domain, exitShort)
}

func (a *app) showCandidate(k *admin.Candidate) {
	fmt.Fprintln(a.stdout, k.Name)
	now := "none of its hosts"
	if len(k.Hosts) > 0 {
		now = strings.Join(k.Hosts, ", ")
	}
	a.detail("  ", "DNS now", now)
	if k.SeenAt != nil {
		a.detail("  ", "Seen", "beside the host used first, "+clock(k.SeenAt))
	}
	if k.Waiting > 0 {
		a.detail("  ", "Waiting", fmt.Sprintf("%s since %s met it, last %s", plural(k.Waiting, "delivery"), clock(k.WaitingSince), clock(k.MetAt)))
	}
	if len(k.Rules) == 0 {
		a.detail("  ", "New to", "all rules: none remembers anything of the domain; --rule names one")
		return
	}
	a.detail("  ", "New to", "rule "+strings.Join(k.Rules, ", "))
}

// peersUnpinCmd forgets which names are known.
type peersUnpinCmd struct {
	remote
	Domain string `arg:"" help:"The recipient domain."`
	Rule   string `placeholder:"NAME" help:"Only for this rule."`
}

// Run forgets.
func (c *peersUnpinCmd) Run(a *app) error {
	client, err := c.client(a)
	if err != nil {
		return err
	}
	defer client.Close()
	out, err := client.Unpin(a.ctx, admin.UnpinRequest{By: a.asker(), Domain: c.Domain, Rule: c.Rule})
	if err != nil {
		return tell(err)
	}
	if c.JSON {
		if err := a.object(out); err != nil {
			return err
		}
	}
	if len(out.Forgotten) == 0 {
		return failure(errors.New("nothing is remembered of the mail hosts of "+c.Domain), "postern peers pins", exitShort)
	}
	if c.JSON {
		return nil
	}
	for _, p := range out.Forgotten {
		fmt.Fprintf(a.stdout, "- %s  of rule %s\n", p.Name, p.Rule)
	}
	fmt.Fprintln(a.stdout, "the next delivery under the rule remembers the mail hosts it finds then")
	return nil
}
