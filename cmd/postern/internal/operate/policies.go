package operate

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"postern/cmd/postern/internal/cli"
	"postern/cmd/postern/internal/remote"
	"postern/internal/operator/api"
	"postern/internal/operator/policies"
)

// PoliciesCmd is the verb about what recipients' domains publish.
type PoliciesCmd struct {
	List     policiesListCmd     `cmd:"" help:"List the MTA-STS policies of recipient domains that are kept."`
	Show     policiesShowCmd     `cmd:"" help:"Show what is kept of a domain's policy, what went wrong last, and what DNS announces now."`
	Observed policiesObservedCmd `cmd:"" help:"List what was delivered and would have waited if what domains publish were kept to."`
	Refresh  policiesRefreshCmd  `cmd:"" help:"Ask a domain for its policy now. Recorded in the audit trail."`
	Forget   policiesForgetCmd   `cmd:"" help:"Forget a domain's policy: until it is found again, mail goes there as if there were none. Recorded in the audit trail."`
}

// policiesListCmd lists.
type policiesListCmd struct {
	remote.Gateway
	Limit int `placeholder:"N" help:"At most so many."`
}

// Run lists.
func (c *policiesListCmd) Run(a *cli.App) error {
	client, err := c.Dial(a)
	if err != nil {
		return err
	}
	defer client.Close()
	rows := a.NewTable(cli.Col("DOMAIN", 24), cli.Col("MODE", 8), cli.Col("FETCHED", 11), cli.Col("UNTIL", 10),
		cli.Col("USED", 10), cli.Col("LAST FAULT", 0))
	shown := 0
	for p, err := range client.Policies(a.Ctx, c.Limit) {
		if err != nil {
			return remote.Tell(err)
		}
		shown++
		if c.JSON {
			if err := a.Object(p); err != nil {
				return err
			}
			continue
		}
		rows.Row(p.Domain, p.Mode, cli.ShortClock(p.FetchedAt), dayText(p.Until), dayText(p.UsedAt), p.Fault)
	}
	if shown == 0 && !c.JSON {
		fmt.Fprintln(a.Stdout, "no policy is kept")
	}
	return nil
}

// policiesShowCmd shows one.
type policiesShowCmd struct {
	remote.Gateway
	Domain string `arg:"" help:"A recipient domain."`
}

// Run shows. The exit code is 1 where no policy is kept.
func (c *policiesShowCmd) Run(a *cli.App) error {
	p, err := remote.Ask(a, &c.Gateway, func(client *api.Client) (policies.PolicyKept,
		error) {
		return client.Policy(a.Ctx, c.Domain, true)
	})
	if err != nil {
		return err
	}
	return tellPolicy(a, &p, c.JSON)
}

// policiesRefreshCmd asks anew.
type policiesRefreshCmd struct {
	remote.Gateway
	Domain string `arg:"" help:"A recipient domain."`
}

// Run asks. The exit code is 1 where no policy counts afterwards.
func (c *policiesRefreshCmd) Run(a *cli.App) error {
	p, err := remote.Ask(a, &c.Gateway, func(client *api.Client) (policies.PolicyKept,
		error) {
		return client.RefreshPolicy(a.Ctx, c.Domain)
	})
	if err != nil {
		return err
	}
	return tellPolicy(a, &p, c.JSON)
}

func tellPolicy(a *cli.App, p *policies.PolicyKept, json bool) error {
	if json {
		if err := a.Object(p); err != nil {
			return err
		}
	} else {
		showPolicy(a, p)
	}
	if p.Mode == "" {
		return cli.Short("")
	}
	return nil
}

func showPolicy(a *cli.App, p *policies.PolicyKept) {
	fmt.Fprintln(a.Stdout, p.Domain)
	if p.Mode == "" {
		a.Detail("  ", "Policy", "none is kept")
	} else {
		a.Detail("  ", "Policy", "MTA-STS, "+map[string]string{"enforce": "enforced",
			"testing": "testing: nothing is asked, faults are reported",
			"none":    "none: the domain took its policy back"}[p.Mode])
		a.Detail("  ", "Mail hosts", strings.Join(p.MX, " "))
		a.Detail("  ", "ID", p.ID)
		a.Detail("  ", "Fetched", cli.Clock(p.FetchedAt)+", counts for "+
			(time.Duration(p.MaxAgeS)*time.Second).String()+", until "+cli.Clock(p.Until))
	}
	if p.UsedAt != nil {
		a.Detail("  ", "Used", dayText(p.UsedAt))
	}
	if p.DueAt != nil {
		a.Detail("  ", "Asked again", cli.Clock(p.DueAt))
	}
	if p.Fault != "" {
		said := p.Fault + ": " + p.FaultText
		if p.FailingSince != nil {
			said += ", since " + cli.Clock(p.FailingSince)
		}
		a.Detail("  ", "Last fault", said)
	}
	a.Detail("  ", "Odd", strings.Join(p.Oddities, "; "))
	if r := p.Record; r != nil {
		a.Detail("  ", "DNS says", recordText(r, p))
	}
}

func recordText(r *policies.PolicyRecord, p *policies.PolicyKept) string {
	switch {
	case r.Fault != "":
		return r.Fault + ": " + r.FaultText
	case p.Mode != "" && r.ID != p.ID:
		return "id " + r.ID + ", which is another one"
	}
	return "id " + r.ID
}

// policiesForgetCmd forgets.
type policiesForgetCmd struct {
	remote.Gateway
	Domain string `arg:"" help:"A recipient domain."`
}

// Run forgets.
func (c *policiesForgetCmd) Run(a *cli.App) error {
	out, err := remote.Ask(a, &c.Gateway, func(client *api.Client) (policies.PolicyForgotten, error) {
		return client.ForgetPolicy(a.Ctx, c.Domain)
	})
	if err != nil {
		return err
	}
	if c.JSON {
		err = a.Object(out)
	} else if out.Forgotten {
		_, err = fmt.Fprintf(a.Stdout, "the policy of %s is forgotten\n", c.Domain)
	}
	if err == nil && !out.Forgotten {
		return cli.Failure(errors.New("no policy of "+c.Domain+" is kept"),
			"`postern policies list` shows what is kept", cli.ExitShort)
	}
	return err
}
