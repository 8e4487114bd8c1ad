package stscache_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/gateway/stscache"
	"postern/internal/lab/testkit/zone"
	"postern/internal/mail"
	"postern/internal/platform/records"
	"postern/internal/policy/sts"
	"postern/internal/queue/memstore"
)

// world is a cache in a bubble, with a zone, policy hosts that tests script, and a store that can fail.
type world struct {
	t     *testing.T
	zone  *zone.Resolver
	store *faulty
	hosts *hosts
	cache *stscache.Cache

	mu   sync.Mutex
	told []stscache.Unavailable
}

// bubble runs a test with a cache, which is closed at the end.
func bubble(t *testing.T, records string, change func(*stscache.Config), test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, zone: zone.New(t, records), store: newStore(), hosts: &hosts{serve: map[string]serve{}, asked: map[string]int{}}}
		w.cache = w.open(change)
		test(t, w)
		w.cache.Close()
	})
}

// open makes a cache over what the store has, as a start of the process or another gateway would.
func (w *world) open(change func(*stscache.Config)) *stscache.Cache {
	cfg := stscache.Config{Store: w.store, Resolver: w.zone, Fetcher: w.hosts, Tell: func(u stscache.Unavailable) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.told = append(w.told, u)
	}}
	if change != nil {
		change(&cfg)
	}
	return stscache.New(cfg)
}

// heard returns what was told since it was asked last.
func (w *world) heard() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for _, u := range w.told {
		out = append(out, fmt.Sprintf("%s %s kept=%v", u.Domain, u.Note.Kind, u.Kept != nil))
	}
	w.told = nil
	return out
}

// run runs the loop for some time.
func (w *world) run(d time.Duration) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), d)
	defer cancel()
	if err := w.cache.Run(ctx); err != nil {
		w.t.Error(err)
	}
}

// want asks for the policy of a domain. Said is "mode id source", or for none the kind.
func (w *world) want(said, domain string) *stscache.Found {
	w.t.Helper()
	return w.check(said, domain, w.cache.Policy)
}

func (w *world) wantAgain(said, domain string) *stscache.Found {
	w.t.Helper()
	return w.check(said, domain, w.cache.Again)
}

func (w *world) check(said, domain string, ask func(context.Context, mail.Domain) (*stscache.Found, stscache.Note, error)) *stscache.Found {
	w.t.Helper()
	found, note, err := ask(w.t.Context(), mail.MustDomain(domain))
	got := string(note.Kind)
	switch {
	case err != nil:
		got = "error: " + err.Error()
	case found != nil:
		got = fmt.Sprintf("%s %s %s", found.Policy.Mode, found.ID, found.Source)
	}
	if got != said {
		w.t.Errorf("%s: %s (%s), want %s", domain, got, note.Text, said)
	}
	return found
}

// serve is what a policy host does.
type serve func(ctx context.Context) (sts.Policy, error)

// hosts is a Fetcher that tests script.
type hosts struct {
	mu    sync.Mutex
	serve map[string]serve
	asked map[string]int
	now   int
	most  int
}

func (h *hosts) Fetch(ctx context.Context, domain mail.Domain) (sts.Policy, error) {
	h.mu.Lock()
	h.asked[domain.String()]++
	h.now++
	h.most = max(h.most, h.now)
	serve := h.serve[domain.String()]
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.now--
	}()
	if serve == nil {
		return sts.Policy{}, &stscache.Failure{Note: stscache.Note{Kind: stscache.HostRefused, Text: "no server listens"}}
	}
	return serve(ctx)
}

func (h *hosts) set(domain string, s serve) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.serve[domain] = s
}

// count returns how often a domain was asked since the last count.
func (h *hosts) count(domain string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := h.asked[domain]
	h.asked[domain] = 0
	return n
}

// peak returns the most that were asked at a time since it was called last.
func (h *hosts) peak() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := h.most
	h.most = h.now
	return n
}

func publishes(mode sts.Mode, age time.Duration, mx ...string) serve {
	return func(context.Context) (sts.Policy, error) { return sts.New(mode, mx, age) }
}

func refuses(kind stscache.Kind) serve {
	return func(context.Context) (sts.Policy, error) {
		return sts.Policy{}, &stscache.Failure{Note: stscache.Note{Kind: kind, Text: "it fails"}}
	}
}

// after serves late.
func after(d time.Duration, s serve) serve {
	return func(ctx context.Context) (sts.Policy, error) {
		select {
		case <-time.After(d):
			return s(ctx)
		case <-ctx.Done():
			return sts.Policy{}, &stscache.Failure{Note: stscache.Note{Kind: stscache.HostSilent, Text: "it did not answer in time"}}
		}
	}
}

// faulty is a store that can be down.
type faulty struct {
	records.Store
	down, readonly atomic.Bool
	slow           atomic.Int64 // nanoseconds that the next read takes after it read
}

var errDown = errors.New("the store is down")

func (f *faulty) ReadRecords(ctx context.Context, do func(records.Reader) error) error {
	if f.down.Load() {
		return errDown
	}
	err := f.Store.ReadRecords(ctx, do)
	time.Sleep(time.Duration(f.slow.Swap(0)))
	return err
}

func (f *faulty) ChangeRecords(ctx context.Context, do func(records.Tx) error) error {
	if f.down.Load() || f.readonly.Load() {
		return errDown
	}
	return f.Store.ChangeRecords(ctx, do)
}

func newStore() *faulty { return &faulty{Store: memstore.New()} }
