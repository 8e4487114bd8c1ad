package mxpins

import (
	"context"
	"errors"
	"slices"

	"postern/internal/platform/records"
)

// Book keeps pins. It is safe for concurrent use; what it writes is durable when the call returns.
type Book struct{ store records.Store }

// NewBook returns the Book of a store.
func NewBook(store records.Store) *Book { return &Book{store} }

var shelf = records.Shelf[Pin]{Kind: "pin", Key: (*Pin).key, Index: func(p *Pin) string { return p.Domain }}

// key is unambiguous: neither of the first two has a blank.
func (p *Pin) key() string { return p.Domain + " " + p.Name + " " + p.Rule }

// Pins returns what is remembered of a recipient domain, of every domain when it is "", in the order of domain, rule
// and name.
func (b *Book) Pins(ctx context.Context, domain string) (out []Pin, err error) {
	err = b.store.ReadRecords(ctx, func(r records.Reader) (err error) {
		out, err = shelf.List(r, records.Query{Index: domain})
		return err
	})
	slices.SortFunc(out, Compare)
	return out, err
}

// Remember adds pins; one that is there already keeps its date and its By, but for one that was only seen, in whose
// place a trusted one comes. With first, a pin is only added where its rule trusted nothing of its domain before this
// call, so that of two first uses at once one counts. It returns the pins it added.
func (b *Book) Remember(ctx context.Context, first bool, pins []Pin) (added []Pin, err error) {
	err = b.store.ChangeRecords(ctx, func(t records.Tx) error {
		added = nil
		before := map[string][]Pin{}
		for _, p := range pins {
			if _, read := before[p.Domain]; !read {
				if before[p.Domain], err = shelf.List(t, records.Query{Index: p.Domain}); err != nil {
					return err
				}
			}
			if first && len(namesOf(before[p.Domain], p.Domain, p.Rule)) > 0 {
				continue
			}
			p.Since = records.Moment(p.Since)
			if there, err := shelf.Get(t, p.key()); err == nil && (there.Trusted() || !p.Trusted()) {
				continue
			} else if err != nil && !errors.Is(err, records.ErrNotFound) {
				return err
			}
			if err := shelf.Put(t, &p, records.Any); err != nil {
				return err
			}
			added = append(added, p)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return added, nil
}

// Unpin forgets what a rule remembers of a domain, what every rule does when it is "", and returns what it forgot.
func (b *Book) Unpin(ctx context.Context, domain, rule string) (was []Pin, err error) {
	err = b.store.ChangeRecords(ctx, func(t records.Tx) error {
		if was, err = shelf.List(t, records.Query{Index: domain}); err != nil {
			return err
		}
		was = slices.DeleteFunc(was, func(p Pin) bool { return p.Domain != domain || rule != "" && p.Rule != rule })
		for i := range was {
			if _, err := t.Delete(shelf.Kind, was[i].key()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(was, Compare)
	return was, nil
}
