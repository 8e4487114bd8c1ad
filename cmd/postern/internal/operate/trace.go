package operate

import (
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"postern/cmd/postern/internal/cli"
	"postern/cmd/postern/internal/remote"
	"postern/internal/attempt"
	"postern/internal/mail"
	"postern/internal/operator/api"
	"postern/internal/operator/trace"
	"postern/internal/policy"
)

// TraceCmd answers what happened to mail.
type TraceCmd struct {
	remote.Gateway
	Sender    string   `placeholder:"WHO" help:"Sender: an address, a domain, or a pattern with * and ?."`
	Recipient string   `placeholder:"WHO" help:"Recipient, likewise."`
	Message   []string `placeholder:"ID" help:"The gateway's id of a message; shows everything known about it."`
	MessageID string   `name:"message-id" placeholder:"ID" help:"The Message-ID of the header."`
	State     []string `help:"Only these states: queued, sending, held, delivered, failed, cancelled."`
	Reason    string   `help:"Only this reason, such as cert-expired."`
	Rule      string   `help:"Only mail under this rule, in test mode too."`
	Requires  string   `placeholder:"LEVEL" help:"Only what must reach this level: plaintext, encrypted or authenticated."`
	Reached   string   `placeholder:"LEVEL" help:"Only what reached this level."`
	Host      string   `help:"Only what was tried last at this host: a name with * and ?, or an address."`
	Since     string   `placeholder:"TIME" help:"Accepted at or after: 2026-11-23, an RFC 3339 time, or how long ago (2h, 7d)."`
	Until     string   `placeholder:"TIME" help:"Accepted before."`
	Limit     int      `placeholder:"N" help:"At most so many, the newest first."`
	Long      bool     `help:"Show everything known about each delivery."`
}

// Run prints the deliveries.
func (c *TraceCmd) Run(a *cli.App) error {
	q := trace.Query{Sender: c.Sender, Recipient: c.Recipient, Messages: c.Message, MessageID: c.MessageID,
		States: c.State, Reason: c.Reason, Rule: c.Rule, Requires: c.Requires, Reached: c.Reached, Host: c.Host,
		Limit: c.Limit}
	var err error
	now := time.Now()
	if q.Since, err = cli.Moment(c.Since, now); err != nil {
		return err
	}
	if q.Until, err = cli.Moment(c.Until, now); err != nil {
		return err
	}
	if c.Long || len(c.Message) > 0 {
		return showTraces(a, &c.Gateway, q, "no such mail is known")
	}
	return listTraces(a, &c.Gateway, q)
}

// listTraces prints one row for each delivery.
func listTraces(a *cli.App, r *remote.Gateway, q trace.Query) error {
	rows := a.NewTable(cli.Col("MESSAGE", 16), cli.Col("ACCEPTED", 11), cli.Col("STATE", 9), cli.Col("TO", 0),
		cli.Col("PROTECTION OR REASON", 22))
	n, err := remote.List(a, r, tracesOf(a, q), func(t *trace.Delivery) {
		rows.Row(t.Message, cli.ShortClock(t.AcceptedAt), t.State, t.To, why(t))
	})
	if err == nil && n == 0 && !r.JSON {
		fmt.Fprintln(a.Stdout, "no such mail is known")
	}
	return err
}

// showTraces prints deliveries in full. None at all is exit code 1.
func showTraces(a *cli.App, r *remote.Gateway, q trace.Query, none string) error {
	message := ""
	n, err := remote.List(a, r, tracesOf(a, q), func(t *trace.Delivery) {
		if t.Message != message {
			showMessage(a, t)
			message = t.Message
		}
		showDelivery(a, t)
	})
	if err == nil && n == 0 {
		return cli.Short(none)
	}
	return err
}

// tracesOf asks for deliveries.
func tracesOf(a *cli.App, q trace.Query) func(*api.Client) iter.Seq2[trace.Delivery, error] {
	return func(client *api.Client) iter.Seq2[trace.Delivery, error] { return client.Traces(a.Ctx, q) }
}

// why is the last column of a list: the protection of what was delivered, the reason of anything else.
func why(t *trace.Delivery) string {
	switch {
	case t.State == "delivered" && t.TLSVersion != "":
		return t.Reached + " " + t.TLSVersion
	case t.State == "delivered":
		return t.Reached
	case t.Reason != "":
		return t.Reason
	case len(t.Effects) > 0 && t.State == "failed":
		return "by a rule"
	case t.State == "sending":
		return "being sent"
	case t.Held != "" && t.Kind == "mail":
		return t.Held
	case t.Held != "":
		return "not sent unprotected"
	}
	return "-"
}

func domainOf(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }

// showMessage prints what all deliveries of a message share.
func showMessage(a *cli.App, t *trace.Delivery) {
	fmt.Fprintf(a.Stdout, "Message %s\n", t.Message)
	from := t.From
	if from == "" {
		from = "<> (no reply wanted)"
	}
	a.Detail("  ", "From", from)
	a.Detail("  ", "Message-ID", t.MessageID)
	if t.Kind != "mail" {
		a.Detail("  ", "Kind", t.Kind+" about "+t.About)
	}
	a.Detail("  ", "Size", cli.BytesText(t.Size))
	a.Detail("  ", "Accepted", cli.Clock(t.AcceptedAt))
	if t.Inbound.Client.IsValid() {
		a.Detail("  ", "Came from", t.Inbound.Client.String()+" "+t.Inbound.Helo+" with "+
			t.Inbound.Protocol+channel(t.InboundTLS))
	}
	if t.Inbound.RequireTLS {
		a.Detail("  ", "Asks for", "REQUIRETLS: every server on the way must protect it and promise the same")
	}
	a.Detail("  ", "Logged in as", t.Inbound.User)
}

