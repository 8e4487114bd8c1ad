package tlsreport

import (
	"context"
	"errors"
	"time"

	"postern/internal/history/tlscounts"
	"postern/internal/platform/records"
)

// State is how far a report came, or one of its destinations. The words are stored.
type State string

// The states. Of destinations there are the first, Sent and Failed.
const (
	Waiting  State = "waiting"   // it is tried, or tried again
	Sent     State = "sent"      // everybody has it
	NoRecord State = "no-record" // nobody asks for it, or not in a way that can be understood
	Failed   State = "failed"    // it was given up for at least one destination
)

// Final reports whether nothing more will be done.
func (s State) Final() bool { return s != Waiting && s != "" }

// Report is how far the report of a day to a domain came.
type Report struct {
	Day    string `json:"day"`
	Domain string `json:"domain"`
	State  State  `json:"state"`
	// Text says why it waits, was not sent or failed: one sentence, escaped and bounded; "" where there is nothing to
	// say.
	Text string `json:"text,omitempty"`
	ID   string `json:"id,omitempty"` // of the report
	// First and Last are when it was tried, Next when it is tried again.
	First time.Time `json:"first,omitzero"`
	Last  time.Time `json:"last,omitzero"`
	Next  time.Time `json:"next,omitzero"`
	Tried int       `json:"tried,omitempty"`
	// To are the destinations that the record named when it was found.
	To []Destination `json:"to,omitempty"`
}

// Destination is who gets a report.
type Destination struct {
	URI   string    `json:"uri"` // as tlsrpt.Destination writes it
	State State     `json:"state"`
	Text  string    `json:"text,omitempty"`
	At    time.Time `json:"at,omitzero"`
	// Message is the mail that carries it, as the queue calls it.
	Message string `json:"message,omitempty"`
}

// States keeps how far reports came. Safe for concurrent use.
type States struct{ store records.Store }

// NewStates returns the States of a store.
func NewStates(store records.Store) *States { return &States{store} }

var shelf = records.Shelf[Report]{Kind: "tls report sent",
	Key: func(r *Report) string { return tlscounts.Key(r.Day, r.Domain) }}

// Get returns how far a report came; one without a State where nothing was done.
func (s *States) Get(ctx context.Context, day, domain string) (Report, error) {
	r, err := records.Read(ctx, s.store,
		func(r records.Reader) (Report, error) { return shelf.Get(r, tlscounts.Key(day, domain)) })
	if errors.Is(err, records.ErrNotFound) {
		return Report{Day: day, Domain: domain}, nil
	}
	return r, err
}

// ofDay returns how far the reports of a day came, in the order of domains.
func (s *States) ofDay(ctx context.Context, day string) ([]Report, error) {
	from, before := tlscounts.Span(day)
	return records.Read(ctx, s.store, func(r records.Reader) ([]Report, error) {
		return shelf.List(r, records.Query{From: from, To: before})
	})
}

// keep writes down how far a report came.
func (s *States) keep(ctx context.Context, r *Report) error {
	return s.store.ChangeRecords(ctx, func(t records.Tx) error { return shelf.Put(t, r, records.Any) })
}

// forget drops what is older than a day.
func (s *States) forget(ctx context.Context, day string) error {
	return s.store.ChangeRecords(ctx, func(t records.Tx) error {
		return t.DeleteAll(records.Query{Kind: shelf.Kind, To: day})
	})
}
