package tlsreports

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"postern/internal/platform/flush"
	"postern/internal/platform/records"
	"postern/internal/policy/tlsrpt"
)

// Keep is for how long reports are kept.
const Keep = 90 * 24 * time.Hour

// Run forgets what is too old, once a day, until ctx ends. warn hears of failures.
func (b *Book) Run(ctx context.Context, warn func(error)) {
	flush.Run(ctx, time.Hour, func(context.Context) {}, func(ctx context.Context, now time.Time) {
		if err := errors.Join(b.Forget(ctx, now.Add(-Keep)), b.ForgetSenders(ctx, now.Add(-2*quiet))); err != nil {
			warn(err)
		}
	})
}

// ErrNotFound says that there is no such report, or none any more.
var ErrNotFound = errors.New("there is no such report")

// ErrTooMany says that a sender has brought as many reports today as are taken.
var ErrTooMany = errors.New("too many reports came from there today")

// Book keeps reports. Safe for concurrent use.
type Book struct {
	store records.Store
	room  Room
}

// NewBook returns the Book of a store.
func NewBook(store records.Store, room Room) *Book { return &Book{store, room.orUsual()} }

// Reports that are signed and those that are not stand in rooms of their own. Keys have the newest first.
var (
	signed   = records.Shelf[Received]{Kind: "tls report in", Key: keyOf, Index: indexOf, At: cameAt}
	unsigned = records.Shelf[Received]{Kind: "tls report in unsigned", Key: keyOf, Index: indexOf, At: cameAt}
)

// documents are kept beside, so that lists need not read them.
const documents = "tls report document"

func keyOf(r *Received) string     { return r.Key }
func indexOf(r *Received) string   { return identityOf(r.ID) }
func cameAt(r *Received) time.Time { return r.At }

func shelfOf(r *Received) records.Shelf[Received] {
	if r.Signed() {
		return signed
	}
	return unsigned
}

func identityOf(id string) string {
	identity, _, _ := strings.Cut(id, "-")
	return identity
}

// timeKey is how keys of a moment begin: their order is that of time, backwards.
func timeKey(at time.Time) string { return fmt.Sprintf("%013d", 9_999_999_999_999-at.UnixMilli()) }

// Added is what became of a report.
type Added struct {
	// ID is what it is called, or the one that it is a copy of.
	ID string
	// Copy says that it was there; Replaced, that it took the place of the same one without a signature.
	Copy, Replaced bool
	// News says that its signer reports failures, and did not for a week.
	News bool
}

// Add keeps a report that came now, which Sum has filled in. document is its Packed form, who the sender that is
// counted by, and most how many of its reports are taken in a day. It is durable when the error is nil; ErrTooMany
// where it is not taken.
func (b *Book) Add(ctx context.Context, r Received, document []byte, who string, most int) (Added, error) {
	identity := r.identity(document)
	r.ID, r.Bytes = identity+"-"+signerDigits(r.Signer), len(document)
	r.Key = timeKey(r.At) + " " + r.ID
	return records.Change(ctx, b.store, func(t records.Tx) (Added, error) {
		if err := count(t, r.At, who, most); err != nil {
			return Added{}, err
		}
		there, err := same(t, identity)
		if err != nil {
			return Added{}, err
		}
		out := Added{ID: r.ID}
		for i := range there {
			old := &there[i]
			switch {
			case old.ID == r.ID, old.Signed() && !r.Signed():
				old.Copies, old.Copied = old.Copies+1, r.At
				return Added{ID: old.ID, Copy: true}, shelfOf(old).Put(t, old, records.Any)
			case !old.Signed():
				out.Replaced = true
				if err := drop(t, old); err != nil {
					return Added{}, err
				}
			}
		}
		if out.News, err = news(t, &r); err != nil {
			return Added{}, err
		}
		return out, b.put(t, &r, document)
	})
}

// same lists the reports of an identity.
func same(r records.Reader, identity string) ([]Received, error) {
	out, err := signed.List(r, records.Query{Index: identity})
	if err != nil {
		return nil, err
	}
	more, err := unsigned.List(r, records.Query{Index: identity})
	return append(out, more...), err
}

