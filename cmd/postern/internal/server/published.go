package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"postern/internal/gateway/stscache"
	"postern/internal/mail"
	"postern/internal/policy/exception"
	"postern/internal/policy/sts"
)

// When policy hosts of so many domains, one after the other, are out of reach within reachTime, and none is reached
// meanwhile, it is hardly the fault of the domains.
const (
	reachMost = 5
	reachTime = time.Hour
)

// reach fetches policies and notices when no policy host can be reached at all. Safe for concurrent use.
type reach struct {
	stscache.Fetcher
	tell func(what string, err error, hint string)

	mu   sync.Mutex
	out  map[mail.Domain]time.Time // out of reach, since any host was reached
	told lately
}

// Fetch fetches.
func (r *reach) Fetch(ctx context.Context, d mail.Domain) (sts.Policy, error) {
	p, err := r.Fetcher.Fetch(ctx, d)
	if ctx.Err() == nil || err == nil {
		r.note(d, err, time.Now())
	}
	return p, err
}

// note takes in what became of one fetch. Whatever a host answered, it was reached; where DNS does not tell where it
// is, or we do not want to speak to it, nothing is known.
func (r *reach) note(d mail.Domain, err error, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	failure, _ := errors.AsType[*stscache.Failure](err)
	switch {
	case err != nil && failure == nil:
		return
	case failure != nil && slices.Contains([]stscache.Kind{stscache.HostUnknown, stscache.HostPrivate, stscache.NotYet,
		stscache.Busy}, failure.Kind):
		return
	case failure == nil || !slices.Contains([]stscache.Kind{stscache.HostSilent, stscache.HostRefused,
		stscache.TLSFailed}, failure.Kind):
		r.out = nil
		return
	}
	for one, at := range r.out {
		if now.Sub(at) >= reachTime {
			delete(r.out, one)
		}
	}
	if r.out == nil {
		r.out = map[mail.Domain]time.Time{}
	}
	if len(r.out) < 100 {
		r.out[d] = now
	}
	if len(r.out) >= reachMost && r.told.first("all", now) {
		r.tell("policy hosts", fmt.Errorf("no MTA-STS policy host can be reached: those of %d domains failed and "+
			"none answered, the last with: %s", len(r.out), failure.Text),
			"look whether this machine may open connections to port 443; policies that were fetched count until "+
				"they end, and new ones are not found")
	}
}

// remindPause is how often it is looked whether an exception is about to end.
const remindPause = 6 * time.Hour

// reminds tells of exceptions that are about to end, until ctx does.
func (g *Gateway) reminds(ctx context.Context) error {
	tick := time.NewTicker(remindPause)
	defer tick.Stop()
	var r reminder
	for {
		if v := g.rules.Now(); v.Err == nil {
			now := time.Now()
			first := func(keys []string) []string {
				if out, err := g.told.First(ctx, keys, now, remindRest); err == nil {
					return out
				}
				return keys // told twice is better than not at all
			}
			if text := r.look(v.Rules.Exceptions(), now, first); text != "" {
				g.warn("exception ends", errors.New(text),
					"`postern check DOMAIN` shows whether mail would go without it")
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// remindRest is longer than the same end can be as near as it was.
const remindRest = 20 * 24 * time.Hour

// reminder remembers of which ends it told. The zero value is ready.
type reminder struct{ told map[string]bool }

// remindDays are how many days before its end an exception is told of.
func remindDays() []int { return []int{14, 7, 3, 1} }

// look says which exceptions end soon and were not told of since they came as near to their end, here or, as first
// tells, at another gateway; "" for none.
func (r *reminder) look(list []exception.Exception, now time.Time, first func(keys []string) []string) string {
	if r.told == nil || len(r.told) > exception.Max {
		r.told = map[string]bool{}
	}
	var keys, out []string
	texts := map[string]string{}
	for i := range list {
		x := &list[i]
		left, near := x.Expires.At.Sub(now), 0
		for _, days := range remindDays() {
			if left <= time.Duration(days)*24*time.Hour {
				near = days
			}
		}
		key := fmt.Sprintf("exception %s %s %d", x.Domain, x.Expires, near)
		if near == 0 || left <= 0 || r.told[key] {
			continue
		}
		r.told[key] = true
		keys, texts[key] = append(keys, key), fmt.Sprintf("%s (%s, %s)", x.Domain, x.Expires, x.Reason)
	}
	if len(keys) > 0 {
		for _, key := range first(keys) {
			out = append(out, texts[key])
		}
	}
	if len(out) == 0 {
		return ""
	}
	return "what is published is kept to again soon, because an exception ends: " +
		strings.TrimSpace(mail.AtMost(out, 10, "; "))
}
