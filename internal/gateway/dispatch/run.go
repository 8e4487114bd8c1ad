package dispatch

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"postern/internal/attempt"
	"postern/internal/gateway/deliver"
	"postern/internal/gateway/inforce"
	"postern/internal/gateway/route"
	"postern/internal/policy"
	"postern/internal/queue"
	"postern/internal/queue/schedule"
)

// probeBatch is how many deliveries the worker at a failing site claims: few, so that a broken partner costs little,
// and more than one so that one message the peer chokes on does not stand for all.
const probeBatch = 5

// run is one worker at one site. It belongs to its goroutine, except its channels and leases.
type run struct {
	d     *Dispatcher
	place *schedule.Place
	site  queue.SiteKey
	probe bool
	// effort is the context of what is done over the network; cut ends it, when others need the place.
	effort context.Context
	cut    context.CancelCauseFunc
	more   chan struct{} // capacity 1: something came while lingering
	enough chan struct{} // capacity 1: lingering ends, for others need the place
	wished chan struct{} // capacity 1: an administrator wants something of what is claimed
	leases leases
	turn   atomic.Bool // this gateway's to probe the site, see Others

	channel *deliver.Channel
	climb   *attempt.Attempt    // the newest: how the channel was opened, or why there is none
	carried []attempt.Try       // the connection of the channel, for the attempts after its first
	view    *inforce.View       // what the channel was opened under
	judged  *inforce.Judgements // by it, of the message in hand
	warned  *inforce.View       // the last that could not judge
	servers route.NextHop       // of the site; see serversOf
	require policy.Requirement
	result  schedule.Result // what the scheduler is told at the end
}

func newRun(d *Dispatcher, p *schedule.Place, sending context.Context) *run {
	r := &run{d: d, place: p, site: queue.SiteKey(p.Site()), probe: p.Probe(), more: make(chan struct{}, 1),
		enough: make(chan struct{}, 1), wished: make(chan struct{}, 1), leases: newLeases()}
	r.effort, r.cut = context.WithCancelCause(sending)
	return r
}

// work claims and serves until nothing is left, the site fails, or ctx ends. Transfers go on under sending.
func (r *run) work(ctx, sending context.Context) {
	defer r.finish()
	defer r.survive()
	keep, done := context.WithCancel(sending)
	defer done()
	r.d.workers.Go(func() { r.keepLeases(keep) })
	for ctx.Err() == nil {
		works, ok := r.claim(ctx)
		switch {
		case !ok:
			return
		case len(works) == 0:
			if !r.linger(ctx) {
				return
			}
		case r.serve(ctx, sending, works) != goOn || r.probe:
			return
		}
	}
}

// claim leases the next batch.
func (r *run) claim(ctx context.Context) ([]queue.Work, bool) {
	if !r.d.live() {
		r.leave(time.Now())
		return nil, false
	}
	if r.surplus() {
		r.leave(time.Now())
		return nil, false
	}
	if r.probe && !r.mayProbe(ctx) {
		return nil, false
	}
	began := time.Now() // the store may take its time
	limit := r.batch()
	now, beyond := r.d.claimTimes()
	works, err := r.d.cfg.Store.Claim(ctx, queue.Claim{
		Site: r.site, Worker: r.d.cfg.Worker, Now: now, Until: now.Add(r.d.cfg.Lease), Beyond: beyond, Limit: limit,
	})
	if err != nil {
		if ctx.Err() == nil {
			r.d.storeFailed(err, "look at the data folder: the store could not be read")
			r.leave(now.Add(r.d.fates.Pause(1)))
		}
		return nil, false
	}
	r.leases.add(works, began.Add(r.d.cfg.Lease/2)) // of mail that was leased as it was stored so much is left
	if r.failsElsewhere(works) || !r.placed(works, len(works) >= limit) {
		r.settle(ctx, step{fates: all(works, r.d.fates.Untouched)})
		return nil, false
	}
	return works, true
}

// batch is how many deliveries the run may claim.
func (r *run) batch() int {
	if r.probe {
		return probeBatch
	}
	r.d.mu.Lock()
	defer r.d.mu.Unlock()
	return r.d.sched.Batch(r.place, r.d.cfg.Batch)
}

// finish ends the run however it went.
func (r *run) finish() {
	defer r.cut(nil)
	r.d.mu.Lock()
	delete(r.d.running, r)
	r.d.mu.Unlock()
	r.closeChannel()
	r.giveTurn(r.effort, 0)
	r.report(false)
	r.d.reschedule()
}

// report tells the scheduler once how the run ended, and returns what is to be stored of the site then; ok is false
// where it was told before.
func (r *run) report(siteFailed bool) (state queue.SiteState, ok bool) {
	d := r.d
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.runs[r.place] == nil {
		return state, false
	}
	delete(d.runs, r.place)
	r.result.Now, r.result.Failed, r.result.Passed = d.now(), siteFailed, r.result.Passed && !siteFailed
	s := d.sched.Done(r.place, r.result)
	state = queue.SiteState{Failures: s.Failures, Since: s.Since, RetryAt: s.RetryAt}
	if siteFailed {
		state.Last = ofSite(r.climb)
		d.markBroken(r.servers, r.site, r.require)
	}
	return state, true
}

// ofSite is a climb as the record of its site, which is no message's: without what a message alone set aside.
func ofSite(climb *attempt.Attempt) *attempt.Attempt {
	if climb == nil || !slices.Contains(climb.Notes, deliver.NoteWaived) {
		return climb
	}
	out := *climb
	out.Notes = slices.DeleteFunc(slices.Clone(climb.Notes),
		func(note string) bool { return note == deliver.NoteWaived })
	return &out
}

// leave notes that something at the site is due at t.
func (r *run) leave(t time.Time) {
	if due := &r.result.Due; !t.IsZero() && (due.IsZero() || t.Before(*due)) {
		*due = t
	}
}

// rouse has a run that lingers claim again; false: it was told already.
func (r *run) rouse() bool {
	select {
	case r.more <- struct{}{}:
		return true
	default:
		return false
	}
}

// linger waits with the open channel for more mail of the site; false ends the run.
func (r *run) linger(ctx context.Context) bool {
	if r.channel == nil || !r.channel.Healthy() {
		return false
	}
	d := r.d
	d.mu.Lock()
	d.lingering[r.site] = append(d.lingering[r.site], r)
	select {
	case <-r.enough: // of an earlier time
	default:
	}
	d.sched.Linger(r.place, true, d.now())
	d.mu.Unlock()
	d.reschedule() // others may need the place
	timer := time.NewTimer(d.cfg.Linger)
	defer timer.Stop()
	dismissed := false
	select {
	case <-r.more:
	case <-r.enough:
		dismissed = true
	case <-timer.C:
	case <-ctx.Done():
	}
	d.mu.Lock()
	rest := slices.DeleteFunc(d.lingering[r.site], func(x *run) bool { return x == r })
	if d.lingering[r.site] = rest; len(rest) == 0 {
		delete(d.lingering, r.site)
	}
	d.sched.Linger(r.place, false, d.now())
	d.mu.Unlock()
	select {
	case <-r.more: // came together with the timer
		return true
	default:
	}
	return !dismissed && timer.Stop() && ctx.Err() == nil
}
