package tlscounts

import (
	"context"
	"errors"
	"strings"
	"time"

	"postern/internal/platform/records"
)

// Keep is for how long counts are kept.
const Keep = 30 * 24 * time.Hour

// Book keeps counts. Safe for concurrent use.
type Book struct{ store records.Store }

// NewBook returns the Book of a store.
func NewBook(store records.Store) *Book { return &Book{store} }

var shelf = records.Shelf[Counts]{Kind: "tls counts", Key: func(c *Counts) string { return Key(c.Day, c.Domain) }}

// Key names the counts of a day and a domain, in the order of both.
func Key(day, domain string) string { return day + " " + domain }

// Day is the day of a time.
func Day(at time.Time) string { return at.UTC().Format(time.DateOnly) }

// Span bounds the keys of a day: from <= key < before.
func Span(day string) (from, before string) { return Key(day, ""), day + "!" }

// Add adds to what is there, all or nothing.
func (b *Book) Add(ctx context.Context, list []Counts) error {
	return b.store.ChangeRecords(ctx, func(t records.Tx) error {
		for i := range list {
			sum, err := shelf.Get(t, shelf.Key(&list[i]))
			if errors.Is(err, records.ErrNotFound) {
				sum, err = Counts{Day: list[i].Day, Domain: list[i].Domain}, nil
			}
			if err != nil {
				return err
			}
			sum.Merge(&list[i])
			if err := shelf.Put(t, &sum, records.Any); err != nil {
				return err
			}
		}
		return nil
	})
}

// Counts returns what was counted of a domain in a day; records.ErrNotFound where nothing was.
func (b *Book) Counts(ctx context.Context, day, domain string) (Counts, error) {
	return records.Read(ctx, b.store, func(r records.Reader) (Counts, error) { return shelf.Get(r, Key(day, domain)) })
}

// List returns counts in the order of days and domains, those after a key and before another; "" bounds nothing. most 0
// is all.
func (b *Book) List(ctx context.Context, past, before string, most int) ([]Counts, error) {
	if past != "" {
		past += "\x00"
	}
	return records.Read(ctx, b.store, func(r records.Reader) ([]Counts, error) {
		return shelf.List(r, records.Query{From: past, To: before, Limit: most})
	})
}

// OfDay returns the counts of a day, those after a domain in the order of domains. most 0 is all.
func (b *Book) OfDay(ctx context.Context, day, past string, most int) ([]Counts, error) {
	_, before := Span(day)
	return b.List(ctx, Key(day, past), before, most)
}

// Domains returns the domains that have counts in a day.
func (b *Book) Domains(ctx context.Context, day string) ([]string, error) {
	return records.Read(ctx, b.store, func(r records.Reader) ([]string, error) {
		from, before := Span(day)
		list, err := r.List(records.Query{Kind: shelf.Kind, From: from, To: before})
		out := make([]string, len(list))
		for i := range list {
			_, out[i], _ = strings.Cut(list[i].Key, " ")
		}
		return out, err
	})
}

// Forget drops what was counted before a day.
func (b *Book) Forget(ctx context.Context, day string) error {
	return b.store.ChangeRecords(ctx, func(t records.Tx) error {
		return t.DeleteAll(records.Query{Kind: shelf.Kind, To: day})
	})
}
