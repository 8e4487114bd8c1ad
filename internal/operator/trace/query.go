package trace

import (
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/policy"
	"postern/internal/queue"
)

// Query selects deliveries; the zero Query selects all. Fields are ANDed. The tags are the names of its fields wherever
// a search is written as parameters: in the API, whose description they fill, and in the console's form.
type Query struct {
	Sender     string   `query:"sender" doc:"pattern with * and ?, address or domain; <> is the null sender"`
	Recipient  string   `query:"recipient" doc:"pattern with * and ?, address or domain"`
	Domain     string   `query:"domain" doc:"of the recipient, exact"`
	Messages   []string `query:"message,explode" doc:"id of a message in this gateway"`
	MessageID  string   `query:"message_id" doc:"field of the header"`
	States     []string `query:"state,explode" doc:"queued, sending, held, delivered, failed, cancelled"`
	Reason     string   `query:"reason" doc:"reason code"`
	Rule       string   `query:"rule" doc:"name of a rule that demanded something"`
	Quarantine string   `query:"quarantine" doc:"name of the rule that holds it now, pattern with * and ?"`
	Site       string   `query:"site" doc:"key of where it waits, from /sites"`
	Requires   string   `query:"requires" doc:"level: plaintext, encrypted, authenticated"`
	Reached    string   `query:"reached" doc:"level"`
	Host       string   `query:"host" doc:"that was talked to last: name with * and ?, or address"`
	// Since and Until are of acceptance: at or after, before. Each face reads times in its own way.
	Since, Until time.Time
	Limit        int // of what a client yields, 0 for all; a Desk has pages instead
}

// fields yields the parameters by their names: a *string or a *[]string each.
func (q *Query) fields(yield func(name string, field any) bool) {
	v := reflect.ValueOf(q).Elem()
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("query"), ",")
		if name != "" && !yield(name, v.Field(i).Addr().Interface()) {
			return
		}
	}
}

// Parameters are the names of the fields as parameters, the times at the end.
func Parameters() (names []string) {
	for name := range new(Query).fields {
		names = append(names, name)
	}
	return append(names, "since", "until")
}

// QueryOf reads parameters, but not the times.
func QueryOf(v url.Values) (q Query) {
	for name, field := range q.fields {
		switch field := field.(type) {
		case *string:
			*field = v.Get(name)
		case *[]string:
			*field = slices.DeleteFunc(slices.Clone(v[name]), func(s string) bool { return s == "" })
		}
	}
	return q
}

// Values writes q as parameters, leaving out what is not set.
func (q Query) Values() url.Values {
	v := url.Values{}
	for name, field := range q.fields {
		switch field := field.(type) {
		case *string:
			if *field != "" {
				v[name] = []string{*field}
			}
		case *[]string:
			if len(*field) > 0 {
				v[name] = *field
			}
		}
	}
	for name, t := range map[string]time.Time{"since": q.Since, "until": q.Until} {
		if !t.IsZero() {
			v.Set(name, t.UTC().Format(time.RFC3339Nano))
		}
	}
	return v
}

// WaitingStates are the states of mail that is not finished.
func WaitingStates() []string { return []string{"queued", "sending", "held"} }

// Filter checks q and turns it into the store's form. Its errors wrap access.ErrBadRequest.
func (q *Query) Filter() (queue.Filter, error) {
	f := queue.Filter{Sender: q.Sender, Recipient: q.Recipient, MessageID: q.MessageID, Reason: policy.Reason(q.Reason),
		Rule: q.Rule, Since: q.Since, Until: q.Until, Limit: q.Limit}
	for _, name := range q.States {
		st, ok := queue.ParseState(name)
		if !ok {
			return f, access.BadRequest("there is no state %q; the states are queued, sending, held, delivered, "+
				"failed, cancelled", name)
		}
		f.States = append(f.States, st)
	}
	known := func(i policy.Info) bool { return string(i.Reason) == q.Reason }
	if q.Reason != "" && !slices.ContainsFunc(policy.Reasons(), known) {
		return f, access.BadRequest("there is no reason %q", q.Reason)
	}
	if q.Domain != "" {
		d, err := mail.ParseDomain(q.Domain)
		if err != nil {
			return f, access.BadRequest("%w", err)
		}
		f.Domain = d.String()
	}
	for _, id := range q.Messages {
		f.IDs = append(f.IDs, queue.ID(id))
	}
	for _, level := range []string{q.Requires, q.Reached} {
		if level != "" && level != policy.Plaintext.String() && level != policy.Encrypted.String() &&
			level != policy.Authenticated.String() {
			return f, access.BadRequest("there is no level %q; the levels are plaintext, encrypted, authenticated",
				level)
		}
	}
	f.Site = queue.SiteKey(q.Site)
	if q.Quarantine != "" && len(f.States) == 0 {
		f.States = []queue.State{queue.Held}
	}
	if q.Limit < 0 {
		return f, access.BadRequest("a limit is not negative")
	}
	return f, nil
}

// OnlyStates reports whether q selects by nothing but states.
func (q *Query) OnlyStates() bool {
	v := q.Values()
	delete(v, "state")
	return len(v) == 0
}

// Keeps holds a delivery against what the store does not look at.
func (q *Query) Keeps(t *Delivery) bool {
	is := func(wanted, got string) bool { return wanted == "" || wanted == got }
	held := q.Quarantine == "" || t.Quarantine != nil && queue.MatchText(q.Quarantine, t.Quarantine.Rule)
	return held && is(q.Requires, t.Requires) && is(q.Reached, t.Reached) &&
		(q.Host == "" || queue.MatchText(q.Host, t.MX) || q.Host == t.IP)
}