func channel(t *mail.TLS) string {
	if t == nil {
		return ", not encrypted"
	}
	return ", " + t.Version + " " + t.Cipher
}

// showDelivery prints one recipient's fate.
func showDelivery(a *cli.App, t *trace.Delivery) {
	fmt.Fprintln(a.Stdout)
	a.Detail("  ", "To", t.To)
	state := t.State
	if t.FinishedAt != nil {
		state += " at " + cli.Clock(t.FinishedAt)
	}
	a.Detail("    ", "State", state)
	a.Detail("    ", "Held", t.Held)
	a.Detail("    ", "Asked", t.Wish.String())
	rule := ""
	if t.Rule != "" {
		rule = " by rule " + t.Rule
	}
	a.Detail("    ", "Requires", trace.Demanded(t.Requires)+rule)
	a.Detail("    ", "Because", t.Why())
	a.Detail("    ", "Handed in", t.HandedIn)
	a.Detail("    ", "Under test", strings.Join(t.Would, ", "))
	for _, did := range t.Did() {
		a.Detail("    ", "Rules", did)
	}
	a.Detail("    ", "Reached", t.Reached)
	switch {
	case t.Reason == "" && t.State == "failed" && t.Text != "":
		a.Detail("    ", "Reason", t.Status+" "+t.Text)
	case t.Reason == "":
	case t.State == "delivered":
		a.Detail("    ", "Not better", t.Reason+": "+t.Text)
	default:
		a.Detail("    ", "Reason", strings.TrimSpace(t.Reason+" "+t.Status)+": "+t.Text)
	}
	if t.State != "delivered" && t.State != "cancelled" {
		a.Detail("    ", "Hint", t.Hint)
		a.Detail("    ", "Next try", cli.Clock(t.NextAttemptAt))
	}
	if t.FinishedAt == nil {
		a.Detail("    ", "Gives up", cli.Clock(t.ExpiresAt))
	}
	showChannel(a, t)
	a.Detail("    ", "Peer's words", t.Reply)
	a.Detail("    ", "Notes", strings.Join(t.Notes, ", "))
	a.Detail("    ", "Attempts", strconv.Itoa(t.AttemptCount))
	for i := range t.Attempts {
		showAttempt(a, &t.Attempts[i])
	}
	if t.SiteAttempt != nil {
		a.Detail("    ", "Its site", "failed "+strconv.Itoa(t.SiteFailing)+" times, last:")
		showAttempt(a, t.SiteAttempt)
	}
}

func showChannel(a *cli.App, t *trace.Delivery) {
	host := t.MX
	if t.IP != "" {
		host += " [" + t.IP + "]"
	}
	a.Detail("    ", "Host", host)
	if t.TLSVersion != "" {
		a.Detail("    ", "TLS", fmt.Sprintf("%s %s (%d bits) %s", t.TLSVersion, t.Cipher, t.Bits, t.Group))
	}
	a.Detail("    ", "Proved by", t.ProvedBy)
	if p := t.PolicyDetail; p != nil {
		for _, p := range append([]trace.Policy{*p}, p.Also...) {
			a.Detail("    ", "Published", p.Line(p.AgeS, p.Matched))
			for _, s := range p.Shortfalls {
				a.Detail("    ", "Falls short", string(s.Reason)+": "+s.Text)
			}
		}
	}
	a.Detail("    ", "Alert", t.Alert)
	a.Detail("    ", "Expected", strings.Join(t.ExpectedNames, ", "))
	a.Detail("    ", "Presented", strings.Join(t.PresentedNames, ", "))
	a.Detail("    ", "Certificate", t.CertSubject)
	a.Detail("    ", "Issued by", t.CertIssuer)
	if t.CertNotAfter != nil {
		a.Detail("    ", "Valid", cli.Clock(t.CertNotBefore)+" until "+cli.Clock(t.CertNotAfter))
	}
	a.Detail("    ", "SHA-256", t.CertSHA256)
}

// showAttempt prints the connections of one attempt.
func showAttempt(a *cli.App, at *attempt.Attempt) {
	began := at.At
	for i := range at.Tries {
		t := &at.Tries[i]
		said := "worked"
		switch {
		case t.Reason != "":
			said = strings.TrimSuffix(string(t.Reason)+": "+t.Text, ": ")
		case t.Judged:
			said = "was judged by what it offers; nothing was sent"
		case t.Used && at.Reason.Class() == policy.OfAnswer:
			said = "was asked to take the mail, " + t.Reached.String()
		case t.Used:
			said = "carried the mail, " + t.Reached.String()
		case t.Text != "":
			said = t.Text
		}
		if t.Remote != "" {
			said += " | the peer wrote: " + t.Remote
		}
		where := t.Host
		if t.IP.IsValid() {
			where += " [" + t.IP.String() + "]"
		}
		a.Detail("      ", began.Local().Format("01-02 15:04:05"), where+" "+string(t.Rung)+": "+said)
	}
	if len(at.Tries) == 0 {
		a.Detail("      ", began.Local().Format("01-02 15:04:05"),
			strings.TrimSuffix(string(at.Reason)+": "+at.Text, ": "))
	}
}
