package operate

import (
	"fmt"
	"strings"
	"time"

	"postern/cmd/postern/internal/cli"
	"postern/cmd/postern/internal/remote"
	"postern/internal/operator/api"
	"postern/internal/operator/past"
)

// policiesObservedCmd lists what would have waited.
type policiesObservedCmd struct {
	remote.Gateway
	Domain string `arg:"" optional:"" help:"Only this recipient domain."`
	Days   int    `default:"7" placeholder:"N" help:"So many days back, 90 at most."`
}

// Run lists. With --json it is one object.
func (c *policiesObservedCmd) Run(a *cli.App) error {
	out, err := remote.Ask(a, &c.Gateway, func(client *api.Client) (past.Observed, error) {
		return client.Observed(a.Ctx, past.ObservedRequest{Domain: c.Domain, Days: c.Days})
	})
	if err != nil {
		return err
	}
	if c.JSON {
		return a.Object(out)
	}
	rows := a.NewTable(cli.Col("DOMAIN", 24), cli.Col("PUBLISHED", 18), cli.Col("MAILS", 7), cli.Col("LAST", 11),
		cli.Col("WHY IT WOULD HAVE WAITED", 0))
	for _, r := range out.Rows {
		rows.Row(r.Domain, r.Kind+", "+r.Mode, fmt.Sprint(r.Deliveries), cli.ShortClock(r.LastAt),
			string(r.Reason)+" at "+strings.Join(r.Hosts, " ")+": "+r.Text)
	}
	if out.More > 0 {
		fmt.Fprintf(a.Stdout, "and %d more\n", out.More)
	}
	if len(out.Rows) == 0 {
		fmt.Fprintln(a.Stdout, "nothing of what was looked at would have waited")
	}
	if !out.Complete {
		to := "part of the time"
		if out.SearchedTo != nil {
			to = "back to " + out.SearchedTo.Local().Format(time.DateTime)
		}
		fmt.Fprintf(a.Stderr, "postern: not all was looked at, only %s; name a domain, or fewer days\n", to)
	}
	return nil
}