// put stores a report and makes room for it.
func (b *Book) put(t records.Tx, r *Received, document []byte) error {
	if err := shelfOf(r).Put(t, r, 0); err != nil {
		return err
	}
	if err := t.Put(records.Record{Kind: documents, Key: r.ID, Value: document, Version: records.Any}); err != nil {
		return err
	}
	if err := t.Add(records.Counter{Kind: bytesKept, Key: shelfOf(r).Kind, N: int64(r.Bytes)}); err != nil {
		return err
	}
	return b.makeRoom(t, shelfOf(r))
}

// failed remembers when a signer last reported failures.
const failed = "tls report failures"

// quiet is after how long without failures new ones are news.
const quiet = 7 * 24 * time.Hour

// news reports whether a report has failures and its signer's did not lately.
func news(t records.Tx, r *Received) (bool, error) {
	if _, n := r.Sums(); n == 0 || !r.Signed() {
		return false, nil
	}
	old, err := t.Get(failed, r.Signer)
	if err != nil && !errors.Is(err, records.ErrNotFound) {
		return false, err
	}
	isNews := err != nil || r.At.Sub(old.At) >= quiet
	return isNews, t.Put(records.Record{Kind: failed, Key: r.Signer, At: r.At, Value: []byte("{}"),
		Version: records.Any})
}

// drop deletes a report.
func drop(t records.Tx, r *Received) error {
	if _, err := t.Delete(shelfOf(r).Kind, r.Key); err != nil {
		return err
	}
	if _, err := t.Delete(documents, r.ID); err != nil {
		return err
	}
	return t.Add(records.Counter{Kind: bytesKept, Key: shelfOf(r).Kind, N: -int64(r.Bytes)})
}

// Query chooses reports; what is zero restricts nothing.
type Query struct {
	// Since and Until bound when they came: Since <= At < Until.
	Since, Until time.Time
	// After is the Key of the last report that was listed.
	After string
	// Most is how many are looked at; 0 means 1000.
	Most int
}

// List returns reports, the newest first, signed and unsigned. more says that there are further ones.
func (b *Book) List(ctx context.Context, q Query) (list []Received, more bool, err error) {
	most := q.Most
	if most <= 0 {
		most = 1000
	}
	from := records.Query{Limit: most + 1}
	if !q.Until.IsZero() {
		from.From = timeKey(q.Until) + "!"
	}
	if q.After != "" {
		from.From = q.After + "!"
	}
	if !q.Since.IsZero() {
		from.To = timeKey(q.Since) + "!"
	}
	out, err := records.Read(ctx, b.store, func(r records.Reader) ([]Received, error) {
		a, err := signed.List(r, from)
		if err != nil {
			return nil, err
		}
		o, err := unsigned.List(r, from)
		return merged(a, o), err
	})
	if len(out) > most {
		return out[:most], true, err
	}
	return out, false, err
}

// merged joins two lists in the order of their keys.
func merged(a, b []Received) (out []Received) {
	for len(a) > 0 && len(b) > 0 {
		if a[0].Key <= b[0].Key {
			out, a = append(out, a[0]), a[1:]
		} else {
			out, b = append(out, b[0]), b[1:]
		}
	}
	return append(append(out, a...), b...)
}

// Get returns a report with its document.
func (b *Book) Get(ctx context.Context, id string) (Received, tlsrpt.Report, error) {
	var document []byte
	r, err := records.Read(ctx, b.store, func(r records.Reader) (Received, error) {
		list, err := same(r, identityOf(id))
		if err != nil {
			return Received{}, err
		}
		for i := range list {
			if list[i].ID == id {
				rec, err := r.Get(documents, id)
				document = rec.Value
				return list[i], err
			}
		}
		return Received{}, ErrNotFound
	})
	if err != nil {
		return Received{}, tlsrpt.Report{}, err
	}
	reading, err := tlsrpt.Parse(document)
	if err != nil {
		return Received{}, tlsrpt.Report{}, fmt.Errorf("the stored report %s cannot be read: %w", id, err)
	}
	return r, reading.Report, nil
}
