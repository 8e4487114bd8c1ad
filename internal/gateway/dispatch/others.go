package dispatch

import (
	"context"
	"maps"
	"slices"
	"time"

	"postern/internal/queue"
	"postern/internal/queue/schedule"
)

// Others are the other gateways of the store as this one has to mind them; *nodes.Node is them.
//
// What runs ends before the next message while Live is false; what is decided already is still stored, under the leases
// of its deliveries. A site that fails is probed by one gateway for all: who starts there asks for the turn, and gives
// it back by saying what came of it. Of sites that work nothing is said.
type Others interface {
	// Live reports whether this gateway may do anything now. May says why it may begin nothing, Ready waits a little
	// where that mends at once.
	Live() bool
	May() error
	Ready(ctx context.Context) error
	// Probe asks for the turn at a failing site, or prolongs it; with now somebody wants it tried at once. wait is 0
	// when it was given, else how long to wait before it is asked for again.
	Probe(ctx context.Context, site string, now bool) (wait time.Duration, err error)
	// Failed tells that nobody is to probe a site for a while. Passed tells that it works.
	Failed(ctx context.Context, site string, rest time.Duration) error
	Passed(ctx context.Context, site string) error
	// Failing returns those of the sites that all know as failing.
	Failing(ctx context.Context, sites []string) (map[string]time.Duration, error)
	// Duty reports whether this gateway is the one that does something for all now.
	Duty(ctx context.Context, what string) bool
	// Among returns how many gateways share the limits of sites, and the how-manieth this is, counted from 0.
	Among() (gateways, rank int)
}

// live reports whether this gateway may start anything.
func (d *Dispatcher) live() bool { return d.joined() && d.roomy() }

// joined reports whether this gateway is among those that live.
func (d *Dispatcher) joined() bool { return d.cfg.Others == nil || d.cfg.Others.Live() }

// roomy reports whether what becomes of a delivery could be stored.
func (d *Dispatcher) roomy() bool { return d.cfg.Room == nil || d.cfg.Room() == nil }

// Resumed tells that this gateway may do things again.
func (d *Dispatcher) Resumed() { d.reschedule() }

// apart reports whether a message may not be begun now, because of the other gateways or because there is no room
// to note what becomes of it. What is claimed stays so until the leases end.
func (r *run) apart(ctx context.Context) bool {
	return r.d.cfg.Others != nil && r.d.cfg.Others.Ready(ctx) != nil || !r.d.roomy()
}

// still reports whether everything is as it was when a message was judged. It is asked when MAIL is about to be said.
func (r *run) still() bool {
	return r.d.cfg.InForce() == r.view && r.d.roomy() && (r.d.cfg.Others == nil || r.d.cfg.Others.May() == nil)
}

// mayProbe gets the turn at a site that fails. False leaves the site for later.
func (r *run) mayProbe(ctx context.Context) bool {
	d := r.d
	if d.cfg.Others == nil {
		return true
	}
	wait, err := d.cfg.Others.Probe(ctx, string(r.site), r.place.Kicked())
	if err != nil { // the store cannot be asked
		wait = d.fates.Pause(1)
	}
	if wait <= 0 {
		r.turn.Store(true)
		return true
	}
	now := time.Now()
	d.mu.Lock()
	d.sched.Elsewhere(string(r.site), schedule.State{RetryAt: now.Add(wait)}, d.now())
	d.mu.Unlock()
	r.leave(now.Add(wait))
	return false
}

// failsElsewhere reports whether another gateway stored that a site fails of which nobody knew that here. It is a
// matter for a probe then, and what was claimed goes back. A channel that is open is worth more than what another
// found.
func (r *run) failsElsewhere(works []queue.Work) bool {
	d := r.d
	if d.cfg.Others == nil || r.probe || r.channel != nil || len(works) == 0 || works[0].SiteState.Failures == 0 {
		return false
	}
	st := &works[0].SiteState
	d.mu.Lock()
	defer d.mu.Unlock()
	d.markBroken(serversOf(works[0].NextHop), r.site, works[0].Requirement)
	d.sched.Elsewhere(string(r.site), schedule.State{Failures: st.Failures, Since: st.Since, RetryAt: d.now()}, d.now())
	return true
}

