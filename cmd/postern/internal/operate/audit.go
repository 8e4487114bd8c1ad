package operate

import (
	"fmt"
	"strings"

	"postern/cmd/postern/internal/cli"
	"postern/cmd/postern/internal/remote"
)

// AuditCmd shows what administrators did.
type AuditCmd struct {
	remote.Gateway
	Limit int `placeholder:"N" default:"100" help:"At most so many, the newest first."`
}

// Run lists.
func (c *AuditCmd) Run(a *cli.App) error {
	client, err := c.Dial(a)
	if err != nil {
		return err
	}
	defer client.Close()
	any := false
	for e, err := range client.Audit(a.Ctx, c.Limit) {
		switch {
		case err != nil:
			return remote.Tell(err)
		case c.JSON:
			if err := a.Object(e); err != nil {
				return err
			}
			continue
		}
		any = true
		fmt.Fprintf(a.Stdout, "%s  %s\n", cli.Clock(&e.At), e.Action)
		a.Detail("  ", "By", e.By)
		a.Detail("  ", "Target", e.Target)
		if e.Count > 0 {
			a.Detail("  ", "Count", fmt.Sprint(e.Count))
		}
		lines(a, "Before", e.Before)
		lines(a, "After", e.After)
	}
	if !any && !c.JSON {
		fmt.Fprintln(a.Stdout, "no administrator has changed anything yet")
	}
	return nil
}

// lines prints a text of several lines under one label.
func lines(a *cli.App, label, text string) {
	for line := range strings.SplitSeq(text, "\n") {
		a.Detail("  ", label, line)
		label = ""
	}
}
