package sqlstore

import (
	"bytes"
	"context"
	"strings"
	"time"

	"postern/internal/history/certstore"
)

// PutCertificates stores certificates, or renews when they were seen.
func (s *Store) PutCertificates(ctx context.Context, list []certstore.Certificate) error {
	return s.change(ctx, func(t *txn) error {
		for i := range list {
			c := &list[i]
			if err := t.exec(`INSERT INTO certificate (sha256, seen, der) VALUES (?, ?, ?)
				ON CONFLICT DO UPDATE SET seen = max(seen, excluded.seen)`, c.SHA256, c.Seen.Unix(), c.DER); err != nil {
				return err
			}
		}
		return nil
	})
}

// Certificates returns those of the digests that are there.
func (s *Store) Certificates(ctx context.Context, digests []string) (out []certstore.Certificate, err error) {
	if len(digests) == 0 {
		return nil, nil
	}
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	args := make([]any, len(digests))
	for i, d := range digests {
		args[i] = d
	}
	text := "SELECT sha256, seen, der FROM certificate WHERE sha256 IN (?" + strings.Repeat(", ?", len(digests)-1) + ")"
	err = s.read(ctx, func(c *conn) error {
		out = nil
		return c.query(ctx, text, func(r row) error {
			out = append(out, certstore.Certificate{SHA256: r.text(0), Seen: time.Unix(r.int(1), 0).UTC(), DER: bytes.Clone(r.bytes(2))})
			return nil
		}, args...)
	})
	return out, err
}

// ForgetCertificates drops those last seen before a time.
func (s *Store) ForgetCertificates(ctx context.Context, before time.Time) error {
	return s.change(ctx, func(t *txn) error { return t.exec("DELETE FROM certificate WHERE seen < ?", ceilSecond(before)) })
}
