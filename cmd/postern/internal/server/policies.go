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
	told := &lately{}
	cfg.Tell = func(u stscache.Unavailable) {
		g.sink.Emit(event.PolicyUnavailable{Domain: u.Domain.String(), Fault: string(u.Note.Kind), Text: u.Note.Text, Kept: u.Kept != nil,
			Repeated: !told.first(u.Domain.String(), time.Now())})
	}
	return stscache.New(cfg)
}

// A domain is warned of once a day; mostLately bounds how many are remembered, and some are told once more.
const (
	warnAgain  = 24 * time.Hour
	mostLately = 20_000
)

// lately remembers what was told. The zero value is ready. Safe for concurrent use.
type lately struct {
	mu   sync.Mutex
	told map[string]time.Time
}

// first reports whether something was not told within the last day, and takes note of it.
func (l *lately) first(what string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at, ok := l.told[what]; ok && now.Sub(at) < warnAgain {
		return false
	}
	if l.told == nil || len(l.told) >= mostLately {
		l.told = map[string]time.Time{}
	}
	l.told[what] = now
	return true
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
