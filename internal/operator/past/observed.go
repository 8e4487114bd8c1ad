package past

import (
	"cmp"
	"context"
	"slices"
	"time"

	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/operator/trace"
	"postern/internal/policy"
	"postern/internal/queue"
)

// Observed says what was delivered though it fell short of what its domain publishes, because that is only observed,
// under test, under an exception or set aside by the message: what would have waited at that host if it were kept to.
// It is as good as the records, which end with a message's time in the queue and the trace.
type Observed struct {
	Since      time.Time     `json:"since"`
	Deliveries int           `json:"deliveries"` // looked at
	Complete   bool          `json:"complete"`   // everything since Since was looked at
	SearchedTo *time.Time    `json:"searched_to,omitempty"`
	Rows       []ObservedRow `json:"rows"`
	// More is how many rows there are besides.
	More int `json:"more,omitempty"`
}

// ObservedRow is what fell short alike at one domain. Hosts are some of the hosts, Text and Message are of the newest
// delivery.
type ObservedRow struct {
	Domain     string        `json:"domain"`
	Kind       string        `json:"kind"` // policy.PublishedDANE or policy.PublishedSTS
	Mode       string        `json:"mode"` // why it was not kept to: policy.Testing and its like
	Reason     policy.Reason `json:"reason"`
	Text       string        `json:"text"`
	Hosts      []string      `json:"hosts"`
	Deliveries int           `json:"deliveries"`
	FirstAt    *time.Time    `json:"first_at"`
	LastAt     *time.Time    `json:"last_at"`
	Message    string        `json:"message"`
}

// ObservedRequest asks for it; the zero value is about all domains in the last ObservedDays.
type ObservedRequest struct {
	Domain string `query:"domain" doc:"of recipients, exact"`
	Days   int    `query:"days" minimum:"0" maximum:"90" doc:"so many days back; 0 is 7"`
}

const (
	// ObservedDays is how far back is looked where nothing else is asked.
	ObservedDays  = 7
	observedRows  = 200
	observedHosts = 5
)

// Observed looks at past mail for at most patience, and ten seconds.
func (d PastDesk) Observed(ctx context.Context, q ObservedRequest, patience time.Duration) (Observed, error) {
	if err := d.who.Need(access.ReadTrace); err != nil {
		return Observed{}, err
	}
	if q.Days < 0 || q.Days > 90 {
		return Observed{}, access.BadRequest("days are 1 to 90")
	}
	out := Observed{Since: time.Now().UTC().AddDate(0, 0, -cmp.Or(q.Days, ObservedDays)), Rows: []ObservedRow{}}
	filter := queue.Filter{States: []queue.State{queue.Delivered}, Since: out.Since}
	if q.Domain != "" {
		domain, err := mail.ParseDomain(q.Domain)
		if err != nil {
			return Observed{}, access.BadRequest("%w", err)
		}
		filter.Domain = domain.String()
	}
	select {
	case d.s.cfg.Lookers <- struct{}{}:
		defer func() { <-d.s.cfg.Lookers }()
	default:
		return Observed{}, ErrPreviews
	}
	sum := observing{}
	stop, err := d.who.SearchFor(ctx, filter, previewMost, min(patience, 10*time.Second), func(r *queue.Record) bool {
		out.Deliveries++
		sum.add(d.who.Told(r))
		return true
	})
	if out.Complete = stop == nil; stop != nil {
		out.SearchedTo = trace.Instant(stop.AcceptedAt)
	}
	out.Rows, out.More = sum.rows()
	return out, err
}

// shortfall is what makes a row.
type shortfall struct {
	domain, kind, mode string
	reason             policy.Reason
}

// observing adds rows up.
type observing map[shortfall]*ObservedRow

// add looks at the connection that carried a delivery.
func (o observing) add(r *queue.Record) {
	for i := range r.History {
		try := r.History[i].Used()
		if try == nil {
			continue
		}
		for _, p := range try.Published {
			if p.Mode == policy.Enforced || p.Mode == "" || len(p.Shortfalls) == 0 {
				continue
			}
			o.count(shortfall{r.Recipient.Address.Domain.String(), p.Kind, p.Mode, p.Shortfalls[0].Reason},
				p.Shortfalls[0].Text, try.Host, try.At, string(r.Delivery.Message))
		}
	}
}

func (o observing) count(key shortfall, text, host string, at time.Time, message string) {
	row := o[key]
	if row == nil {
		row = &ObservedRow{Domain: key.domain, Kind: key.kind, Mode: key.mode, Reason: key.reason, Hosts: []string{}}
		o[key] = row
	}
	row.Deliveries++
	if row.LastAt == nil || at.After(*row.LastAt) {
		row.LastAt, row.Text, row.Message = trace.Instant(at), text, message
	}
	if row.FirstAt == nil || at.Before(*row.FirstAt) {
		row.FirstAt = trace.Instant(at)
	}
	if len(row.Hosts) < observedHosts && host != "" && !slices.Contains(row.Hosts, host) {
		row.Hosts = append(row.Hosts, host)
	}
}

// rows are those with most deliveries first.
func (o observing) rows() (out []ObservedRow, more int) {
	out = []ObservedRow{}
	for _, row := range o {
		slices.Sort(row.Hosts)
		out = append(out, *row)
	}
	slices.SortFunc(out, func(a, b ObservedRow) int {
		return cmp.Or(cmp.Compare(b.Deliveries, a.Deliveries), cmp.Compare(a.Domain, b.Domain),
			cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Mode, b.Mode), cmp.Compare(a.Reason, b.Reason))
	})
	if more = len(out) - observedRows; more > 0 {
		return out[:observedRows], more
	}
	return out, 0
}
