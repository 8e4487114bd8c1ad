package certstore

import (
	"context"
	"errors"
	"time"

	"postern/internal/platform/records"
)

// Book keeps certificates. Safe for concurrent use.
type Book struct{ store records.Store }

// NewBook returns the Book of a store.
func NewBook(store records.Store) *Book { return &Book{store} }

// kind is of records whose key is the digest, whose value is the DER, and whose moment is when it was last seen.
const kind = "certificate"

// PutCertificates stores certificates, or renews Seen of those that are there.
func (b *Book) PutCertificates(ctx context.Context, list []Certificate) error {
	return b.store.ChangeRecords(ctx, func(t records.Tx) error {
		for i := range list {
			c := &list[i]
			r := records.Record{Kind: kind, Key: c.SHA256, At: c.Seen.Truncate(time.Second), Value: c.DER}
			if there, err := t.Get(kind, c.SHA256); err == nil {
				if r.Version = there.Version; !r.At.After(there.At) {
					continue
				}
			} else if !errors.Is(err, records.ErrNotFound) {
				return err
			}
			if err := t.Put(r); err != nil {
				return err
			}
		}
		return nil
	})
}

// Certificates returns those of the digests that are there, in no order.
func (b *Book) Certificates(ctx context.Context, digests []string) ([]Certificate, error) {
	return records.Read(ctx, b.store, func(r records.Reader) (out []Certificate, err error) {
		for _, d := range digests {
			if one, err := r.Get(kind, d); err == nil {
				out = append(out, Certificate{SHA256: d, DER: one.Value, Seen: one.At})
			} else if !errors.Is(err, records.ErrNotFound) {
				return nil, err
			}
		}
		return out, nil
	})
}

// ForgetCertificates drops those last seen before a time.
func (b *Book) ForgetCertificates(ctx context.Context, before time.Time) error {
	return b.store.ChangeRecords(ctx, func(t records.Tx) error {
		return t.DeleteAll(records.Query{Kind: kind, Before: before})
	})
}
