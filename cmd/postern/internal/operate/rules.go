package operate

import (
	"cmp"
	"fmt"
	"path/filepath"
	"strings"

	"postern/cmd/postern/internal/cli"
	"postern/cmd/postern/internal/remote"
	"postern/internal/operator/admin"
	"postern/internal/operator/api"
	"postern/internal/operator/waiting"
	"postern/internal/policy/rulediff"
	"postern/internal/policy/rules"
)

// RulesCmd is the verb about rules.
type RulesCmd struct {
	List      rulesListCmd      `cmd:"" help:"List the rules in force."`
	Show      rulesShowCmd      `cmd:"" help:"Show one rule as it was written, or who applied the rules and when."`
	Apply     rulesApplyCmd     `cmd:"" help:"Put a rules file in force as a whole, and show what changes."`
	Export    rulesExportCmd    `cmd:"" help:"Print the rules in force as a file."`
	Revisions rulesRevisionsCmd `cmd:"" help:"List the rules files that were in force, newest first, or show what one changed."`
	Restore   rulesRestoreCmd   `cmd:"" help:"Put an older revision in force again, as a new one."`
	Lists     rulesListsCmd     `cmd:"" help:"Show the lists that rules name, write one out, or give one other values."`
	Explain   rulesExplainCmd   `cmd:"" help:"Say which rules would match a message, and what each recipient would require."`
}

// rulesListCmd lists the rules in force.
type rulesListCmd struct{ remote.Gateway }

// Run lists.
func (c *rulesListCmd) Run(a *cli.App) error {
	view, set, err := remote.RulesInForce(a, &c.Gateway, false)
	if err != nil {
		return err
	}
	if c.JSON {
		for _, r := range view.Rules {
			if err := a.Object(r); err != nil {
				return err
			}
		}
		return nil
	}
	rows := a.NewTable(cli.Col("RULE", 20), cli.Col("MODE", 8), cli.Col("SCOPE", 8), cli.Col("SENDER -> RECIPIENT", 0))
	for _, r := range set.Rules() {
		sender := anyOf(r.Match.Sender)
		if len(r.Domain) > 0 {
			sender = "mail of " + r.DomainText()
		}
		rows.Row(r.Name, string(r.Mode), string(r.Scope), sender+" -> "+anyOf(r.Match.Recipient))
	}
	if rows.Empty() {
		fmt.Fprintln(a.Stdout, "no rules are in force")
	}
	warn(a, view.Warnings)
	return nil
}

func anyOf(list []string) string {
	if len(list) == 0 {
		return "any"
	}
	return strings.Join(list, ",")
}

// warn tells what is valid and yet worth knowing.
func warn(a *cli.App, list []rules.Warning) {
	for _, w := range list {
		what := "rule " + w.Rule
		if strings.HasPrefix(w.Rule, "[[") { // a list or an exception
			what = w.Rule
		}
		fmt.Fprintf(a.Stderr, "warning: %s (line %d): %s\n", what, w.Line, w.Text)
		if w.Hint != "" {
			fmt.Fprintf(a.Stderr, "   hint: %s\n", w.Hint)
		}
	}
}

// rulesShowCmd shows one rule.
type rulesShowCmd struct {
	remote.Gateway
	Name string `arg:"" optional:"" help:"The rule. Without it, the revision in force."`
}

// Run shows.
func (c *rulesShowCmd) Run(a *cli.App) error {
	view, set, err := remote.RulesInForce(a, &c.Gateway, false)
	if err != nil {
		return err
	}
	if c.Name == "" {
		if c.JSON {
			return a.Object(view)
		}
		a.Detail("", "Revision", fmt.Sprint(view.Revision))
		a.Detail("", "Applied", cli.Clock(view.AppliedAt))
		a.Detail("", "By", view.By)
		a.Detail("", "Rules", fmt.Sprint(len(view.Rules)))
		warn(a, view.Warnings)
		return nil
	}
	for i, r := range set.Rules() {
		if r.Name != c.Name {
			continue
		}
		if c.JSON {
			return a.Object(r)
		}
		end := 0
		if i+1 < len(set.Rules()) {
			end = set.Rules()[i+1].Line
		}
		_, err := fmt.Fprintln(a.Stdout, between(view.Text, r.Line, end))
		return err
	}
	return cli.Short("there is no rule " + c.Name)
}

// between returns the lines first to end-1 of text, to its last when end is 0, without what precedes the next rule.
func between(text string, first, end int) string {
	all := strings.Split(text, "\n")
	if end == 0 || end > len(all)+1 {
		end = len(all) + 1
	}
	for end-1 > first {
		if last := strings.TrimSpace(all[end-2]); last != "" && last[0] != '#' {
			break
		}
		end--
	}
	return strings.Join(all[max(first-1, 0):end-1], "\n")
}

// rulesApplyCmd puts a file in force.
type rulesApplyCmd struct {
	remote.Gateway
	File         string `arg:"" help:"The rules file; - reads standard input."`
	DryRun       bool   `help:"Only show what would change."`
	IfRevision   *int64 `placeholder:"N" help:"Only if this revision is still in force."`
	LetWaitingGo bool   `help:"Give waiting mail that holds more than these rules demand what they demand. Without it that mail keeps what it has. Recorded in the audit trail."`
}

