package dispatch

import (
	"maps"
	"strings"
	"time"

	"postern/internal/policy"
	"postern/internal/queue"
)

// brokenSite is a failing site, by next hop, so that a pass next door can wake it.
type brokenSite struct {
	require        policy.Requirement
	failed, kicked time.Time // last
}

// markBroken remembers a failing site under its next hop. The caller holds mu.
func (d *Dispatcher) markBroken(nextHop string, site queue.SiteKey, r policy.Requirement) {
	hop := baseHop(nextHop)
	if d.broken[hop] == nil {
		d.broken[hop] = make(map[queue.SiteKey]brokenSite)
	}
	old := d.broken[hop][site]
	d.broken[hop][site] = brokenSite{require: r, failed: time.Now(), kicked: old.kicked}
}

// wakeBroken wakes failing sites beside one that reached a level, if that is what they want: each at most once in a first
// retry step, for they may want more than this connection had, and then their own backoff counts.
func (d *Dispatcher) wakeBroken(nextHop string, passed queue.SiteKey, reached policy.Level) {
	hop := baseHop(nextHop)
	d.mu.Lock()
	now := d.now()
	siblings := d.broken[hop]
	delete(siblings, passed)
	for site, b := range siblings {
		if b.require.Channel <= reached && now.Sub(b.kicked) > d.pause(1) {
			b.kicked = now
			siblings[site] = b
			d.sched.Kick(string(site), now)
		}
	}
	if len(siblings) == 0 {
		delete(d.broken, hop)
	}
	d.mu.Unlock()
	d.reschedule()
}

// brokenFor is how long a failing site is remembered after its last failure. Where mail waits it is probed, and so
// remembered anew, long before.
const brokenFor = 24 * time.Hour

// forgetBroken drops failing sites at which nothing has been tried for long: their mail was given up.
func (d *Dispatcher) forgetBroken(now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for hop, sites := range d.broken {
		maps.DeleteFunc(sites, func(_ queue.SiteKey, b brokenSite) bool { return now.Sub(b.failed) > brokenFor })
		if len(sites) == 0 {
			delete(d.broken, hop)
		}
	}
}

// baseHop strips the domain that a requirement added to a next hop, so that sites at the same hosts meet.
func baseHop(nextHop string) string {
	hop, _, _ := strings.Cut(nextHop, "@")
	return hop
}
