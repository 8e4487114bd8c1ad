// Package certstore keeps the certificates that servers showed, whole and by their digest, so that evidence about mail
// can show them as they were. The records of deliveries hold only facts and digests.
//
//	event.Attempted -> Keeper (what is new today) -> Book (in the store)
//
// A certificate is written when it is first seen and its day renewed while it is shown. What nobody showed for as long
// as records are kept is forgotten. A crash may lose those first seen in the last seconds; the next connection shows
// them again.
package certstore

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"postern/internal/event"
	"postern/internal/platform/flush"
)

// Certificate is one certificate.
type Certificate struct {
	SHA256 string    // hexadecimal digest of DER
	DER    []byte    // never changed
	Seen   time.Time // the newest day it was shown
}

const (
	// Interval is how often what is new goes to the book.
	Interval = 5 * time.Second
	// PendingMost bounds the certificates that wait for that; others wait until they are shown again.
	PendingMost = 2000
	// knownMost bounds the digests remembered as written today.
	knownMost = 50_000
	// LargestDER is the largest certificate that is kept, in bytes.
	LargestDER = 16 << 10
	renew      = 24 * time.Hour
)

// Keeper is an event.Sink that keeps what is new. Emit never waits for the book. Safe for concurrent use.
type Keeper struct {
	book *Book
	keep time.Duration
	warn func(error)

	mu      sync.Mutex
	known   map[string]time.Time // digest -> when it was last given to the book
	pending map[string]Certificate
}

// NewKeeper returns a Keeper. keep is how long a certificate is kept after it was last shown; warn hears of failures
// and must not wait.
func NewKeeper(book *Book, keep time.Duration, warn func(error)) *Keeper {
	return &Keeper{book: book, keep: keep, warn: warn, known: map[string]time.Time{}, pending: map[string]Certificate{}}
}

// Emit takes note of the certificates of an attempt.
func (k *Keeper) Emit(e event.Event) {
	a, ok := e.(event.Attempted)
	if !ok || a.Attempt == nil {
		return
	}
	now := time.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range a.Attempt.Tries {
		seen := a.Attempt.Tries[i].Evidence
		if seen == nil {
			continue
		}
		for j := range seen.Chain {
			k.note(seen.Chain[j].SHA256, seen.Chain[j].Raw, now)
		}
	}
}

// note keeps a certificate unless that was done today. The caller holds the lock.
func (k *Keeper) note(digest string, der []byte, now time.Time) {
	if len(der) == 0 || len(der) > LargestDER || now.Sub(k.known[digest]) < renew || len(k.pending) >= PendingMost {
		return
	}
	if len(k.known) >= knownMost {
		clear(k.known) // they are written once more
	}
	k.known[digest] = now
	k.pending[digest] = Certificate{digest, der, now.UTC()}
}

// Certificates returns those of the digests that are known, written already or not.
func (k *Keeper) Certificates(ctx context.Context, digests []string) ([]Certificate, error) {
	var fresh []Certificate
	k.mu.Lock()
	for _, d := range digests {
		if c, ok := k.pending[d]; ok {
			fresh = append(fresh, c)
		}
	}
	k.mu.Unlock()
	kept, err := k.book.Certificates(ctx, digests)
	for _, c := range kept {
		if !slices.ContainsFunc(fresh, func(f Certificate) bool { return f.SHA256 == c.SHA256 }) {
			fresh = append(fresh, c)
		}
	}
	return fresh, err
}

// Run brings what is new to the book until ctx ends, and once more then. It forgets what is too old, once a day.
func (k *Keeper) Run(ctx context.Context) { flush.Run(ctx, Interval, k.Flush, k.sweep) }

func (k *Keeper) sweep(ctx context.Context, now time.Time) {
	if err := k.book.ForgetCertificates(ctx, now.Add(-k.keep)); err != nil {
		k.warn(err)
	}
}

// Flush brings what is new to the book. A certificate is found among what waits until it is found in the book; what
// cannot be written is kept for the next time.
func (k *Keeper) Flush(ctx context.Context) {
	k.mu.Lock()
	list := slices.Collect(maps.Values(k.pending))
	k.mu.Unlock()
	if len(list) == 0 {
		return
	}
	if err := k.book.PutCertificates(ctx, list); err != nil {
		k.warn(err)
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, c := range list {
		delete(k.pending, c.SHA256)
	}
}
