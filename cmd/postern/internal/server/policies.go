package server

import (
	"context"
	"sync"
	"time"

	"postern/cmd/postern/internal/rooms"
	"postern/internal/config"
	"postern/internal/dns/resolver"
	"postern/internal/event"
	"postern/internal/gateway/stscache"
	"postern/internal/mail"
)

// publishes makes the cache of MTA-STS policies, which reloads leave as it is.
func (g *Gateway) publishes() *stscache.Cache {
	cfg := rooms.Policies(g.cfg, g.resolver, g.dialer, g.roots, g.store)
	cfg.Idle = func() bool { return g.inForce.Load().Policies.STS == config.KeepingOff }
	cfg.Memory = g.plan.Domains
	cfg.Fetcher = &reach{Fetcher: cfg.Fetcher, tell: g.warn}
	told := &lately{}
	cfg.Tell = func(u stscache.Unavailable) {
		now := time.Now()
		e := event.PolicyUnavailable{Domain: u.Domain.String(), Fault: string(u.Note.Kind), Text: u.Note.Text,
			Kept: u.Kept != nil}
		if u.Kept != nil {
			e.Ends = u.Kept.Until
		}
		e.Repeated = !told.first(e.Domain, now)
		e.Since = told.since(e.Domain, now)
		g.sink.Emit(e)
	}
	return stscache.New(cfg)
}

// A domain is warned of once a day; mostLately bounds how many are remembered, and some are told once more. What did
// not happen for forgetting begins anew.
const (
	warnAgain  = 24 * time.Hour
	forgetting = 48 * time.Hour
	mostLately = 20_000
)

// lately remembers what was told. The zero value is ready. Safe for concurrent use.
type lately struct {
	mu   sync.Mutex
	told map[string]telling
}

// telling is when something began, was told last, and happened last.
type telling struct{ began, told, last time.Time }

// first reports whether something was not told within the last day, and takes note of it.
func (l *lately) first(what string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	t, known := l.told[what]
	if l.told == nil || !known && len(l.told) >= mostLately {
		l.told = map[string]telling{}
	}
	if now.Sub(t.last) >= forgetting {
		t.began = now
	}
	again := !known || now.Sub(t.told) >= warnAgain
	if again {
		t.told = now
	}
	t.last = now
	l.told[what] = t
	return again
}

// since is when something that happens now began.
func (l *lately) since(what string, now time.Time) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t, known := l.told[what]; known {
		return t.began
	}
	return now
}

// asked is the cache as an administrator's questions see it: what he asks about is asked of DNS afresh.
type asked struct {
	*stscache.Cache
	resolver *resolver.Resolver
}

// Record forgets cached answers and asks.
func (a asked) Record(ctx context.Context, domain mail.Domain) (string, stscache.Note) {
	a.resolver.Forget()
	return a.Cache.Record(ctx, domain)
}

// Refresh forgets cached answers and asks.
func (a asked) Refresh(ctx context.Context, domain mail.Domain) (*stscache.Found, stscache.Note, error) {
	a.resolver.Forget()
	return a.Cache.Refresh(ctx, domain)
}
