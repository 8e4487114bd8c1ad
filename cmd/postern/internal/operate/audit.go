package operate

import (
	"fmt"
	"iter"
	"strings"

	"postern/cmd/postern/internal/cli"
	"postern/cmd/postern/internal/remote"
	"postern/internal/operator/api"
	"postern/internal/operator/audit"
)

// AuditCmd shows what administrators did.
type AuditCmd struct {
	remote.Gateway
	Limit int `placeholder:"N" default:"100" help:"At most so many, the newest first."`
}

// Run lists.
func (c *AuditCmd) Run(a *cli.App) error {
	list := func(client *api.Client) iter.Seq2[audit.Entry, error] { return client.Audit(a.Ctx, c.Limit) }
	n, err := remote.List(a, &c.Gateway, list, func(e *audit.Entry) {
		fmt.Fprintf(a.Stdout, "%s  %s\n", cli.Clock(&e.At), e.Action)
		a.Detail("  ", "By", e.By)
		a.Detail("  ", "Target", e.Target)
		if e.Count > 0 {
			a.Detail("  ", "Count", fmt.Sprint(e.Count))
		}
		lines(a, "Before", e.Before)
		lines(a, "After", e.After)
	})
	if err == nil && n == 0 && !c.JSON {
		fmt.Fprintln(a.Stdout, "no administrator has changed anything yet")
	}
	return err
}

// lines prints a text of several lines under one label.
func lines(a *cli.App, label, text string) {
	for line := range strings.SplitSeq(text, "\n") {
		a.Detail("  ", label, line)
		label = ""
	}
}
