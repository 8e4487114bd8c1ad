package reports

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"postern/internal/history/inbound"
	"postern/internal/history/tlsreports"
	"postern/internal/operator/access"
	"postern/internal/operator/scope"
	"postern/internal/operator/trace"
	"postern/internal/policy/tlsrpt"
)

// ReceivedReports is what admin asks about reports of others on TLS with us.
type ReceivedReports struct {
	Book *tlsreports.Book
	// Sessions remembers how strangers spoke to us.
	Sessions *inbound.Book
}

// ReceivedReport is a report of somebody else on TLS with us. Names of fields stay.
type ReceivedReport struct {
	ID     string     `json:"id"`
	At     *time.Time `json:"at"`
	Way    string     `json:"way"`    // "mail" or "https"
	Client string     `json:"client"` // the address that brought it
	From   string     `json:"from"`
	// Sender is the signer, or where nobody signed what the report claims.
	Sender string `json:"sender"`
	Signer string `json:"signer"` // "" where no signature holds: anybody may have written it
	// Unsigned says why nobody signed it.
	Unsigned     string            `json:"unsigned"`
	Submitter    string            `json:"submitter"`
	Organization string            `json:"organization"`
	Contact      string            `json:"contact"`
	ReportID     string            `json:"report_id"`
	Start        *time.Time        `json:"start"`
	End          *time.Time        `json:"end"`
	Succeeded    int64             `json:"succeeded"`
	Failed       int64             `json:"failed"`
	Parts        []tlsreports.Part `json:"parts"`
	Oddities     []string          `json:"oddities"`
	Copies       int               `json:"copies"`
	CopiedAt     *time.Time        `json:"copied_at"`
}

// ReceivedDocument is such a report with what it says, each failure beside what we saw.
type ReceivedDocument struct {
	ReceivedReport
	Policies []ReceivedPolicy `json:"policies"`
	// More says that the document has more policies or failures than are shown.
	More bool `json:"more"`
}

// ReceivedPolicy is what a report says of one policy.
type ReceivedPolicy struct {
	Type      string            `json:"type"`
	Domain    string            `json:"domain"`
	Strings   []string          `json:"strings"`
	MXHosts   []string          `json:"mx_hosts"`
	Succeeded int64             `json:"succeeded"`
	Failed    int64             `json:"failed"`
	Failures  []ReceivedFailure `json:"failures"`
}

// ReceivedFailure is one kind of failed sessions.
type ReceivedFailure struct {
	Result     string           `json:"result"`
	Sessions   int64            `json:"sessions"`
	Address    string           `json:"address"` // of the sender
	ReceiverIP string           `json:"receiver_ip"`
	Host       string           `json:"host"`
	Helo       string           `json:"helo"`
	Code       string           `json:"code"`
	Info       string           `json:"additional_information"`
	Saw        tlsreports.Sight `json:"saw"`
}

// ReceivedSummary is what the reports of some days come to.
type ReceivedSummary struct {
	Since *time.Time `json:"since"`
	// Complete is false where there were more reports, rows or addresses than are looked at.
	Complete bool                 `json:"complete"`
	Failing  []tlsreports.Failing `json:"failing"`
	Days     []tlsreports.DaySum  `json:"days"`
}

// Bounds of one answer.
const (
	receivedLooked   = 2000 // reports that one page looks through
	receivedSummed   = 5000 // of a summary
	policiesMost     = 100
	failuresMost     = 300
	addressesLooked  = 200
	receivedDaysMost = 90
)

// ReceivedQuery chooses reports; what is zero restricts nothing.
type ReceivedQuery struct {
	Domain string // of ours
	Sender string // the signer or the claim, or a part of it
	// Failing leaves out reports in which nothing failed.
	Failing bool
	scope.PageRequest
}

// receiving refuses who may not; it is nil where no reports are kept.
func (d ReportDesk) receiving() (*ReceivedReports, error) {
	return d.got, d.who.Need(access.ReadPeers)
}

// own leaves of a report what is about the scope; false where that is nothing. Where it is about others too, what may
// name them goes.
func (d ReportDesk) own(r *tlsreports.Received) bool {
	if d.who.Scope.All {
		return true
	}
	all := len(r.Parts)
	r.Parts = slices.DeleteFunc(slices.Clone(r.Parts), func(p tlsreports.Part) bool {
		return p.Domain == "" || !d.who.CoversName(p.Domain)
	})
	if len(r.Parts) < all {
		r.ReportID, r.Oddities, r.From = "", nil, ""
	}
	return len(r.Parts) > 0
}

