package operate

import (
	"fmt"
	"iter"

	"postern/cmd/postern/internal/cli"
	"postern/cmd/postern/internal/remote"
	"postern/internal/operator/admin"
	"postern/internal/operator/api"
	"postern/internal/operator/audit"
)

// rulesRevisionsCmd lists what was in force.
type rulesRevisionsCmd struct {
	remote.Gateway
	Number int64 `arg:"" optional:"" help:"The revision to show. Without it, the newest ones."`
	Limit  int   `placeholder:"N" default:"20" help:"At most so many, the newest first."`
}

// Run lists, or shows one.
func (c *rulesRevisionsCmd) Run(a *cli.App) error {
	if c.Number != 0 {
		return c.one(a)
	}
	rows := a.NewTable(cli.Col("REVISION", 8), cli.Col("APPLIED", 23), cli.Col("BY", 0))
	list := func(client *api.Client) iter.Seq2[audit.Revision, error] { return client.Revisions(a.Ctx, c.Limit) }
	n, err := remote.List(a, &c.Gateway, list, func(r *audit.Revision) {
		rows.Row(fmt.Sprint(r.Number), cli.Clock(&r.AppliedAt), r.By)
	})
	if err == nil && n == 0 && !c.JSON {
		fmt.Fprintln(a.Stdout, "no rules were ever applied")
	}
	return err
}

func (c *rulesRevisionsCmd) one(a *cli.App) error {
	r, err := remote.Ask(a, &c.Gateway,
		func(client *api.Client) (admin.RevisionView, error) { return client.Revision(a.Ctx, c.Number) })
	if err != nil {
		return err
	}
	if c.JSON {
		return a.Object(r)
	}
	a.Detail("", "Revision", fmt.Sprint(r.Number))
	a.Detail("", "Applied", cli.Clock(&r.AppliedAt))
	a.Detail("", "By", r.By)
	sayChanges(a, r.Changes)
	return nil
}

// rulesRestoreCmd puts an older revision in force.
type rulesRestoreCmd struct {
	remote.Gateway
	Number       int64  `arg:"" help:"The revision, as rules revisions lists it."`
	DryRun       bool   `help:"Only show what would change."`
	IfRevision   *int64 `placeholder:"N" help:"Only if this revision is still in force."`
	LetWaitingGo bool   `help:"Give waiting mail that holds more than these rules demand what they demand. Without it that mail keeps what it has. Recorded in the audit trail."`
}

// Run restores.
func (c *rulesRestoreCmd) Run(a *cli.App) error {
	out, err := remote.Ask(a, &c.Gateway, func(client *api.Client) (admin.ApplyResult, error) {
		defer tellLacking(a, client)()
		return client.Restore(a.Ctx, c.Number, admin.ApplyRequest{DryRun: c.DryRun, IfRevision: c.IfRevision,
			LetWaitingGo: c.LetWaitingGo})
	})
	if err != nil {
		return err
	}
	return (&rulesApplyCmd{Gateway: c.Gateway, DryRun: c.DryRun, LetWaitingGo: c.LetWaitingGo}).told(a, &out)
}
