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
func (b *Book) Pins(ctx context.Context, domain string) ([]Pin, error) {
	out, err := records.Read(ctx, b.store, func(r records.Reader) ([]Pin, error) {
		return shelf.List(r, records.Query{Index: domain})
	})
	slices.SortFunc(out, Compare)
	return out, err
}

// Remember adds pins; one that is there already keeps its date and its By, but for one that was only seen, in whose
// place a trusted one comes. With first, a pin is only added where its rule trusted nothing of its domain before this
// call, so that of two first uses at once one counts. It returns the pins it added.
func (b *Book) Remember(ctx context.Context, first bool, pins []Pin) ([]Pin, error) {
	return records.Change(ctx, b.store, func(t records.Tx) (added []Pin, err error) {
		before := map[string][]Pin{}
		for _, p := range pins {
			known, read := before[p.Domain]
			if !read {
				if known, err = shelf.List(t, records.Query{Index: p.Domain}); err != nil {
					return nil, err
				}
				before[p.Domain] = known
			}
			if first && len(namesOf(known, p.Domain, p.Rule)) > 0 {
				continue
			}
			there, err := shelf.Get(t, p.key())
			switch {
			case err == nil && (there.Trusted() || !p.Trusted()):
				continue
			case err != nil && !errors.Is(err, records.ErrNotFound):
				return nil, err
			}
			p.Since = records.Moment(p.Since)
			if err := shelf.Put(t, &p, records.Any); err != nil {
				return nil, err
			}
			added = append(added, p)
		}
		return added, nil
	})
}

// Unpin forgets what a rule remembers of a domain, what every rule does when it is "", and returns what it forgot.
func (b *Book) Unpin(ctx context.Context, domain, rule string) ([]Pin, error) {
	return records.Change(ctx, b.store, func(t records.Tx) ([]Pin, error) {
		was, err := shelf.List(t, records.Query{Index: domain})
		was = slices.DeleteFunc(was, func(p Pin) bool { return p.Domain != domain || rule != "" && p.Rule != rule })
		for i := 0; i < len(was) && err == nil; i++ {
			_, err = t.Delete(shelf.Kind, was[i].key())
		}
		slices.SortFunc(was, Compare)
		return was, err
	})
}