func receivedReport(r *tlsreports.Received) ReceivedReport {
	out := ReceivedReport{ID: r.ID, At: trace.Instant(r.At), Way: r.Way, Client: r.Client, From: r.From,
		Sender: r.Sender(), Signer: r.Signer, Unsigned: r.Unsigned, Submitter: r.Submitter,
		Organization: r.Organization, Contact: r.Contact, ReportID: r.ReportID,
		Start: trace.Instant(r.Start), End: trace.Instant(r.End), Parts: r.Parts,
		Oddities: append([]string{}, r.Oddities...), Copies: r.Copies, CopiedAt: trace.Instant(r.Copied)}
	out.Succeeded, out.Failed = r.Sums()
	return out
}

// ReceivedReports lists the reports of others, the newest first.
func (d ReportDesk) ReceivedReports(ctx context.Context, q ReceivedQuery) (scope.Page[ReceivedReport], error) {
	out := scope.Page[ReceivedReport]{Items: []ReceivedReport{}, Complete: true}
	book, err := d.receiving()
	if err != nil || book == nil {
		return out, err
	}
	list, more, err := book.Book.List(ctx, tlsreports.Query{After: q.After, Most: receivedLooked})
	if err != nil {
		return out, fmt.Errorf("cannot read the reports: %w", err)
	}
	for i := range list {
		r := &list[i]
		if !d.own(r) || !q.keeps(r) {
			continue
		}
		out.Items = append(out.Items, receivedReport(r))
		if len(out.Items) == q.Most() && (i < len(list)-1 || more) {
			out.Next = r.Key
			return out, nil
		}
	}
	if more {
		last := &list[len(list)-1]
		out.Next, out.Complete, out.SearchedTo = last.Key, false, trace.Instant(last.At)
		if !d.who.Scope.All { // it may be a report to others
			at, _, _ := strings.Cut(last.Key, " ")
			out.Next = at + " ~"
		}
	}
	return out, nil
}

// keeps holds a report, as it is told, against the query.
func (q *ReceivedQuery) keeps(r *tlsreports.Received) bool {
	_, failed := r.Sums()
	return (q.Domain == "" || r.About(strings.ToLower(strings.TrimSuffix(q.Domain, ".")))) &&
		(q.Sender == "" || strings.Contains(strings.ToLower(r.Sender()), strings.ToLower(q.Sender))) &&
		(!q.Failing || failed > 0)
}

func noReport(id string) error { return access.NotFound("there is no report %q", id) }

// ReceivedReport shows a report of somebody else, and what we saw of each failure. Sessions are those of a client with
// all our domains, so that a scope of domains is not told of them.
func (d ReportDesk) ReceivedReport(ctx context.Context, id string) (ReceivedDocument, error) {
	book, err := d.receiving()
	if err == nil && book == nil {
		err = noReport(id)
	}
	if err != nil {
		return ReceivedDocument{}, err
	}
	r, report, err := book.Book.Get(ctx, id)
	if errors.Is(err, tlsreports.ErrNotFound) {
		return ReceivedDocument{}, noReport(id)
	}
	if err != nil {
		return ReceivedDocument{}, fmt.Errorf("cannot read the report: %w", err)
	}
	parts := r.Parts
	if !d.own(&r) {
		return ReceivedDocument{}, noReport(id)
	}
	out := ReceivedDocument{ReceivedReport: receivedReport(&r), Policies: []ReceivedPolicy{}}
	failures := 0
	for i := range report.Policies {
		p := &report.Policies[i]
		if !d.who.Scope.All && !d.who.CoversName(owner(p.Domain, parts)) {
			continue
		}
		if len(out.Policies) == policiesMost {
			out.More = true
			break
		}
		shown := receivedPolicy(p, failuresMost-failures)
		failures += len(shown.Failures)
		out.More = out.More || len(shown.Failures) < len(p.Failures)
		out.Policies = append(out.Policies, shown)
	}
	return out, d.join(ctx, book, tlsreports.Span{Start: r.Start, End: r.End}, out.Policies)
}

// owner is the domain of ours that a policy domain was counted at.
func owner(name string, parts []tlsreports.Part) string {
	for name != "" {
		if slices.ContainsFunc(parts, func(p tlsreports.Part) bool { return p.Domain == name }) {
			return name
		}
		_, name, _ = strings.Cut(name, ".")
	}
	return ""
}

func receivedPolicy(p *tlsrpt.Policy, most int) ReceivedPolicy {
	out := ReceivedPolicy{Type: p.Type, Domain: p.Domain, Strings: append([]string{}, p.Strings...),
		MXHosts: append([]string{}, p.MXHosts...), Succeeded: p.Succeeded, Failed: p.Failed,
		Failures: []ReceivedFailure{}}
	for i := range p.Failures[:min(len(p.Failures), most)] {
		f := &p.Failures[i]
		one := ReceivedFailure{Result: f.Result, Sessions: f.Sessions, Host: f.MXHost, Helo: f.MXHelo, Code: f.Code,
			Info: f.Info}
		if f.SendingIP.IsValid() {
			one.Address = f.SendingIP.String()
		}
		if f.ReceiverIP.IsValid() {
			one.ReceiverIP = f.ReceiverIP.String()
		}
		out.Failures = append(out.Failures, one)
	}
	return out
}

