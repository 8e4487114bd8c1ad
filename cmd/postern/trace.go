package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"postern/internal/attempt"
	"postern/internal/mail"
	"postern/internal/operator/admin"
)

// traceCmd answers what happened to mail.
type traceCmd struct {
	remote
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
func (c *traceCmd) Run(a *app) error {
	q := admin.Query{Sender: c.Sender, Recipient: c.Recipient, Messages: c.Message, MessageID: c.MessageID, States: c.State,
		Reason: c.Reason, Rule: c.Rule, Requires: c.Requires, Reached: c.Reached, Host: c.Host, Limit: c.Limit}
	var err error
	now := time.Now()
	if q.Since, err = moment(c.Since, now); err != nil {
		return err
	}
	if q.Until, err = moment(c.Until, now); err != nil {
		return err
	}
	if c.Long || len(c.Message) > 0 {
		return a.showTraces(&c.remote, q, "no such mail is known")
	}
	return a.listTraces(&c.remote, q)
}

// listTraces prints one row for each delivery.
func (a *app) listTraces(r *remote, q admin.Query) error {
	client, err := r.client(a)
	if err != nil {
		return err
	}
	defer client.Close()
	rows := a.newTable(col("MESSAGE", 16), col("ACCEPTED", 11), col("STATE", 9), col("TO", 0), col("PROTECTION OR REASON", 22))
	for t, err := range client.Traces(a.ctx, q) {
		switch {
		case err != nil:
			return tell(err)
		case r.JSON:
			if err := a.object(t); err != nil {
				return err
			}
		default:
			rows.row(t.Message, shortClock(t.AcceptedAt), t.State, t.To, why(&t))
		}
	}
	if !r.JSON && rows.empty() {
		fmt.Fprintln(a.stdout, "no such mail is known")
	}
	return nil
}

// showTraces prints deliveries in full. None at all is exit code 1.
func (a *app) showTraces(r *remote, q admin.Query, none string) error {
	client, err := r.client(a)
	if err != nil {
		return err
	}
	defer client.Close()
	count, message := 0, ""
	for t, err := range client.Traces(a.ctx, q) {
		if err != nil {
			return tell(err)
		}
		count++
		if r.JSON {
			if err := a.object(t); err != nil {
				return err
			}
			continue
		}
		if t.Message != message {
			a.showMessage(&t)
			message = t.Message
		}
		a.showDelivery(&t)
	}
	if count == 0 {
		return short(none)
	}
	return nil
}

// why is the last column of a list: the protection of what was delivered, the reason of anything else.
func why(t *admin.Trace) string {
	switch {
	case t.State == "delivered" && t.TLSVersion != "":
		return t.Reached + " " + t.TLSVersion
	case t.State == "delivered":
		return t.Reached
	case t.Reason != "":
		return t.Reason
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
func (a *app) showMessage(t *admin.Trace) {
	fmt.Fprintf(a.stdout, "Message %s\n", t.Message)
	from := t.From
	if from == "" {
		from = "<> (no reply wanted)"
	}
	a.detail("  ", "From", from)
	a.detail("  ", "Message-ID", t.MessageID)
	if t.Kind != "mail" {
		a.detail("  ", "Kind", t.Kind+" about "+t.About)
	}
	a.detail("  ", "Size", bytesText(t.Size))
	a.detail("  ", "Accepted", clock(t.AcceptedAt))
	if t.Inbound.Client.IsValid() {
		a.detail("  ", "Came from", t.Inbound.Client.String()+" "+t.Inbound.Helo+" with "+t.Inbound.Protocol+channel(t.InboundTLS))
	}
	a.detail("  ", "Logged in as", t.Inbound.User)
}

func channel(t *mail.TLS) string {
	if t == nil {
		return ", not encrypted"
	}
	return ", " + t.Version + " " + t.Cipher
}

// showDelivery prints one recipient's fate.
func (a *app) showDelivery(t *admin.Trace) {
	fmt.Fprintln(a.stdout)
	a.detail("  ", "To", t.To)
	state := t.State
	if t.FinishedAt != nil {
		state += " at " + clock(t.FinishedAt)
	}
	a.detail("    ", "State", state)
	a.detail("    ", "Held", t.Held)
	a.detail("    ", "Asked", t.Wish.String())
	rule := ""
	if t.Rule != "" {
		rule = " by rule " + t.Rule
	}
	a.detail("    ", "Requires", admin.Demanded(t.Requires)+rule)
	a.detail("    ", "Because", t.Why())
	a.detail("    ", "Handed in", t.HandedIn)
	a.detail("    ", "Under test", strings.Join(t.Would, ", "))
	a.detail("    ", "Reached", t.Reached)
	switch {
	case t.Reason == "":
	case t.State == "delivered":
		a.detail("    ", "Not better", t.Reason+": "+t.Text)
	default:
		a.detail("    ", "Reason", strings.TrimSpace(t.Reason+" "+t.Status)+": "+t.Text)
	}
	if t.State != "delivered" && t.State != "cancelled" {
		a.detail("    ", "Hint", t.Hint)
		a.detail("    ", "Next try", clock(t.NextAttemptAt))
	}
	if t.FinishedAt == nil {
		a.detail("    ", "Gives up", clock(t.ExpiresAt))
	}
	a.showChannel(t)
	a.detail("    ", "Peer's words", t.Reply)
	a.detail("    ", "Notes", strings.Join(t.Notes, ", "))
	a.detail("    ", "Attempts", strconv.Itoa(t.AttemptCount))
	for i := range t.Attempts {
		a.showAttempt(&t.Attempts[i])
	}
	if t.SiteAttempt != nil {
		a.detail("    ", "Its site", "failed "+strconv.Itoa(t.SiteFailing)+" times, last:")
		a.showAttempt(t.SiteAttempt)
	}
}

func (a *app) showChannel(t *admin.Trace) {
	host := t.MX
	if t.IP != "" {
		host += " [" + t.IP + "]"
	}
	a.detail("    ", "Host", host)
	if t.TLSVersion != "" {
		a.detail("    ", "TLS", fmt.Sprintf("%s %s (%d bits) %s", t.TLSVersion, t.Cipher, t.Bits, t.Group))
	}
	a.detail("    ", "Alert", t.Alert)
	a.detail("    ", "Expected", strings.Join(t.ExpectedNames, ", "))
	a.detail("    ", "Presented", strings.Join(t.PresentedNames, ", "))
	a.detail("    ", "Certificate", t.CertSubject)
	a.detail("    ", "Issued by", t.CertIssuer)
	if t.CertNotAfter != nil {
		a.detail("    ", "Valid", clock(t.CertNotBefore)+" until "+clock(t.CertNotAfter))
	}
	a.detail("    ", "SHA-256", t.CertSHA256)
}

// showAttempt prints the connections of one attempt.
func (a *app) showAttempt(at *attempt.Attempt) {
	began := at.At
	for i := range at.Tries {
		t := &at.Tries[i]
		said := "worked"
		switch {
		case t.Reason != "":
			said = strings.TrimSuffix(string(t.Reason)+": "+t.Text, ": ")
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
		a.detail("      ", began.Local().Format("01-02 15:04:05"), where+" "+string(t.Rung)+": "+said)
	}
	if len(at.Tries) == 0 {
		a.detail("      ", began.Local().Format("01-02 15:04:05"), strings.TrimSuffix(string(at.Reason)+": "+at.Text, ": "))
	}
}
