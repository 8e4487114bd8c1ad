package operate

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"postern/cmd/postern/internal/cli"
	"postern/cmd/postern/internal/remote"
	"postern/internal/history/tlsreports"
	"postern/internal/operator/api"
	"postern/internal/operator/reports"
	"postern/internal/operator/scope"
)

// reportsReceivedCmd lists the reports of others, or shows one.
type reportsReceivedCmd struct {
	remote.Gateway
	ID      string `arg:"" optional:"" help:"As the list has it; without one the reports are listed."`
	Domain  string `placeholder:"DOMAIN" help:"About one domain of ours alone."`
	Sender  string `placeholder:"TEXT" help:"Of senders with this in their name alone."`
	Failing bool   `help:"Only those in which something failed."`
	Limit   int    `placeholder:"N" help:"At most so many."`
}

// Run lists or shows.
func (c *reportsReceivedCmd) Run(a *cli.App) error {
	if c.ID != "" {
		return c.show(a)
	}
	client, err := c.Dial(a)
	if err != nil {
		return err
	}
	defer client.Close()
	rows := a.NewTable(cli.Col("ID", 23), cli.Col("DAY", 10), cli.Col("SENDER", 24), cli.Col("SIGNED", 6),
		cli.Col("SUCCEEDED", 9), cli.Col("FAILED", 6), cli.Col("DOMAINS", 0))
	shown := 0
	q := reports.ReceivedQuery{Domain: c.Domain, Sender: c.Sender, Failing: c.Failing,
		PageRequest: scope.PageRequest{Limit: c.Limit}}
	for r, err := range client.ReceivedReports(a.Ctx, q) {
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
		rows.Row(r.ID, dayText(r.Start), r.Sender, yesNo(r.Signer != ""), fmt.Sprint(r.Succeeded), fmt.Sprint(r.Failed),
			strings.Join(partNames(r.Parts), " "))
	}
	if shown == 0 && !c.JSON {
		fmt.Fprintln(a.Stdout, "no report is here")
	}
	return nil
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

func partNames(parts []tlsreports.Part) (out []string) {
	for _, p := range parts {
		out = append(out, cmp.Or(p.Domain, "(our name)"))
	}
	return out
}

// show shows one.
func (c *reportsReceivedCmd) show(a *cli.App) error {
	r, err := remote.Ask(a, &c.Gateway, func(client *api.Client) (reports.ReceivedDocument,
		error) {
		return client.ReceivedReport(a.Ctx, c.ID)
	})
	if err != nil {
		return err
	}
	if c.JSON {
		return a.Object(r)
	}
	fmt.Fprintf(a.Stdout, "%s, from %s\n", r.ID, r.Sender)
	signed := "by " + r.Signer
	if r.Signer == "" {
		signed = "no: anybody may have written this (" + r.Unsigned + ")"
	}
	a.Detail("  ", "Signed", signed)
	a.Detail("  ", "Claims", strings.Join(strings.Fields(r.Organization+" "+r.Contact+" "+r.Submitter), " "))
	a.Detail("  ", "Came", cli.Clock(r.At)+" by "+r.Way+" from "+r.Client)
	a.Detail("  ", "Time", cli.Clock(r.Start)+" to "+cli.Clock(r.End))
	a.Detail("  ", "Their ID", r.ReportID)
	if r.Copies > 0 {
		a.Detail("  ", "Copies", fmt.Sprintf("came again %d times, last at %s", r.Copies, cli.Clock(r.CopiedAt)))
	}
	a.Detail("  ", "Odd", strings.Join(r.Oddities, "; "))
	for i := range r.Policies {
		showReceivedPolicy(a, &r.Policies[i])
	}
	if r.More {
		fmt.Fprintln(a.Stdout, "  and more, which is not shown")
	}
	return nil
}

func showReceivedPolicy(a *cli.App, p *reports.ReceivedPolicy) {
	fmt.Fprintf(a.Stdout, "  %s (%s): %d sessions succeeded, %d failed\n", cmp.Or(p.Domain, "no domain"),
		cmp.Or(p.Type, "no type"), p.Succeeded, p.Failed)
	for i := range p.Failures {
		f := &p.Failures[i]
		fmt.Fprintf(a.Stdout, "    %d x %s\n", f.Sessions, strings.Join(strings.Fields(f.Result+" "+f.Code), " "))
		a.Detail("      ", "From", strings.Join(strings.Fields(f.Address+" to "+f.Host+" "+f.ReceiverIP), " "))
		a.Detail("      ", "They say", f.Info)
		showSight(a, "      ", &f.Saw)
	}
}

// showSight tells what we saw, and the kinds of sessions that fit.
func showSight(a *cli.App, indent string, s *tlsreports.Sight) {
	a.Detail(indent, "We saw", strings.TrimSpace(s.Address+": "+s.Text))
	for i := range s.Kinds {
		k := &s.Kinds[i]
		if !k.Fits {
			continue
		}
		text := fmt.Sprintf("%s, %s: %d x %s", k.Day, k.Listener, k.Sessions, k.Outcome)
		if k.Text != "" {
			text += ", " + k.Text
		}
		if k.Shown != nil {
			text += "; shown was " + strings.Join(k.Shown.Names, " ") + " until " +
				k.Shown.NotAfter.Format(time.DateOnly)
		}
		a.Detail(indent, "", text)
	}
}

// reportsFailuresCmd tells who failed.
type reportsFailuresCmd struct {
	remote.Gateway
	Days int `placeholder:"N" help:"How far back reports are looked at; 14 where it is left out."`
}

// Run tells. The exit code is 1 where somebody whose signature holds could not reach us.
func (c *reportsFailuresCmd) Run(a *cli.App) error {
	out, err := remote.Ask(a, &c.Gateway,
		func(client *api.Client) (reports.ReceivedSummary, error) { return client.TLSFailures(a.Ctx, c.Days) })
	if err != nil {
		return err
	}
	signed := false
	for i := range out.Failing {
		f := &out.Failing[i]
		signed = signed || f.Signed
		if c.JSON {
			if err := a.Object(f); err != nil {
				return err
			}
			continue
		}
		mark := ""
		if !f.Signed {
			mark = " (not signed: anybody may have written this)"
		}
		fmt.Fprintf(a.Stdout, "%s%s: %d x %s, %s to %s\n", f.Sender, mark, f.Sessions, f.Result,
			f.Since.Format(time.DateTime), f.Until.Format(time.DateTime))
		a.Detail("  ", "Domains", strings.Join(f.Domains, " "))
		a.Detail("  ", "They say", strings.Join(f.Codes, "; "))
		for j := range f.Saw {
			showSight(a, "  ", &f.Saw[j])
		}
	}
	if len(out.Failing) == 0 && !c.JSON {
		fmt.Fprintln(a.Stdout, "no report of this time tells of a failure")
	}
	if !out.Complete && !c.JSON {
		fmt.Fprintln(a.Stdout, "there is more than is looked at; ask for fewer days")
	}
	if signed {
		return cli.Short("")
	}
	return nil
}
