package dispatch

import (
	"maps"
	"time"

	"postern/internal/gateway/route"
	"postern/internal/policy"
	"postern/internal/queue"
)

// brokenSite is a failing site, by its servers, so that a pass next door can wake it.
type brokenSite struct {
	require        policy.Requirement
	failed, kicked time.Time // last
}

// markBroken remembers a failing site under its servers. The caller holds mu.
func (d *Dispatcher) markBroken(at route.NextHop, site queue.SiteKey, r policy.Requirement) {
	if d.broken[at] == nil {
		d.broken[at] = make(map[queue.SiteKey]brokenSite)
	}
	old := d.broken[at][site]
	d.broken[at][site] = brokenSite{require: r, failed: time.Now(), kicked: old.kicked}
}

// wakeBroken wakes failing sites beside one that reached a level, if that is what they want: each at most once in a
// first retry step, for they may want more than this connection had, and then their own backoff counts.
func (d *Dispatcher) wakeBroken(at route.NextHop, passed queue.SiteKey, reached policy.Level) {
	d.mu.Lock()
	now := d.now()
	siblings := d.broken[at]
	delete(siblings, passed)
	for site, b := range siblings {
		if b.require.Channel <= reached && now.Sub(b.kicked) > d.fates.Pause(1) {
			b.kicked = now
			siblings[site] = b
			d.sched.Kick(string(site), now)
		}
	}
	if len(siblings) == 0 {
		delete(d.broken, at)
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

// serversOf reads a stored next hop as the servers it leads to, so that sites at the same ones meet. What cannot be
// read meets nothing else.
func serversOf(nextHop string) route.NextHop {
	h, err := route.ParseNextHop(nextHop)
	if err != nil {
		return route.NextHop{Hosts: nextHop}
	}
	return h.Servers()
}

// ownSite reports whether a site is a server that a domain of ours names, by its key.
func ownSite(site string) bool { return serversOf(queue.SiteKey(site).NextHop()).By == route.ByOwn }
