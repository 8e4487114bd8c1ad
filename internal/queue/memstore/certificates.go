package memstore

import (
	"context"
	"maps"
	"time"

	"postern/internal/history/certstore"
)

// PutCertificates stores certificates, or renews when they were seen.
func (s *Store) PutCertificates(ctx context.Context, list []certstore.Certificate) error {
	return s.with(ctx, func(a *access) error {
		for _, c := range list {
			c.Seen = c.Seen.UTC().Truncate(time.Second)
			if old, ok := a.certificates[c.SHA256]; ok && old.Seen.After(c.Seen) {
				c.Seen = old.Seen
			}
			a.certificates[c.SHA256] = c
		}
		return nil
	})
}

// Certificates returns those of the digests that are there.
func (s *Store) Certificates(ctx context.Context, digests []string) (out []certstore.Certificate, err error) {
	err = s.with(ctx, func(a *access) error {
		for _, d := range digests {
			if c, ok := a.certificates[d]; ok {
				out = append(out, c)
			}
		}
		return nil
	})
	return out, err
}

// ForgetCertificates drops those last seen before a time.
func (s *Store) ForgetCertificates(ctx context.Context, before time.Time) error {
	return s.with(ctx, func(a *access) error {
		maps.DeleteFunc(a.certificates, func(_ string, c certstore.Certificate) bool { return c.Seen.Before(before) })
		return nil
	})
}
