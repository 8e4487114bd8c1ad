package past

import (
	"cmp"
	"context"
	"slices"
	"time"

	"postern/internal/attempt"
	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/operator/trace"
	"postern/internal/policy"
	"postern/internal/queue"
)

// Publications is what the records of mail to a domain say of what it and its hosts publish: what was found last and
// since when, what changed, and which mail waited for it. A time is that of a try: what changed did so between two of
// them.
type Publications struct {
	Since      time.Time           `json:"since"`
	Complete   bool                `json:"complete"` // everything since Since was looked at
	SearchedTo *time.Time          `json:"searched_to,omitempty"`
	Found      []Publication       `json:"found"`
	Changes    []PublicationChange `json:"changes"` // newest first
	Waited     []PublicationWait   `json:"waited"`  // newest first
	// WaitedMore is how many deliveries waited besides.
	WaitedMore int `json:"waited_more,omitempty"`
}

// Publication is what a host, or the domain for it, publishes, as it was found last.
type Publication struct {
	Host string `json:"host"`
	trace.Policy
	// SinceAt is the first try that found it so, and LastAt the last one. It may be older where Since bounds the
	// records.
	SinceAt *time.Time `json:"since_at"`
	LastAt  *time.Time `json:"last_at"`
}

// PublicationChange is one change. Before and After are "" where nothing was found, or nothing asked for.
type PublicationChange struct {
	At     *time.Time `json:"at"` // of the first try that found it
	Host   string     `json:"host"`
	Kind   string     `json:"kind"`
	Before string     `json:"before"`
	After  string     `json:"after"`
}

// PublicationWait is one delivery that a host was passed over for.
type PublicationWait struct {
	Message string        `json:"message"`
	To      string        `json:"to"`
	State   string        `json:"state"`
	Kind    string        `json:"kind"`
	Reason  policy.Reason `json:"reason"`
	Text    string        `json:"text"`
	Host    string        `json:"host"`
	At      *time.Time    `json:"at"` // the last such try
}

const (
	publicationDays = 30
	publicationMost = 5000 // deliveries
	publicationRows = 30   // of each list
)

// Publications looks at past mail to a domain for at most patience.
func (d PastDesk) Publications(ctx context.Context, name string, patience time.Duration) (Publications, error) {
	if err := d.who.Need(access.ReadTrace); err != nil {
		return Publications{}, err
	}
	domain, err := mail.ParseDomain(name)
	if err != nil {
		return Publications{}, access.BadRequest("%w", err)
	}
	out := Publications{Since: time.Now().UTC().AddDate(0, 0, -publicationDays)}
	seen := sightings{}
	stop, err := d.who.SearchFor(ctx, queue.Filter{Domain: domain.String(), Since: out.Since}, publicationMost,
		patience, func(r *queue.Record) bool {
			seen.look(d.who.Told(r))
			return true
		})
	if out.Complete = stop == nil; stop != nil {
		out.SearchedTo = trace.Instant(stop.AcceptedAt)
	}
	out.Found, out.Changes = seen.found()
	out.Waited = seen.waited
	slices.SortStableFunc(out.Waited, func(a, b PublicationWait) int { return b.At.Compare(*a.At) })
	if more := len(out.Waited) - publicationRows; more > 0 {
		out.Waited, out.WaitedMore = out.Waited[:publicationRows], more
	}
	out.Changes = out.Changes[:min(len(out.Changes), publicationRows)]
	return out, err
}

// place is of what something is published.
type place struct{ host, kind string }

// sighting is what one try found there.
type sighting struct {
	at    time.Time
	found policy.Published
	match string
}

type sightings struct {
	by     map[place][]sighting
	waited []PublicationWait
}

// look takes in what the tries of a delivery found, and whether it was kept by it.
func (s *sightings) look(r *queue.Record) {
	attempts := make([]*attempt.Attempt, 0, len(r.History)+1)
	for i := range r.History {
		attempts = append(attempts, &r.History[i])
	}
	if r.State.Waiting() && r.SiteState.Last != nil {
		attempts = append(attempts, r.SiteState.Last)
	}
	var last *PublicationWait
	for _, a := range attempts {
		for i := range a.Tries {
			s.sight(&a.Tries[i])
		}
		try, kept := a.Telling(), a.KeptBy()
		if kept == nil || last != nil && !a.At.After(*last.At) {
			continue
		}
		last = &PublicationWait{Message: string(r.Delivery.Message), To: r.Recipient.Address.String(),
			State: r.State.String(), Kind: kept.Kind, Reason: a.Reason, Text: cmp.Or(a.Text, try.Text),
			Host: try.Host, At: trace.Instant(a.At)}
	}
	if last != nil {
		s.waited = append(s.waited, *last)
	}
}

// sight takes in one try. That there is nothing of a kind is a sighting too.
func (s *sightings) sight(t *attempt.Try) {
	if s.by == nil {
		s.by = map[place][]sighting{}
	}
	for _, kind := range []string{policy.PublishedDANE, policy.PublishedSTS} {
		one := sighting{at: t.At}
		for i := range t.Published {
			if t.Published[i].Kind == kind {
				one.found = t.Published[i]
			}
		}
		if e := t.Evidence; e != nil && e.DANE != nil && kind == policy.PublishedDANE {
			one.match = e.DANE.Record
		}
		key := place{t.Host, kind}
		s.by[key] = append(s.by[key], one)
	}
}

// found is what the newest tries found, and what changed.
func (s *sightings) found() (now []Publication, changes []PublicationChange) {
	now, changes = []Publication{}, []PublicationChange{}
	for at, list := range s.by {
		slices.SortStableFunc(list, func(a, b sighting) int { return a.at.Compare(b.at) })
		since := 0
		for i := 1; i < len(list); i++ {
			before, after := list[i-1].found.Said(), list[i].found.Said()
			if before == after {
				continue
			}
			since = i
			changes = append(changes, PublicationChange{At: trace.Instant(list[i].at), Host: at.host, Kind: at.kind,
				Before: before, After: after})
		}
		last := list[len(list)-1]
		if last.found.Kind == "" {
			continue
		}
		p := trace.Policy{Published: last.found, AgeS: last.found.AgeS(last.at), Matched: last.match}
		now = append(now, Publication{Host: at.host, Policy: p, SinceAt: trace.Instant(list[since].at),
			LastAt: trace.Instant(last.at)})
	}
	slices.SortFunc(now, func(a, b Publication) int {
		return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.Kind, b.Kind))
	})
	slices.SortFunc(changes, func(a, b PublicationChange) int {
		return cmp.Or(b.At.Compare(*a.At), cmp.Compare(a.Host, b.Host), cmp.Compare(a.Kind, b.Kind))
	})
	return now, changes
}
