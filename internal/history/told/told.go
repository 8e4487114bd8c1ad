// Package told remembers what administrators were told and when, so that of several gateways on one store each thing is
// told by one, and one that starts again does not tell it again.
//
// Who is about to tell something asks First, in one transaction with all who may be about to do the same, and takes it
// back with Withdraw where nothing came of it. Whoever stops in between has told nobody, and nobody tells it before the
// rest is over: what is worth more than a letter stands in the log too.
//
// Moments are by the clock of the gateway that told. One that lies further ahead than the rest is of a clock that was
// wrong, and counts for nothing.
package told

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"

	"postern/internal/platform/records"
)

// Longest is how long it is remembered, and so the longest rest that can be asked for.
const Longest = 30 * 24 * time.Hour

// Book is the memory. Safe for concurrent use.
type Book struct{ store records.Store }

// NewBook returns the Book of a store.
func NewBook(store records.Store) *Book { return &Book{store} }

// kind is of records whose key is a digest of what was told, whose value is its beginning, for people, and whose moment
// is when.
const kind = "told"

// shown bounds a value in bytes.
const shown = 200

func name(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:16])
}

// First returns those of the keys that nobody told within rest before now, and notes them as told now.
func (b *Book) First(ctx context.Context, keys []string, now time.Time, rest time.Duration) ([]string, error) {
	return records.Change(ctx, b.store, func(t records.Tx) (first []string, err error) {
		if err := t.DeleteAll(records.Query{Kind: kind, Before: now.Add(-Longest)}); err != nil {
			return nil, err
		}
		for _, key := range keys {
			is, err := note(t, key, now, rest)
			if err != nil {
				return nil, err
			}
			if is {
				first = append(first, key)
			}
		}
		return first, nil
	})
}

// OneOf is First for the first of the keys that can be had; "" where there is none.
func (b *Book) OneOf(ctx context.Context, keys []string, now time.Time, rest time.Duration) (string, error) {
	return records.Change(ctx, b.store, func(t records.Tx) (string, error) {
		for _, key := range keys {
			if is, err := note(t, key, now, rest); err != nil || is {
				return key, err
			}
		}
		return "", nil
	})
}

// note notes a key, and reports whether it had rested.
func note(t records.Tx, key string, now time.Time, rest time.Duration) (bool, error) {
	r := records.Record{Kind: kind, Key: name(key), At: now, Value: []byte(key[:min(len(key), shown)])}
	switch there, err := t.Get(kind, r.Key); {
	case errors.Is(err, records.ErrNotFound):
	case err != nil:
		return false, err
	case now.Sub(there.At).Abs() < rest:
		return false, nil
	default:
		r.Version = there.Version
	}
	return true, t.Put(r)
}

// Withdraw forgets that keys were told.
func (b *Book) Withdraw(ctx context.Context, keys ...string) error {
	return b.store.ChangeRecords(ctx, func(t records.Tx) error {
		for _, key := range keys {
			if _, err := t.Delete(kind, name(key)); err != nil {
				return err
			}
		}
		return nil
	})
}
