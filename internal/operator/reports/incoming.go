package reports

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"postern/internal/history/inbound"
	"postern/internal/operator/access"
	"postern/internal/operator/trace"
)

// Incoming says how mail of other domains came in: who sends without TLS, with an old version or a weak cipher, since
// when, and what rules about incoming mail refused. It is what a rule about them stands on.
type Incoming struct {
	Since time.Time `json:"since"`
	// Complete is false where some of it found no room when it was counted, or here.
	Complete bool             `json:"complete"`
	Senders  []IncomingSender `json:"senders"`
	// More is how many senders there are besides.
	More int `json:"more,omitempty"`
}

// IncomingSender is how mail of one domain came in.
type IncomingSender struct {
	Domain string `json:"domain"` // of the envelope sender; "<>" is the null sender of everybody
	// Messages came in; Matching of them came as was asked for. Refused counts commands, Trials messages that rules on
	// trial would have refused.
	Messages int64 `json:"messages"`
	Matching int64 `json:"matching"`
	Refused  int64 `json:"refused"`
	Trials   int64 `json:"trials"`
	// Since and Last are when mail first and last came as was asked for.
	Since *time.Time `json:"since"`
	Last  *time.Time `json:"last"`
	// Ways are those that were asked for first, each group by its messages.
	Ways []IncomingWay `json:"ways"`
}

// IncomingWay is one way; Matches says that it was asked for.
type IncomingWay struct {
	inbound.Way
	Matches bool `json:"matches"`
}

// IncomingRequest asks for it; the zero value is about all mail of the last IncomingDays.
type IncomingRequest struct {
	Domain  string `query:"domain" doc:"of senders, or a part of it"`
	Days    int    `query:"days" minimum:"0" maximum:"14" doc:"so many days back; 0 is 7"`
	Without bool   `query:"without_tls" doc:"that sent without TLS"`
	Below   string `query:"below" enum:",1.2,1.3" doc:"that sent with an older version of TLS, or without"`
	Cipher  string `query:"cipher" doc:"that sent with a cipher or a key exchange of which this is a part"`
	Refused bool   `query:"refused" doc:"of whom a rule refused something, or would have if it were not on trial"`
}

const (
	// IncomingDays is how far back is looked where nothing else is asked; more than a fortnight is not kept.
	IncomingDays  = 7
	incomingRows  = 200
	incomingKnown = 20_000 // domains that are added up
)

// Incoming adds up how mail came in. Who is limited to domains of ours may not: it is about everybody's mail.
func (d ReportDesk) Incoming(ctx context.Context, q IncomingRequest) (Incoming, error) {
	if err := d.who.Need(access.ReadTrace); err != nil {
		return Incoming{}, err
	}
	if !d.who.Scope.All {
		return Incoming{}, access.ErrForbidden
	}
	if q.Days < 0 || q.Days > 14 {
		return Incoming{}, access.BadRequest("days are 1 to 14")
	}
	if !slices.Contains([]string{"", "1.2", "1.3"}, q.Below) {
		return Incoming{}, access.BadRequest("below is 1.2 or 1.3")
	}
	now := time.Now().UTC()
	out := Incoming{Since: now.AddDate(0, 0, 1-cmp.Or(q.Days, IncomingDays)).Truncate(24 * time.Hour), Complete: true,
		Senders: []IncomingSender{}}
	if d.got == nil || d.got.Sessions == nil {
		return out, nil
	}
	book := d.got.Sessions
	days, err := book.DaysOf(ctx, inbound.DayOf(out.Since), inbound.DayOf(now))
	if err != nil {
		return Incoming{}, err
	}
	all := map[string]*inbound.Sender{}
	for _, day := range days {
		out.Complete = out.Complete && day.MoreSenders == 0
		list, _, err := book.Senders(ctx, day.Day, day.Day, 0)
		if err != nil {
			return Incoming{}, err
		}
		for i := range list {
			out.Complete = q.add(all, &list[i]) && out.Complete
		}
	}
	out.Senders, out.More = q.rows(all)
	return out, nil
}

// add adds a sender of a day; it reports whether there was room.
func (q *IncomingRequest) add(all map[string]*inbound.Sender, s *inbound.Sender) bool {
	if !strings.Contains(s.Domain, strings.ToLower(q.Domain)) {
		return true
	}
	sum := all[s.Domain]
	if sum == nil {
		if len(all) >= incomingKnown {
			return false
		}
		all[s.Domain] = s
		return s.More == 0
	}
	sum.Merge(s)
	return sum.More == 0
}

// rows are those with the most matching messages first.
func (q *IncomingRequest) rows(all map[string]*inbound.Sender) (out []IncomingSender, more int) {
	out = []IncomingSender{}
	for _, s := range slices.SortedFunc(maps.Values(all),
		func(a, b *inbound.Sender) int { return strings.Compare(a.Domain, b.Domain) }) {
		if row, ok := q.row(s); ok {
			out = append(out, row)
		}
	}
	slices.SortStableFunc(out, func(a, b IncomingSender) int {
		return cmp.Compare(b.Matching+b.Refused, a.Matching+a.Refused)
	})
	if len(out) > incomingRows {
		out, more = out[:incomingRows], len(out)-incomingRows
	}
	return out, more
}

// row is a sender, ok false for one of whom nothing is asked for.
func (q *IncomingRequest) row(s *inbound.Sender) (out IncomingSender, ok bool) {
	out.Domain = s.Domain
	for i := range s.Ways {
		w := &s.Ways[i]
		way := IncomingWay{*w, q.matches(w)}
		out.Messages, out.Refused, out.Trials = out.Messages+w.Messages, out.Refused+w.Refused, out.Trials+w.Trials
		if way.Matches {
			ok = true
			out.Matching += w.Messages
			if out.Since == nil || w.First.Before(*out.Since) {
				out.Since = trace.Instant(w.First)
			}
			if out.Last == nil || w.Last.After(*out.Last) {
				out.Last = trace.Instant(w.Last)
			}
		}
		out.Ways = append(out.Ways, way)
	}
	slices.SortStableFunc(out.Ways, func(a, b IncomingWay) int {
		if a.Matches != b.Matches {
			return map[bool]int{true: -1, false: 1}[a.Matches]
		}
		return cmp.Compare(b.Messages+b.Refused, a.Messages+a.Refused)
	})
	return out, ok
}

// matches reports whether a way is asked for.
func (q *IncomingRequest) matches(w *inbound.Way) bool {
	switch {
	case q.Without && w.Version != "":
		return false
	case q.Below != "" && w.Version >= "TLSv"+q.Below: // the names stand in the order of the versions, "" first
		return false
	case q.Cipher != "" && !contains(w.Cipher, q.Cipher) && !contains(w.Group, q.Cipher):
		return false
	case q.Refused && w.Refused+w.Trials == 0:
		return false
	}
	return true
}

func contains(text, part string) bool {
	return strings.Contains(strings.ToLower(text), strings.ToLower(part))
}
