package admin

import (
	"slices"
	"time"

	"postern/internal/mail"
	"postern/internal/operator/trace"
	"postern/internal/policy"
	"postern/internal/queue"
)

// Query selects deliveries; the zero Query selects all. Fields are ANDed.
type Query struct {
	Sender, Recipient string   // pattern with * and ?, address or domain
	Domain            string   // recipient domain, exact
	Messages          []string // queue ids
	MessageID         string
	States            []string
	Reason, Rule      string
	Site              string    // key of where it waits
	Requires, Reached string    // level
	Host              string    // that was talked to last, name or address; pattern with * and ?
	Since, Until      time.Time // of acceptance: at or after, before
	Limit             int       // of what a client yields, 0 for all; a Desk has pages instead
}

// Waiting are the states of mail that is not finished.
func Waiting() []string { return []string{"queued", "sending", "held"} }

// filter checks q and turns it into the store's form.
func (q *Query) filter() (queue.Filter, error) {
	f := queue.Filter{Sender: q.Sender, Recipient: q.Recipient, MessageID: q.MessageID, Reason: policy.Reason(q.Reason), Rule: q.Rule,
		Since: q.Since, Until: q.Until, Limit: q.Limit}
	for _, name := range q.States {
		st, ok := queue.ParseState(name)
		if !ok {
			return f, badRequest("there is no state %q; the states are queued, sending, held, delivered, failed, cancelled", name)
		}
		f.States = append(f.States, st)
	}
	known := func(i policy.Info) bool { return string(i.Reason) == q.Reason }
	if q.Reason != "" && !slices.ContainsFunc(policy.Reasons(), known) {
		return f, badRequest("there is no reason %q", q.Reason)
	}
	if q.Domain != "" {
		d, err := mail.ParseDomain(q.Domain)
		if err != nil {
			return f, badRequest("%w", err)
		}
		f.Domain = d.String()
	}
	for _, id := range q.Messages {
		f.IDs = append(f.IDs, queue.ID(id))
	}
	for _, level := range []string{q.Requires, q.Reached} {
		if level != "" && level != policy.Plaintext.String() && level != policy.Encrypted.String() && level != policy.Authenticated.String() {
			return f, badRequest("there is no level %q; the levels are plaintext, encrypted, authenticated", level)
		}
	}
	f.Site = queue.SiteKey(q.Site)
	if q.Limit < 0 {
		return f, badRequest("a limit is not negative")
	}
	return f, nil
}

// onlyStates reports whether q selects by nothing but states.
func (q *Query) onlyStates() bool {
	return q.Sender+q.Recipient+q.Domain+q.MessageID+q.Reason+q.Rule+q.Site+q.Requires+q.Reached+q.Host == "" && len(q.Messages) == 0 &&
		q.Since.IsZero() && q.Until.IsZero()
}

// keeps holds a delivery against what the store does not look at.
func (q *Query) keeps(t *trace.Delivery) bool {
	is := func(wanted, got string) bool { return wanted == "" || wanted == got }
	return is(q.Requires, t.Requires) && is(q.Reached, t.Reached) && (q.Host == "" || queue.MatchText(q.Host, t.MX) || q.Host == t.IP)
}