// Run applies. A broken file is told with every problem and changes nothing: exit code 1.
func (c *rulesApplyCmd) Run(a *cli.App) error {
	text, err := a.ReadFile(c.File)
	if err != nil {
		return err
	}
	if _, err := rules.Parse(c.File, text); err != nil {
		return cli.Failure(err, "the rules in force stay in force; correct the file and apply it again", cli.ExitShort)
	}
	out, err := remote.Ask(a, &c.Gateway, func(client *api.Client) (admin.ApplyResult, error) {
		defer tellLacking(a, client)()
		return client.ApplyRules(a.Ctx, admin.ApplyRequest{Name: filepath.Base(c.File), Text: string(text),
			DryRun: c.DryRun, IfRevision: c.IfRevision, LetWaitingGo: c.LetWaitingGo})
	})
	if err != nil {
		return err
	}
	return c.told(a, &out)
}

// told says what came of it, and fails where it is not in force everywhere yet.
func (c *rulesApplyCmd) told(a *cli.App, out *admin.ApplyResult) (err error) {
	if c.JSON {
		err = a.Object(out)
	} else {
		c.say(a, out)
	}
	if sayNotYet(a, out) && err == nil {
		err = cli.Short("")
	}
	return err
}

// say tells of what was applied.
func (c *rulesApplyCmd) say(a *cli.App, out *admin.ApplyResult) {
	sayChanges(a, out.Changes)
	warn(a, out.Warnings)
	switch {
	case out.Applied:
		fmt.Fprintf(a.Stdout, "revision %d is in force: %s\n", out.Revision, cli.Plural(out.Rules, "rule"))
	case c.DryRun:
		fmt.Fprintf(a.Stdout, "nothing was applied; revision %d is in force\n", out.Revision)
	default:
		fmt.Fprintf(a.Stdout, "these rules are already in force as revision %d; what waits is judged by them anew\n",
			out.Revision)
	}
	saySurplus(a, out, c.LetWaitingGo && !c.DryRun)
}

// saySurplus tells of waiting mail that holds more than the rules demand, and of what was let go.
func saySurplus(a *cli.App, out *admin.ApplyResult, asked bool) {
	if asked {
		fmt.Fprintf(a.Stdout, "%s let go: they demand what is in force now\n",
			cli.Plural(out.LetGo, "waiting delivery"))
		if out.Busy > 0 {
			fmt.Fprintf(a.Stderr, "postern: %s being sent right now, left alone; later: postern queue release "+
				"--rejudge\n", cli.Plural(out.Busy, "delivery"))
		}
		return
	}
	sayWaiting(a, out.Waiting, "these rules demand", "postern rules apply --let-waiting-go FILE, or postern queue "+
		"release --rejudge [DOMAIN | MESSAGE ...]")
}

// sayWaiting tells of waiting mail that holds more than what demands now, and how that is changed.
func sayWaiting(a *cli.App, w waiting.Surplus, what, change string) {
	if w.Deliveries == 0 {
		return
	}
	some := cli.Plural(w.Deliveries, "waiting delivery")
	if w.Partial {
		some = "at least " + some
	}
	holds, keeps := " hold", " keep"
	if w.Deliveries == 1 {
		holds, keeps = " holds", " keeps"
	}
	fmt.Fprintln(a.Stdout, some+holds+" more than "+what+", and"+keeps+" it")
	a.Detail("  ", "To change", change)
}

// keyWidth has room for the longest key of a rule.
const keyWidth = 33

// sayChanges prints a difference: added, removed and changed rules, and where protection gets weaker.
func sayChanges(a *cli.App, list []rulediff.Change) {
	for _, c := range list {
		sign := map[rulediff.ChangeKind]string{rulediff.Added: "+", rulediff.Removed: "-", rulediff.Changed: "~",
			rulediff.Renamed: "~"}[c.Kind]
		fmt.Fprintf(a.Stdout, "%s %s%s\n", sign, c.Rule, weaker(a, c.Weaker, c.Why))
		if c.Note != "" {
			fmt.Fprintf(a.Stdout, "    (%s)\n", c.Note)
		}
		for _, f := range c.Fields {
			switch c.Kind {
			case rulediff.Added:
				a.DetailAt("    ", f.Field, keyWidth, f.After)
			case rulediff.Removed:
				a.DetailAt("    ", f.Field, keyWidth, f.Before)
			default:
				a.DetailAt("    ", f.Field, keyWidth, cmp.Or(f.Before, "unset")+" -> "+
					cmp.Or(f.After, "unset")+weaker(a, f.Weaker, ""))
			}
		}
	}
	if len(list) == 0 {
		fmt.Fprintln(a.Stdout, "no rule changes")
	}
}

func weaker(a *cli.App, yes bool, because string) string {
	if !yes {
		return ""
	}
	if because != "" {
		return "  (weaker: " + because + ")"
	}
	return "  (weaker)"
}

// rulesExportCmd prints the rules in force.
type rulesExportCmd struct {
	Socket    string `placeholder:"PATH" help:"The gateway's admin socket. Otherwise the one of the configuration."`
	Canonical bool   `help:"Print every key in one fixed form instead of the file as it was written."`
}

// Run prints.
func (c *rulesExportCmd) Run(a *cli.App) error {
	view, set, err := remote.RulesInForce(a, &remote.Gateway{Socket: c.Socket}, true)
	if err != nil {
		return err
	}
	text := view.Text
	if c.Canonical {
		text = string(set.TOML())
	}
	_, err = fmt.Fprint(a.Stdout, text)
	return err
}