// join says of each failure what we saw.
func (d ReportDesk) join(ctx context.Context, book *ReceivedReports, span tlsreports.Span,
	policies []ReceivedPolicy) error {
	var addresses []string
	for i := range policies {
		for j := range policies[i].Failures {
			addresses = append(addresses, policies[i].Failures[j].Address)
		}
	}
	seen, err := d.look(ctx, book, span, addresses)
	if err != nil {
		return err
	}
	for i := range policies {
		for j := range policies[i].Failures {
			f := &policies[i].Failures[j]
			f.Saw = seen.of(f.Result, f.Address, span)
		}
	}
	return nil
}

// looked is what is remembered of some addresses.
type looked struct {
	hidden  bool
	clients map[string]bool
	seen    inbound.Seen
}

// look asks the memory of sessions about addresses in a span.
func (d ReportDesk) look(ctx context.Context, book *ReceivedReports, span tlsreports.Span,
	addresses []string) (out looked, err error) {
	if !d.who.Scope.All {
		return looked{hidden: true}, nil
	}
	from, to := span.Days()
	if from == "" {
		return out, nil
	}
	if oldest := inbound.DayOf(time.Now().Add(-inbound.Keep)); from < oldest {
		from = oldest
	}
	clients := tlsreports.Clients(addresses, addressesLooked)
	out.clients = map[string]bool{}
	for _, c := range clients {
		out.clients[c.String()] = true
	}
	if out.seen, err = book.Sessions.Of(ctx, clients, from, to); err != nil {
		return out, fmt.Errorf("cannot read our sessions: %w", err)
	}
	return out, nil
}

// of is what was seen of an address.
func (l *looked) of(result, address string, span tlsreports.Span) tlsreports.Sight {
	unknown := tlsreports.Sight{Address: address, Found: tlsreports.FoundUnknown, Kinds: []tlsreports.Seen{}}
	if l.hidden {
		unknown.Text = "our sessions are those of all domains; an administrator of the whole gateway sees them"
		return unknown
	}
	clients := tlsreports.Clients([]string{address}, 1)
	if len(clients) > 0 && l.clients != nil && !l.clients[clients[0].String()] {
		unknown.Text = "more addresses are named than are looked up at a time"
		return unknown
	}
	return tlsreports.Join(result, address, span, &l.seen)
}

// ReceivedSummary says who could not reach us over TLS in the last days, since when and how often, and what we saw of
// it. days is at most 90; 0 means 14.
func (d ReportDesk) ReceivedSummary(ctx context.Context, days int) (ReceivedSummary, error) {
	out := ReceivedSummary{Complete: true, Failing: []tlsreports.Failing{}, Days: []tlsreports.DaySum{}}
	book, err := d.receiving()
	if err != nil || book == nil {
		return out, err
	}
	if days <= 0 {
		days = 14
	}
	since := time.Now().AddDate(0, 0, -min(days, receivedDaysMost)).UTC().Truncate(24 * time.Hour)
	list, more, err := book.Book.List(ctx, tlsreports.Query{Since: since, Most: receivedSummed})
	if err != nil {
		return out, fmt.Errorf("cannot read the reports: %w", err)
	}
	kept := list[:0]
	for i := range list {
		if d.own(&list[i]) {
			kept = append(kept, list[i])
		}
	}
	list = kept
	out.Since, out.Complete = trace.Instant(since), !more
	out.Days = append(out.Days, tlsreports.Days(list)...)
	rows, moreRows := tlsreports.Who(list)
	out.Complete = out.Complete && !moreRows
	return out, d.saw(ctx, book, &out, rows)
}

// saw fills in what we saw of the addresses of each row.
func (d ReportDesk) saw(ctx context.Context, book *ReceivedReports, out *ReceivedSummary,
	rows []tlsreports.Failing) error {
	budget := addressesLooked
	for i := range rows {
		row := &rows[i]
		span := tlsreports.Span{Start: row.Since, End: row.Until}
		seen, err := d.look(ctx, book, span, row.Addresses[:min(len(row.Addresses), max(budget, 0))])
		if err != nil {
			return err
		}
		budget -= len(row.Addresses)
		for _, address := range row.Addresses {
			row.Saw = append(row.Saw, seen.of(row.Result, address, span))
		}
		if len(row.Addresses) == 0 {
			row.Saw = append(row.Saw, seen.of(row.Result, "", span))
		}
		out.Complete = out.Complete && budget >= 0
		out.Failing = append(out.Failing, *row)
	}
	return nil
}
