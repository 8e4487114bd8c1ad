// Package reports shows reports about TLS (RFC 8460). Ours to other domains are documents of what was counted; those of
// others on us stand beside what we saw of the client ourselves. How others brought mail stands beside them.
package reports

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"postern/internal/gateway/tlsreport"
	"postern/internal/history/tlscounts"
	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/operator/scope"
	"postern/internal/operator/trace"
	"postern/internal/platform/records"
)

// Reporting is what admin asks about reports to other domains on TLS with their servers.
type Reporting struct {
	Counts *tlscounts.Book
	States *tlsreport.States
	Author tlsreport.Author
	// Sends says that reports are sent; otherwise they are only counted.
	Sends bool
}

// ReportDesk answers about reports on TLS, ours and those of others. Make one by For.
type ReportDesk struct {
	who  *scope.Asker
	sent *Reporting
	got  *ReceivedReports
}

// For is the desk of somebody who asks. sent is nil where nothing is counted, got where none are taken.
func For(who *scope.Asker, sent *Reporting, got *ReceivedReports) ReportDesk {
	return ReportDesk{who, sent, got}
}

// ReportOut is what there is to report to a domain of one day, and how far that came. Names of fields stay.
type ReportOut struct {
	Day    string `json:"day"` // in UTC
	Domain string `json:"domain"`
	// Of is "recipients", or "mail-host" where the domain is a TLSA base domain alone: the same sessions are then
	// counted at the recipients' domains.
	Of        string `json:"of"`
	Succeeded int64  `json:"succeeded"`
	Failed    int64  `json:"failed"`
	// State is "counting" while the day lasts, "off" where nothing is sent, then "waiting", "sent", "no-record" or
	// "failed"; "missed" where the gateway did not send until it was too late.
	State  string     `json:"state"`
	Text   string     `json:"text"`
	ID     string     `json:"id"`
	Tried  int        `json:"tried"`
	LastAt *time.Time `json:"last_at"`
	NextAt *time.Time `json:"next_at"`
	To     []ReportTo `json:"to"`
}

// ReportTo is one destination of a report.
type ReportTo struct {
	URI     string     `json:"uri"`
	State   string     `json:"state"` // "waiting", "sent" or "failed"
	Text    string     `json:"text"`
	At      *time.Time `json:"at"`
	Message string     `json:"message"` // the mail that carries it, for its trace
}

// ReportDocument is the document of a report as it would be sent (RFC 8460 §4.4), with what became of it.
type ReportDocument struct {
	ReportOut
	Document json.RawMessage `json:"document"`
}

// Whose sessions a report is of.
const (
	OfRecipients = "recipients"
	OfMailHost   = "mail-host"
)

// Days an administrator may call by a word.
const (
	today     = "today"
	yesterday = "yesterday"
)

// reporting refuses where the gateway counts nothing, and who may not: reports tell where the mail of all goes.
func (d ReportDesk) reporting() (*Reporting, error) {
	if err := d.who.Wide(access.ReadPeers); err != nil {
		return nil, err
	}
	if d.sent == nil {
		return nil, access.BadRequest("this gateway counts nothing for reports about TLS")
	}
	return d.sent, nil
}

// reportDay reads a day; "" is none.
func reportDay(text string, now time.Time) (string, error) {
	switch text {
	case "":
		return "", nil
	case today:
		return tlscounts.Day(now), nil
	case yesterday:
		return tlscounts.Day(now.AddDate(0, 0, -1)), nil
	}
	if _, err := time.Parse(time.DateOnly, text); err != nil {
		return "", access.BadRequest("%q is no day: write it as 2026-11-29, in UTC, or today or yesterday", text)
	}
	return text, nil
}

// Reports lists what there is to report, by day and domain. day limits it to one day; "" is all that are kept.
func (d ReportDesk) Reports(ctx context.Context, day string, q scope.PageRequest) (scope.Page[ReportOut], error) {
	out := scope.Page[ReportOut]{Items: []ReportOut{}, Complete: true}
	r, err := d.reporting()
	if err != nil {
		return out, err
	}
	now := time.Now()
	if day, err = reportDay(day, now); err != nil {
		return out, err
	}
	after, before := "", ""
	if day != "" {
		after, before = tlscounts.Span(day)
	}
	list, err := r.Counts.List(ctx, max(after, q.After), before, q.Most())
	if err != nil {
		return out, fmt.Errorf("cannot read what was counted: %w", err)
	}
	for i := range list {
		one, err := r.out(ctx, &list[i], now)
		if err != nil {
			return out, err
		}
		out.Items = append(out.Items, one)
	}
	if n := len(list); n > 0 && n == q.Most() {
		out.Next = tlscounts.Key(list[n-1].Day, list[n-1].Domain)
	}
	return out, nil
}

// Report shows the document of a day for a domain.
func (d ReportDesk) Report(ctx context.Context, day, domain string) (ReportDocument, error) {
	r, err := d.reporting()
	if err != nil {
		return ReportDocument{}, err
	}
	now := time.Now()
	if day, err = reportDay(day, now); err != nil {
		return ReportDocument{}, err
	}
	name, err := mail.ParseDomain(strings.TrimSuffix(domain, "."))
	if err != nil || day == "" {
		return ReportDocument{}, access.BadRequest("a report is of a day and a domain")
	}
	counts, err := r.Counts.Counts(ctx, day, name.String())
	if errors.Is(err, records.ErrNotFound) {
		return ReportDocument{}, access.NotFound("nothing was counted of %s on %s", name, day)
	}
	if err != nil {
		return ReportDocument{}, fmt.Errorf("cannot read what was counted: %w", err)
	}
	out := ReportDocument{}
	if out.ReportOut, err = r.out(ctx, &counts, now); err != nil {
		return ReportDocument{}, err
	}
	document := tlsreport.Document(&counts, r.Author)
	out.Document = document.JSON()
	return out, nil
}

// out is what an administrator sees of counts.
func (r *Reporting) out(ctx context.Context, c *tlscounts.Counts, now time.Time) (ReportOut, error) {
	state, err := r.States.Get(ctx, c.Day, c.Domain)
	if err != nil {
		return ReportOut{}, fmt.Errorf("cannot read what became of reports: %w", err)
	}
	out := ReportOut{Day: c.Day, Domain: c.Domain, Of: OfRecipients, State: string(state.State), Text: state.Text,
		ID: state.ID, Tried: state.Tried, LastAt: trace.Instant(state.Last), NextAt: trace.Instant(state.Next),
		To: []ReportTo{}}
	var copies bool
	if out.Succeeded, out.Failed, copies = c.Sum(); copies {
		out.Of = OfMailHost
	}
	switch {
	case out.State != "":
	case c.Day >= tlscounts.Day(now):
		out.State = "counting"
	case !r.Sends:
		out.State = "off"
	case c.Day < tlscounts.Day(now.AddDate(0, 0, -1-tlsreport.Days)):
		out.State = "missed"
	default:
		out.State = string(tlsreport.Waiting)
	}
	for _, to := range state.To {
		out.To = append(out.To, ReportTo{URI: to.URI, State: string(to.State), Text: to.Text, At: trace.Instant(to.At),
			Message: to.Message})
	}
	return out, nil
}
