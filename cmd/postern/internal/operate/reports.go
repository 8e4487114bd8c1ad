package operate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"postern/cmd/postern/internal/cli"
	"postern/cmd/postern/internal/remote"
	"postern/internal/operator/api"
	"postern/internal/operator/reports"
)

// ReportsCmd is the verb about reports on TLS.
type ReportsCmd struct {
	List reportsListCmd `cmd:"" help:"List what there is to report, by day and domain, and what was sent."`
	Show reportsShowCmd `cmd:"" help:"Print the document of a day for a domain, as it is or would be sent."`
	// The others are about reports that come in.
	Received reportsReceivedCmd `cmd:"" help:"List the reports of others on TLS with us, the newest first, or show one beside what we saw."`
	Failures reportsFailuresCmd `cmd:"" help:"Show who could not reach us over TLS, since when, how often, and what we saw."`
}

// reportsListCmd lists.
type reportsListCmd struct {
	remote.Gateway
	Day   string `placeholder:"DAY" help:"Of one day alone: 2026-11-29 (UTC), today or yesterday."`
	Limit int    `placeholder:"N" help:"At most so many."`
}

// Run lists.
func (c *reportsListCmd) Run(a *cli.App) error {
	client, err := c.Dial(a)
	if err != nil {
		return err
	}
	defer client.Close()
	rows := a.NewTable(cli.Col("DAY", 10), cli.Col("DOMAIN", 24), cli.Col("OF", 10), cli.Col("SUCCEEDED", 9),
		cli.Col("FAILED", 6), cli.Col("STATE", 9), cli.Col("WHY OR TO WHOM", 0))
	shown := 0
	for r, err := range client.Reports(a.Ctx, c.Day, c.Limit) {
		if err != nil {
			return remote.Tell(err)
		}
		shown++
		if c.JSON {
			if err := a.Object(r); err != nil {
				return err
			}
			continue
		}
		rows.Row(r.Day, r.Domain, r.Of, fmt.Sprint(r.Succeeded), fmt.Sprint(r.Failed), r.State, reportNote(&r))
	}
	if shown == 0 && !c.JSON {
		fmt.Fprintln(a.Stdout, "nothing was counted")
	}
	return nil
}

// reportNote is why a report is where it is, or who has it.
func reportNote(r *reports.ReportOut) string {
	if r.Text != "" {
		return r.Text
	}
	var to []string
	for _, d := range r.To {
		to = append(to, d.URI)
	}
	return strings.Join(to, " ")
}

// reportsShowCmd prints documents.
type reportsShowCmd struct {
	remote.Gateway
	Day    string `placeholder:"DAY" default:"today" help:"2026-11-29 (UTC), today or yesterday."`
	Domain string `arg:"" optional:"" help:"A domain of recipients, or a TLSA base domain. Without one the documents for all domains of recipients are printed."`
}

// Run prints. The exit code is 1 where nothing was counted.
func (c *reportsShowCmd) Run(a *cli.App) error {
	client, err := c.Dial(a)
	if err != nil {
		return err
	}
	defer client.Close()
	if c.Domain != "" {
		return c.show(a, client, c.Day, c.Domain)
	}
	shown := 0
	for r, err := range client.Reports(a.Ctx, c.Day, 0) {
		if err != nil {
			return remote.Tell(err)
		}
		if r.Of != reports.OfRecipients {
			continue
		}
		shown++
		if err := c.show(a, client, r.Day, r.Domain); err != nil {
			return err
		}
	}
	if shown == 0 {
		return cli.Failure(fmt.Errorf("nothing was counted on %s", c.Day), "`postern reports list` shows what is",
			cli.ExitShort)
	}
	return nil
}

// show prints the document: with --json on one line, otherwise for people to read.
func (c *reportsShowCmd) show(a *cli.App, client *api.Client, day, domain string) error {
	r, err := client.Report(a.Ctx, day, domain)
	if err != nil {
		return remote.Tell(err)
	}
	if c.JSON {
		return a.Object(r.Document)
	}
	var text bytes.Buffer
	if err := json.Indent(&text, r.Document, "", "  "); err != nil {
		return fmt.Errorf("the document cannot be read: %w", err)
	}
	fmt.Fprintf(a.Stdout, "%s, %s: %d sessions succeeded, %d failed; %s\n", r.Domain, r.Day, r.Succeeded, r.Failed,
		r.State)
	_, err = fmt.Fprintln(a.Stdout, text.String())
	return err
}
