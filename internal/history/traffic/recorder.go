package traffic

import (
	"context"
	"strings"
	"sync"
	"time"

	"postern/internal/event"
	"postern/internal/mail"
	"postern/internal/platform/flush"
	"postern/internal/policy"
)

const (
	// Interval is how often sums go to the book.
	Interval = 5 * time.Second
	// DomainsMost bounds the recipient domains of one interval; mail to others is in the sums of the leg alone.
	DomainsMost = 10_000
)

// Recorder is an event.Sink that adds up. Emit never waits for the book. Safe for concurrent use.
type Recorder struct {
	book *Book
	warn func(error)

	mu      sync.Mutex
	counts  map[Sum]int64 // keyed by sums without a count
	domains int
}

// NewRecorder returns a Recorder that adds to book. warn hears of failures to; it must not wait.
func NewRecorder(book *Book, warn func(error)) *Recorder {
	return &Recorder{book: book, warn: warn, counts: map[Sum]int64{}}
}

// Emit counts what is mail.
func (r *Recorder) Emit(e event.Event) {
	now := time.Now()
	switch e := e.(type) {
	case event.Accepted:
		r.mu.Lock()
		defer r.mu.Unlock()
		r.add(now, OfLeg, string(e.Leg), inbound(e.TLS), Accepted)
	case event.Settled:
		r.settled(now, &e)
	}
}

// inbound is the level of a connection that brought mail.
func inbound(tls *mail.TLS) string {
	if tls == nil {
		return policy.Plaintext.String()
	}
	if tls.Client != nil && tls.Client.Verified {
		return policy.Authenticated.String()
	}
	return policy.Encrypted.String()
}

func (r *Recorder) settled(now time.Time, e *event.Settled) {
	level := e.Requires
	switch e.State {
	case Delivered:
		level = e.Reached
	case Deferred, Failed:
	default:
		return // held: nothing became of it yet
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.add(now, OfLeg, string(e.Leg), level.String(), e.State)
	for _, name := range names(e.Rule) {
		r.add(now, OfRule, name, level.String(), e.State)
	}
	for _, name := range names(e.Would) {
		r.add(now, OfRule, name, level.String(), Would)
	}
	if e.Leg == event.OutWorld && e.State != Deferred {
		r.add(now, OfDomain, e.To.Domain.String(), level.String(), e.State)
	}
}

// names splits what events join with commas.
func names(list string) (out []string) {
	for name := range strings.SplitSeq(list, ",") {
		if name = strings.TrimSpace(name); name != "" {
			out = append(out, name)
		}
	}
	return out
}

// add counts one. The caller holds the lock.
func (r *Recorder) add(now time.Time, kind Kind, name, level, outcome string) {
	key := Sum{At: Bucket(kind, now), Kind: kind, Name: name, Level: level, Outcome: outcome}
	if _, known := r.counts[key]; !known && kind == OfDomain {
		if r.domains >= DomainsMost {
			return
		}
		r.domains++
	}
	r.counts[key]++
}

// Run brings sums to the book until ctx ends, and once more then. It forgets what is too old, once a day.
func (r *Recorder) Run(ctx context.Context) { flush.Run(ctx, Interval, r.Flush, r.sweep) }

// Flush brings what was counted to the book. What cannot be written is kept for the next time.
func (r *Recorder) Flush(ctx context.Context) {
	r.mu.Lock()
	counts := r.counts
	r.counts, r.domains = map[Sum]int64{}, 0
	r.mu.Unlock()
	if len(counts) == 0 {
		return
	}
	sums := make([]Sum, 0, len(counts))
	for key, n := range counts {
		key.Count = n
		sums = append(sums, key)
	}
	err := r.book.AddTraffic(ctx, sums)
	if err == nil {
		return
	}
	r.warn(err)
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, n := range counts {
		if _, known := r.counts[key]; !known && key.Kind == OfDomain {
			r.domains++
		}
		r.counts[key] += n
	}
}

func (r *Recorder) sweep(ctx context.Context, now time.Time) {
	for _, kind := range []Kind{OfLeg, OfRule, OfDomain} {
		if err := r.book.ForgetTraffic(ctx, kind, now.Add(-Keep(kind))); err != nil {
			r.warn(err)
		}
	}
}
