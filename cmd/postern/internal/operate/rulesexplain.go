package operate

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"postern/cmd/postern/internal/cli"
	"postern/cmd/postern/internal/remote"
	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/operator/admin"
	"postern/internal/operator/api"
	"postern/internal/operator/past"
	"postern/internal/policy/rules"
)

// rulesExplainCmd answers what rules would do.
type rulesExplainCmd struct {
	remote.Gateway
	From    string   `placeholder:"ADDRESS" help:"The sender; <> is the null sender. Otherwise the one of --message."`
	To      []string `placeholder:"ADDRESS" help:"The recipients, separated by commas. Otherwise those of --message."`
	Message string   `placeholder:"FILE" help:"A message as a mail program saves it, or its header; - reads standard input."`
	Client  string   `placeholder:"IP" help:"The address of the sending host."`
	Rules   string   `placeholder:"FILE" help:"Use this rules file instead of asking the running gateway."`
	Offline bool     `help:"Do not have the gateway look up what the recipients' domains publish."`
}

// wholeMessage is how much of a message is sent to the gateway: more than its header, and less than a request may have.
const wholeMessage = 16 << 20

// Run explains.
func (c *rulesExplainCmd) Run(a *cli.App) error {
	q := admin.ExplainRequest{From: c.From, To: c.To, Client: c.Client, Offline: c.Offline}
	switch {
	case c.Message != "":
		content, err := a.ReadFile(c.Message)
		if err != nil {
			return err
		}
		if q.Message, q.Size = content, int64(len(content)); len(content) > wholeMessage {
			q.Message = content[:wholeMessage]
		}
	case c.From == "" || len(c.To) == 0:
		return cli.Usage(errors.New("name the sender and the recipients, or a message that does"), "postern rules explain --from anna@example.com --to dr@clinic.test")
	}
	out, err := c.ask(a, q)
	if err != nil {
		return err
	}
	if c.JSON {
		return a.Object(out)
	}
	sayExplanation(a, &out)
	warn(a, out.Warnings)
	return nil
}

// ask answers with the file of --rules, or through the running gateway.
func (c *rulesExplainCmd) ask(a *cli.App, q admin.ExplainRequest) (admin.Explanation, error) {
	if c.Rules == "" {
		return remote.Ask(a, &c.Gateway, func(client *api.Client) (admin.Explanation, error) {
			return client.Explain(a.Ctx, q)
		})
	}
	text, err := os.ReadFile(c.Rules)
	if err != nil {
		return admin.Explanation{}, fmt.Errorf("cannot read the rules: %w", err)
	}
	set, err := rules.Parse(c.Rules, text)
	if err != nil {
		return admin.Explanation{}, cli.Failure(err, "", cli.ExitShort)
	}
	var own []mail.Domain
	if c, err := a.Load(); err == nil { // a file of rules can be tried without a configuration
		for _, d := range c.Domain {
			own = append(own, d.Name)
		}
	}
	out, err := admin.ExplainWith(set, q, own, time.Now())
	if errors.Is(err, access.ErrBadRequest) {
		return out, cli.Usage(err, "")
	}
	return out, err
}

// sayExplanation prints each recipient's requirement, then each rule's why.
func sayExplanation(a *cli.App, e *admin.Explanation) {
	for _, note := range e.Taken {
		fmt.Fprintln(a.Stdout, note)
	}
	for _, r := range e.Recipients {
		fmt.Fprintf(a.Stdout, "%s requires %s\n", r.Recipient, r.Requires.Demand())
		switch {
		case r.Own:
			a.Detail("  ", "Because", "its domain is our own, which outbound rules are not about")
		case len(r.Rules) == 0:
			a.Detail("  ", "Because", "no rule asks for more")
		case r.Matched:
			a.Detail("  ", "Because", "named by rule "+strings.Join(r.Rules, ", "))
		default:
			a.Detail("  ", "Because", cmp.Or(r.Because, "rule "+strings.Join(r.Rules, ", ")+" leaves it to what its server can do"))
		}
		for _, p := range r.Parts {
			label := "Demand"
			if p.Test {
				label = "Would demand"
			}
			a.Detail("  ", label, p.Demand+" ("+strings.Join(p.Rules, ", ")+")")
		}
		a.Detail("  ", "Waits up to", r.Window)
		a.Detail("  ", "Under test", strings.Join(r.Tested, ", "))
		if r.WithoutTLS == "reject" {
			a.Detail("  ", "Without TLS", "returned at once, if its server offers no TLS at all")
		}
		if r.Publishing != nil {
			sayPublishing(a, r.Publishing)
		}
		if r.Lately != nil {
			sayLately(a, r.Lately)
		}
	}
	for _, r := range e.Rules {
		verdict := "does not match"
		if r.Matched {
			verdict = "matches"
		}
		if r.Skipped != "" {
			verdict = "is not looked at: " + r.Skipped
		}
		fmt.Fprintf(a.Stdout, "rule %s (%s) %s\n", r.Rule, r.Mode, verdict)
		for _, f := range r.Fields {
			mark := "no"
			if f.Matched {
				mark = "yes"
			}
			a.Detail("  ", f.Field, mark+": "+f.Why)
		}
	}
}

// sayLately prints what mail to a recipient's domain reached lately.
func sayLately(a *cli.App, l *past.Lately) {
	a.Detail("  ", "Lately", l.String())
	if n := l.Newest; n != nil {
		a.Detail("  ", "The newest", n.String())
	}
}
