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
	"postern/cmd/postern/internal/rooms"
	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/operator/admin"
	"postern/internal/operator/api"
	"postern/internal/operator/past"
	"postern/internal/policy/rulelist"
	"postern/internal/policy/rules"
)

// rulesExplainCmd answers what rules would do.
type rulesExplainCmd struct {
	remote.Gateway
	From    string   `placeholder:"ADDRESS" help:"The sender; <> is the null sender. Otherwise the one of --message."`
	To      []string `placeholder:"ADDRESS" help:"The recipients, separated by commas. Otherwise those of --message."`
	Message string   `placeholder:"FILE" help:"A message as a mail program saves it, or its header; - reads standard input."`
	Client  string   `placeholder:"IP" help:"The address of the sending host."`
	User    string   `placeholder:"NAME" help:"The name the client logged in by, for rules about a whole domain."`
	Bound   []string `placeholder:"DOMAIN" help:"The senders that bind the client, for rules about a whole domain. Otherwise those of its [[relay_client]]."`
	Rules   string   `placeholder:"FILE" help:"Use this rules file instead of asking the running gateway."`
	Offline bool     `help:"Do not have the gateway look up what the recipients' domains publish."`

	Listener    string `placeholder:"NAME" help:"The listener that mail from others comes to."`
	TLS         string `name:"tls" enum:",none,1.0,1.1,1.2,1.3" default:"" placeholder:"VERSION" help:"What mail from others comes with: none, or a version of TLS."`
	Bits        int    `placeholder:"N" help:"The bits of its cipher; 128 if not given."`
	KeyExchange string `placeholder:"GROUP" help:"Its key exchange, X25519MLKEM768 for instance."`
	Certificate string `placeholder:"FILE" help:"The certificates that the other side shows, PEM."`
}

// wholeMessage is how much of a message is sent to the gateway: more than its header, and less than a request may have.
const wholeMessage = 16 << 20

// Run explains.
func (c *rulesExplainCmd) Run(a *cli.App) error {
	q := admin.ExplainRequest{From: c.From, To: c.To, Client: c.Client, Offline: c.Offline, User: c.User,
		Bound: c.Bound}
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
		return cli.Usage(errors.New("name the sender and the recipients, or a message that does"),
			"postern rules explain --from anna@example.com --to dr@clinic.test")
	}
	q.Arrival = admin.Arrival{Listener: c.Listener, TLS: c.TLS, Bits: c.Bits, Group: c.KeyExchange}
	if c.Certificate != "" {
		text, err := a.ReadFile(c.Certificate)
		if err != nil {
			return err
		}
		q.Arrival.Certificate = string(text)
	}
	out, err := c.ask(a, q)
	if err != nil {
		return err
	}
	if c.JSON {
		return a.Object(out)
	}
	sayExplanation(a, &out)
	sayArrival(a, out.Inbound)
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
	var own []mail.Domain
	if cfg, err := a.Load(); err == nil { // a file of rules can be tried without a configuration
		for _, d := range cfg.Domain {
			own = append(own, d.Name)
		}
		if text, err = rulelist.Fill(c.Rules, text, rooms.ListsIn(rooms.ConfigDir(cfg))); err != nil {
			return admin.Explanation{}, cli.Failure(err, "", cli.ExitShort)
		}
	}
	set, err := rules.Parse(c.Rules, text)
	if err != nil {
		return admin.Explanation{}, cli.Failure(err, "", cli.ExitShort)
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
			a.Detail("  ", "Because", cmp.Or(r.Because, "rule "+strings.Join(r.Rules, ", ")+
				" leaves it to what its server can do"))
		}
		for _, p := range r.Parts {
			label := "Demand"
			if p.Test {
				label = "Would demand"
			}
			a.Detail("  ", label, p.Demand+" ("+strings.Join(p.Rules, ", ")+")")
		}
		for _, s := range r.Does {
			label, not := "Does", ""
			if s.Test {
				label = "Would do"
			}
			if s.Not != "" {
				label, not = "Does not", ": "+s.Not
			}
			a.Detail("  ", label, s.Does+" ("+s.Rule+")"+not)
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
	sayRules(a, e.Rules)
}

// sayRules prints each rule's why.
func sayRules(a *cli.App, list []rules.RuleExplanation) {
	for _, r := range list {
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
