package operate

import (
	"fmt"
	"strings"

	"postern/cmd/postern/internal/cli"
	"postern/cmd/postern/internal/remote"
	"postern/internal/operator/admin"
	"postern/internal/operator/api"
	"postern/internal/policy/rulelist"
)

// rulesListsCmd is about the lists that rules name.
type rulesListsCmd struct {
	Show   listsShowCmd   `cmd:"" default:"withargs" help:"Show the lists, how long they are, and which rules use them."`
	Export listsExportCmd `cmd:"" help:"Print the values of a list as CSV."`
	Import listsImportCmd `cmd:"" help:"Give a list other values, all of them, as a new revision of the rules."`
}

// listsShowCmd shows the lists.
type listsShowCmd struct{ remote.Gateway }

// Run shows.
func (c *listsShowCmd) Run(a *cli.App) error {
	view, err := remote.Ask(a, &c.Gateway,
		func(client *api.Client) (admin.ListsView, error) { return client.Lists(a.Ctx) })
	if err != nil {
		return err
	}
	rows := a.NewTable(cli.Col("LIST", 20), cli.Col("ENTRIES", 8), cli.Col("FILE", 16), cli.Col("USED BY", 0))
	for _, l := range view.Lists {
		if c.JSON {
			if err := a.Object(l); err != nil {
				return err
			}
			continue
		}
		entries, users := fmt.Sprint(l.Entries), "no rule"
		if l.Unread {
			entries = "not read"
		}
		if len(l.Rules) > 0 {
			users = strings.Join(l.Rules, ", ")
		}
		rows.Row(l.Name, entries, l.File, users)
	}
	if len(view.Lists) == 0 && !c.JSON {
		fmt.Fprintln(a.Stdout, "the rules in force have no lists")
	}
	return nil
}

// listsExportCmd prints a list.
type listsExportCmd struct {
	Socket string `placeholder:"PATH" help:"The gateway's admin socket. Otherwise the one of the configuration."`
	Name   string `arg:"" help:"The list."`
}

// Run prints.
func (c *listsExportCmd) Run(a *cli.App) error {
	l, err := remote.Ask(a, &remote.Gateway{Socket: c.Socket}, func(client *api.Client) (admin.ListView, error) {
		return client.RuleList(a.Ctx, c.Name)
	})
	if err != nil {
		return err
	}
	_, err = a.Stdout.Write(l.CSV())
	return err
}

// listsImportCmd replaces a list.
type listsImportCmd struct {
	remote.Gateway
	Name         string `arg:"" help:"The list."`
	File         string `arg:"" help:"One value a line, or a table whose first column they are; - reads standard input."`
	DryRun       bool   `help:"Only show what would change."`
	IfRevision   *int64 `placeholder:"N" help:"Only if this revision is still in force."`
	LetWaitingGo bool   `help:"Give waiting mail that holds more than the rules then demand what they demand. Without it that mail keeps what it has. Recorded in the audit trail."`
}

// Run replaces. A broken file is told with every line that is wrong and changes nothing: exit code 1.
func (c *listsImportCmd) Run(a *cli.App) error {
	text, err := a.ReadFile(c.File)
	if err != nil {
		return err
	}
	if _, wrong := rulelist.ReadFile(text); len(wrong) > 0 {
		return cli.Failure(fmt.Errorf("%s, %s", c.File, strings.Join(wrong, "\n"+c.File+", ")),
			"the list stays as it is; correct the file and import it again", cli.ExitShort)
	}
	out, err := remote.Ask(a, &c.Gateway, func(client *api.Client) (admin.ApplyResult, error) {
		defer tellLacking(a, client)()
		return client.ReplaceList(a.Ctx, admin.ListEdit{Name: c.Name, Text: string(text), DryRun: c.DryRun,
			IfRevision: c.IfRevision, LetWaitingGo: c.LetWaitingGo})
	})
	if err != nil {
		return err
	}
	return (&rulesApplyCmd{Gateway: c.Gateway, DryRun: c.DryRun, LetWaitingGo: c.LetWaitingGo}).told(a, &out)
}
