package tlscounts

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"postern/internal/event"
	"postern/internal/platform/flush"
)

const (
	// Interval is how often counts go to the book.
	Interval = 5 * time.Second
	// DomainsMost bounds the domains of one day; sessions with others are counted in no report.
	DomainsMost = 10_000
)

// Recorder is an event.Sink that counts. Emit never waits for the book. Safe for concurrent use.
type Recorder struct {
	book  *Book
	fetch func(fault string) string
	warn  func(error)

	mu      sync.Mutex
	pending map[string]*Counts             // by Key
	known   map[string]map[string]struct{} // domains by day
	over    map[string]bool                // days whose bound was reached, and whether that was told
}

// Open returns a Recorder that adds to book. fetch gives the result of a failed fetch of an MTA-STS policy for its
// fault, "" where the fault is ours. warn hears of failures; it must not wait.
func Open(ctx context.Context, book *Book, fetch func(fault string) string, warn func(error)) (*Recorder, error) {
	r := &Recorder{book: book, fetch: fetch, warn: warn, pending: map[string]*Counts{},
		known: map[string]map[string]struct{}{}, over: map[string]bool{}}
	today := Day(time.Now())
	domains, err := book.Domains(ctx, today)
	if err != nil {
		return nil, fmt.Errorf("what was counted today of TLS with other servers cannot be read: %w", err)
	}
	known := make(map[string]struct{}, len(domains))
	for _, d := range domains {
		known[d] = struct{}{}
	}
	r.known[today] = known
	return r, nil
}

// Emit counts the sessions of an event.
func (r *Recorder) Emit(e event.Event) {
	switch e := e.(type) {
	case event.Attempted:
		r.attempted(&e)
	case event.PassedOver:
		r.attempted(&event.Attempted{Leg: e.Leg, Attempt: e.Attempt, Domain: e.Domain, Named: e.Named,
			Report: e.Report})
	case event.PolicyUnavailable:
		if result := r.fetch(e.Fault); e.Kept && result != "" {
			s := Fetch(e.Domain, result)
			r.mu.Lock()
			defer r.mu.Unlock()
			r.count(Day(time.Now()), e.Domain, &s, false)
		}
	}
}

func (r *Recorder) attempted(e *event.Attempted) {
	_, literal := e.Domain.Literal()
	if e.Attempt == nil || e.Leg != event.OutWorld || e.Named || e.Report || literal || e.Domain.IsZero() {
		return
	}
	sessions := Sessions(e.Domain, e.Attempt, r.fetch)
	day, domain := Day(e.Attempt.At), e.Domain.String()
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range sessions {
		s := &sessions[i]
		r.count(day, domain, s, false)
		if s.Policy.Domain != domain {
			r.count(day, s.Policy.Domain, s, true)
		}
	}
}

// count adds a session to what waits to be written. The caller holds the lock.
func (r *Recorder) count(day, domain string, s *Session, isCopy bool) {
	known := r.known[day]
	if known == nil {
		known = map[string]struct{}{}
		r.known[day] = known
	}
	if _, there := known[domain]; !there {
		if len(known) >= DomainsMost {
			if _, reached := r.over[day]; !reached {
				r.over[day] = false
			}
			return
		}
		known[domain] = struct{}{}
	}
	key := Key(day, domain)
	c := r.pending[key]
	if c == nil {
		c = &Counts{Day: day, Domain: domain}
		r.pending[key] = c
	}
	c.count(s, isCopy)
}

// Run brings counts to the book until ctx ends, and once more then. It forgets what is too old, once a day.
func (r *Recorder) Run(ctx context.Context) { flush.Run(ctx, Interval, r.Flush, r.sweep) }

// Flush brings what was counted to the book. What cannot be written is kept for the next time.
func (r *Recorder) Flush(ctx context.Context) {
	r.mu.Lock()
	pending := r.pending
	r.pending = map[string]*Counts{}
	full := r.untold()
	r.mu.Unlock()
	if full {
		r.warn(errors.New("there was mail to more domains than are counted in a day; no report tells of the others"))
	}
	list := make([]Counts, 0, len(pending))
	for _, c := range pending {
		list = append(list, *c)
	}
	left, err := flush.Portions(list, func(some []Counts) error { return r.book.Add(ctx, some) })
	if err != nil {
		r.warn(err)
		r.giveBack(left)
	}
}

// untold reports whether the bound of a day was reached and nobody was told. The caller holds the lock.
func (r *Recorder) untold() (full bool) {
	for day, told := range r.over {
		full = full || !told
		r.over[day] = true
	}
	return full
}

func (r *Recorder) giveBack(list []Counts) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range list {
		key := Key(list[i].Day, list[i].Domain)
		if newer := r.pending[key]; newer != nil {
			list[i].Merge(newer)
		}
		r.pending[key] = &list[i]
	}
}

func (r *Recorder) sweep(ctx context.Context, now time.Time) {
	if err := r.book.Forget(ctx, Day(now.Add(-Keep))); err != nil {
		r.warn(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for day := range r.known {
		if day < Day(now.AddDate(0, 0, -2)) {
			delete(r.known, day)
			delete(r.over, day)
		}
	}
}
