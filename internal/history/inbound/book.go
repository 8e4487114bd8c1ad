package inbound

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"postern/internal/platform/records"
)

// Book keeps what was counted. Safe for concurrent use.
type Book struct{ store records.Store }

// NewBook returns the Book of a store.
func NewBook(store records.Store) *Book { return &Book{store} }

var (
	clients = records.Shelf[Client]{Kind: "inbound client",
		Key: func(c *Client) string { return clientKey(c.Day, c.Client) }}
	days  = records.Shelf[Day]{Kind: "inbound day", Key: func(d *Day) string { return d.Day }}
	shown = records.Shelf[Certificate]{Kind: "inbound shown", Key: func(c *Certificate) string { return c.SHA256 }}
)

func clientKey(day string, client netip.Prefix) string { return day + " " + client.String() }

// portion is what is written at a time.
type portion struct {
	clients []*Client
	days    []*Day
	shown   []*Certificate
	senders []*Sender
}

// add adds to what is there, all or nothing.
func (b *Book) add(ctx context.Context, p *portion) error {
	return b.store.ChangeRecords(ctx, func(t records.Tx) error {
		for _, c := range p.clients {
			sum := *c
			old, err := clients.Get(t, clientKey(c.Day, c.Client))
			if err == nil {
				old.merge(c)
				sum = old
			}
			if err := put(t, clients, &sum, err); err != nil {
				return err
			}
		}
		for _, d := range p.days {
			sum := *d
			old, err := days.Get(t, d.Day)
			if err == nil {
				sum.Since, sum.More, sum.MoreSenders = old.Since, old.More+d.More, old.MoreSenders+d.MoreSenders
			}
			if err := put(t, days, &sum, err); err != nil {
				return err
			}
		}
		for _, c := range p.shown {
			if err := shown.Put(t, c, records.Any); err != nil {
				return err
			}
		}
		return nil
	})
}

// put stores a value whose predecessor was asked for with an error.
func put[T any](t records.Tx, s records.Shelf[T], v *T, asked error) error {
	if asked != nil && !errors.Is(asked, records.ErrNotFound) {
		return asked
	}
	return s.Put(t, v, records.Any)
}

// Known lists the clients of a day.
func (b *Book) Known(ctx context.Context, day string) ([]netip.Prefix, error) {
	list, err := records.Read(ctx, b.store, func(r records.Reader) ([]Client, error) {
		return clients.List(r, records.Query{From: day + " ", To: day + "!"})
	})
	out := make([]netip.Prefix, len(list))
	for i := range list {
		out[i] = list[i].Client
	}
	return out, err
}

// Seen is what is remembered of some clients in a span of days.
type Seen struct {
	// Clients are in the order of the clients that were asked for, then of days.
	Clients []Client
	// Days are those of the span on which sessions were counted.
	Days []Day
	// Certificates are those that the clients were shown.
	Certificates []Certificate
}

// Of returns what is remembered of clients from one day to another, both included.
func (b *Book) Of(ctx context.Context, list []netip.Prefix, from, to string) (Seen, error) {
	return records.Read(ctx, b.store, func(r records.Reader) (out Seen, err error) {
		if out.Days, err = days.List(r, records.Query{From: from, To: to + "!"}); err != nil {
			return out, err
		}
		for _, client := range list {
			for i := range out.Days {
				c, err := clients.Get(r, clientKey(out.Days[i].Day, client))
				if errors.Is(err, records.ErrNotFound) {
					continue
				}
				if err != nil {
					return out, err
				}
				out.Clients = append(out.Clients, c)
			}
		}
		out.Certificates, err = shown.List(r, records.Query{Limit: shownMost})
		return out, err
	})
}

// forget drops what is older than a day.
func (b *Book) forget(ctx context.Context, day time.Time) error {
	return b.store.ChangeRecords(ctx, func(t records.Tx) error {
		name := DayOf(day)
		if err := t.DeleteAll(records.Query{Kind: clients.Kind, To: name}); err != nil {
			return err
		}
		if err := t.DeleteAll(records.Query{Kind: senders.Kind, To: name}); err != nil {
			return err
		}
		if err := t.DeleteAll(records.Query{Kind: days.Kind, To: name}); err != nil {
			return err
		}
		list, err := shown.List(t, records.Query{})
		for i := 0; i < len(list) && err == nil; i++ {
			if DayOf(list[i].Seen) < name {
				_, err = t.Delete(shown.Kind, list[i].SHA256)
			}
		}
		return err
	})
}
