package memory

import (
	"cmp"
	"context"
	"slices"
	"time"

	"postern/internal/history/peers"
	"postern/internal/platform/records"
)

// Book keeps records of peers over a restart. Safe for concurrent use.
type Book struct{ store records.Store }

// NewBook returns the Book of a store.
func NewBook(store records.Store) *Book { return &Book{store} }

var shelf = records.Shelf[peers.Record]{Kind: "peer", Key: func(r *peers.Record) string { return name(r.Key()) },
	At: func(r *peers.Record) time.Time { return r.LastSeen }}

func name(k peers.Key) string { return k.Host + " " + k.Addr.String() }

// Peers returns every record, the one that answered last first.
func (b *Book) Peers(ctx context.Context) ([]peers.Record, error) {
	out, err := records.Read(ctx, b.store, func(r records.Reader) ([]peers.Record, error) {
		return shelf.List(r, records.Query{})
	})
	slices.SortFunc(out, func(x, y peers.Record) int {
		return cmp.Or(y.LastSeen.Compare(x.LastSeen), cmp.Compare(name(x.Key()), name(y.Key())))
	})
	return out, err
}

// KeepPeers stores records, forgets others, and keeps at most so many: those that answered last. All or nothing.
func (b *Book) KeepPeers(ctx context.Context, put []peers.Record, forget []peers.Key, most int) error {
	return b.store.ChangeRecords(ctx, func(t records.Tx) error {
		for i := range put {
			if err := shelf.Put(t, &put[i], records.Any); err != nil {
				return err
			}
		}
		for _, k := range forget {
			if _, err := t.Delete(shelf.Kind, name(k)); err != nil {
				return err
			}
		}
		return prune(t, most)
	})
}

// prune forgets those that have not answered for longest, down to so many.
func prune(t records.Tx, most int) error {
	n, err := t.Count(shelf.Kind)
	if err != nil || n <= most {
		return err
	}
	old, err := t.List(records.Query{Kind: shelf.Kind, Oldest: true, Limit: n - most})
	for i := 0; i < len(old) && err == nil; i++ {
		_, err = t.Delete(shelf.Kind, old[i].Key)
	}
	return err
}