// share tells the others what was just stored of the site.
func (r *run) share(ctx context.Context, sites map[queue.SiteKey]queue.SiteState) {
	switch state, changed := sites[r.site]; {
	case !changed:
	case state.Failures > 0:
		r.giveTurn(ctx, time.Until(state.RetryAt))
	default:
		r.tellPassed(ctx)
	}
}

// giveTurn ends the turn, if there is one: nobody is to probe the site for a while.
func (r *run) giveTurn(ctx context.Context, rest time.Duration) {
	if r.d.cfg.Others == nil || !r.turn.Swap(false) && rest <= 0 {
		return
	}
	_ = r.d.cfg.Others.Failed(context.WithoutCancel(ctx), string(r.site), rest) // the turn ends by itself
}

// tellPassed tells the others that a site which failed works.
func (r *run) tellPassed(ctx context.Context) {
	r.turn.Store(false)
	if r.d.cfg.Others != nil {
		_ = r.d.cfg.Others.Passed(context.WithoutCancel(ctx), string(r.site)) // found out by the next probe of each
	}
}

// keepTurn prolongs it.
func (r *run) keepTurn(ctx context.Context) {
	if r.turn.Load() {
		_, _ = r.d.cfg.Others.Probe(ctx, string(r.site), false) // who loses it is not alone for a while
	}
}

// othersPause is how often is asked which failing sites passed elsewhere, othersStep of how many at a time.
const (
	othersPause = time.Second
	othersStep  = 1000
)

// othersLoop has sites tried at once that passed at another gateway, and those that others do not get to.
func (d *Dispatcher) othersLoop(ctx context.Context) {
	if d.cfg.Others == nil {
		return
	}
	tick := time.NewTicker(othersPause)
	defer tick.Stop()
	known := map[queue.SiteKey]bool{} // that all know as failing
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if d.live() {
				d.divide()
				d.hearPassed(ctx, known)
				d.takeOver(ctx)
			}
		}
	}
}

// divide tells the schedule how many gateways there are.
func (d *Dispatcher) divide() {
	d.mu.Lock()
	d.among()
	d.mu.Unlock()
	d.reschedule()
}

// among is divide for who holds mu.
func (d *Dispatcher) among() {
	if d.cfg.Others != nil {
		d.now()
		d.sched.Among(d.cfg.Others.Among())
	}
}

// surplus reports whether other gateways came, and this worker is one too many at its site since.
func (r *run) surplus() bool {
	d := r.d
	d.mu.Lock()
	defer d.mu.Unlock()
	d.among()
	return d.sched.Surplus(r.place)
}

// hearPassed kicks the sites that fail here, were known to all as failing, and are no more.
func (d *Dispatcher) hearPassed(ctx context.Context, known map[queue.SiteKey]bool) {
	failing := d.failing()
	maps.DeleteFunc(known, func(site queue.SiteKey, _ bool) bool { return !failing[site] })
	for sites := range slices.Chunk(slices.Collect(maps.Keys(failing)), othersStep) {
		names := make([]string, len(sites))
		for i, s := range sites {
			names[i] = string(s)
		}
		all, err := d.cfg.Others.Failing(ctx, names)
		if err != nil {
			return // asked again soon
		}
		var passed []queue.SiteKey
		for _, s := range sites {
			if _, still := all[string(s)]; still {
				known[s] = true
			} else if known[s] {
				delete(known, s)
				passed = append(passed, s)
			}
		}
		if len(passed) > 0 {
			d.Kick(ctx, passed...)
		}
	}
}

// takeOver has sites worked at that others have overlooked. Whose mail it is shows when it is claimed.
func (d *Dispatcher) takeOver(ctx context.Context) {
	if d.cfg.Overlooked == nil {
		return
	}
	sites, err := d.cfg.Overlooked(ctx)
	if err != nil || len(sites) == 0 {
		return // asked again soon
	}
	d.mu.Lock()
	now := d.now()
	for _, s := range sites {
		d.sched.Added(string(s), now, schedule.Origin{})
	}
	d.mu.Unlock()
	d.reschedule()
}

// failing are the sites that are known here as failing.
func (d *Dispatcher) failing() map[queue.SiteKey]bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := map[queue.SiteKey]bool{}
	for _, sites := range d.broken {
		for site := range sites {
			out[site] = true
		}
	}
	return out
}
