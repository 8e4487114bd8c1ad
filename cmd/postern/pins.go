package main

import (
	"errors"
	"fmt"
	"strings"

	"postern/internal/admin"
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
	rows := a.newTable(column{"DOMAIN", 20}, column{"RULE", 14}, column{"MAIL HOSTS BELOW", 18}, column{"SINCE", 10}, column{"BY", 0})
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
	if !rows.begun && !c.JSON {
		fmt.Fprintln(a.stdout, "no names of mail hosts are remembered; the first delivery under a rule does it")
	}
	return nil
}

// peersApproveCmd accepts the mail hosts a domain has now.
type peersApproveCmd struct {
	remote
	Domain string `arg:"" help:"The recipient domain."`
	Rule   string `placeholder:"NAME" help:"Only for this rule. Otherwise for every rule that remembers mail hosts of the domain."`
}

// Run approves. Nothing new to approve is exit code 1: what was wanted was not there.
func (c *peersApproveCmd) Run(a *app) error {
	client, err := c.client(a)
	if err != nil {
		return err
	}
	defer client.Close()
	out, err := client.Approve(a.ctx, admin.ApproveRequest{By: a.asker(), Domain: c.Domain, Rule: c.Rule})
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
		return &sayError{errors.New("all of these are known already; nothing was approved"), "postern peers pins " + out.Domain, exitShort}
	}
	return nil
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
		return &sayError{errors.New("nothing is remembered of the mail hosts of " + c.Domain), "postern peers pins", exitShort}
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
