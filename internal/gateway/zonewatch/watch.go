package zonewatch

import (
	"context"
	"crypto/x509"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"postern/internal/event"
	"postern/internal/policy/ownzone"
)

// When is looked. Each pause is stretched by up to a quarter, so that many gateways do not ask at the same time.
const (
	firstPause = 2 * time.Minute // after the start or a reload
	pause      = 4 * time.Hour
	warnAgain  = 24 * time.Hour
)

// mostWarnings bounds the lines that one look writes.
const mostWarnings = 20

// WatcherConfig is what a Watcher needs. All of it must be set.
type WatcherConfig struct {
	Asker *Asker
	// Own returns what is served now and the roots that senders trust; an error is warned of.
	Own func() (*ownzone.Own, *x509.CertPool, error)
	// Sink is told of findings (event.Warned), and of each look (event.RecordsChecked).
	Sink event.Sink
}

// Watcher looks now and then. It is safe for concurrent use.
type Watcher struct {
	cfg  WatcherConfig
	poke chan struct{}
	told map[string]time.Time // of Run alone: when what was warned of
	last atomic.Pointer[Result]
}

// Result is what one look found.
type Result struct {
	At       time.Time
	Findings []ownzone.Finding // shared: they are read and never changed
}

// Last is what the last look found, nil before the first.
func (w *Watcher) Last() *Result { return w.last.Load() }

// NewWatcher returns a Watcher that does nothing before Run.
func NewWatcher(cfg WatcherConfig) *Watcher {
	return &Watcher{cfg: cfg, poke: make(chan struct{}, 1), told: map[string]time.Time{}}
}

// Changed has it look soon: what is served may be another.
func (w *Watcher) Changed() {
	select {
	case w.poke <- struct{}{}:
	default: // it will
	}
}

// Run looks until ctx ends. It returns nil.
func (w *Watcher) Run(ctx context.Context) error {
	timer := time.NewTimer(stretched(firstPause))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.poke:
			timer.Reset(stretched(firstPause))
		case <-timer.C:
			w.look(ctx)
			timer.Reset(stretched(pause))
		}
	}
}

func stretched(d time.Duration) time.Duration { return d + time.Duration(rand.Int64N(int64(d)/4+1)) }

// look looks once and tells of it.
func (w *Watcher) look(ctx context.Context) {
	own, roots, err := w.cfg.Own()
	if err != nil {
		w.warn("records", err.Error(), "`postern records --check` shows more")
		return
	}
	var published, others []ownzone.Domain
	for _, d := range own.Domains {
		if d.Policy.Mode != "" {
			published = append(published, d)
		} else if len(own.Reports.Destinations) > 0 {
			others = append(others, d)
		}
	}
	counts := map[string]int{}
	for _, code := range ownzone.Codes() {
		counts[string(code)] = 0
	}
	var found []ownzone.Finding
	if len(own.Domains) > 0 {
		seen := w.cfg.Asker.Look(ctx, own, published, roots)
		seen.Domains = append(seen.Domains, w.cfg.Asker.LookForReports(ctx, others)...)
		found = ownzone.Judge(own, seen)
	}
	if ctx.Err() != nil {
		return // what was found is that we stop
	}
	lines, kept := 0, &Result{At: time.Now()}
	for _, f := range found {
		if f.Level == ownzone.Unknown && len(published)+len(others)+len(own.NextKeys) == 0 {
			continue // nothing is published, as far as is known, and that nobody answers is told elsewhere
		}
		counts[string(f.Code)]++
		kept.Findings = append(kept.Findings, f)
		if lines < mostWarnings && w.warn("records "+f.Name, string(f.Code)+": "+f.Text, f.Hint) {
			lines++
		}
	}
	w.last.Store(kept)
	w.cfg.Sink.Emit(event.RecordsChecked{Findings: counts})
}

// warn warns of something, unless it did within a day.
func (w *Watcher) warn(what, text, hint string) bool {
	now, key := time.Now(), what+" "+text
	for k, at := range w.told {
		if now.Sub(at) >= warnAgain {
			delete(w.told, k)
		}
	}
	if _, told := w.told[key]; told {
		return false
	}
	w.told[key] = now
	w.cfg.Sink.Emit(event.Warned{What: what, Text: text, Hint: hint})
	return true
}
