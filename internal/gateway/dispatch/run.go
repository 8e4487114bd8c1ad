package dispatch

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"postern/internal/attempt"
	"postern/internal/event"
	"postern/internal/gateway/deliver"
	"postern/internal/gateway/inforce"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/queue"
	"postern/internal/queue/schedule"
)

// probeBatch is how many deliveries the worker at a failing site claims: few, so that a broken partner costs little,
// and more than one so that one message the peer chokes on does not stand for all.
const probeBatch = 5

// run is one worker at one site. It belongs to its goroutine, except more and what mu guards.
type run struct {
	d     *Dispatcher
	place *schedule.Place
	site  queue.SiteKey
	probe bool
	more  chan struct{} // capacity 1: something came while lingering
	// effort is the context of what is done over the network; cut ends it, when others need the place.
	effort context.Context
	cut    context.CancelCauseFunc
	// enough, of capacity 1, ends lingering: others need the place.
	enough chan struct{}

	channel *deliver.Channel
	climbed deliver.Climbed
	carried []attempt.Try // the connection of the channel, for the attempts after its first
	nextHop string
	require policy.Requirement

	view           *inforce.View // what the channel was opened under
	told           *inforce.View // the last that could not judge
	passed, failed bool
	refused        bool      // too many wait for the same destination already
	stuck          bool      // an outcome could not be stored: nothing more is sent
	moved          queue.ID  // the message that was said again on a new connection
	overtaken      bool      // a first use of the mail host's name came second once
	left           time.Time // earliest due left behind
	reported       bool

	// tested is what rules under test make of the message testedOf: looked up once, however many its recipients are.
	testedOf queue.ID
	tested   map[mail.Address]*inforce.Judged

	wished chan struct{} // capacity 1: an administrator wants something of what is claimed

	mu     sync.Mutex // guards what follows
	leases map[queue.DeliveryID]queue.Lease
	// waiting is what is claimed and not begun; see offer and take.
	waiting map[queue.DeliveryID]queue.Work
}

func newRun(d *Dispatcher, p *schedule.Place, sending context.Context) *run {
	r := &run{d: d, place: p, site: queue.SiteKey(p.Site()), probe: p.Probe(), more: make(chan struct{}, 1),
		enough: make(chan struct{}, 1), wished: make(chan struct{}, 1),
		leases: make(map[queue.DeliveryID]queue.Lease), waiting: make(map[queue.DeliveryID]queue.Work)}
	r.effort, r.cut = context.WithCancelCause(sending)
	return r
}

// work claims and serves until nothing is left, the site fails, or ctx ends. Transfers go on under sending.
func (r *run) work(ctx, sending context.Context) {
	defer r.finish()
	defer r.survive()
	keep, done := context.WithCancel(sending)
	defer done()
	r.d.workers.Go(func() { r.keep(keep) })
	for ctx.Err() == nil {
		works, ok := r.claim(ctx)
		if !ok {
			return
		}
		if len(works) == 0 {
			if !r.linger(ctx) {
				return
			}
			continue
		}
		if !r.serve(ctx, sending, works) || r.probe {
			return
		}
	}
}

// claim leases the next batch.
func (r *run) claim(ctx context.Context) ([]queue.Work, bool) {
	limit := r.d.cfg.Batch
	if r.probe {
		limit = probeBatch
	}
	now, beyond := r.d.claimTimes()
	works, err := r.d.cfg.Store.Claim(ctx, queue.Claim{
		Site: r.site, Worker: r.d.cfg.Worker, Now: now, Until: now.Add(r.d.cfg.Lease), Beyond: beyond, Limit: limit,
	})
	if err != nil {
		if ctx.Err() == nil {
			r.d.storeFailed(err, "look at the data folder: the store could not be read")
			r.leave(now.Add(r.d.step(1)))
		}
		return nil, false
	}
	r.hold(works)
	if !r.sorted(works, len(works) >= limit) {
		r.giveBack(ctx, works)
		return nil, false
	}
	return works, true
}

// serve handles a batch; false means that the site or the store failed or the gateway stops.
func (r *run) serve(ctx, sending context.Context, works []queue.Work) bool {
	r.offer(works)
	for len(works) > 0 {
		n := oneMessage(works)
		group := r.take(works[:n:n])
		if works = works[n:]; len(group) > 0 {
			r.handle(ctx, sending, group)
		}
	}
	return !r.failed && !r.refused && !r.stuck && ctx.Err() == nil
}

// handle takes the deliveries of one message as far as they can go now.
func (r *run) handle(ctx, sending context.Context, group []queue.Work) {
	defer r.passOver(sending, group)
	switch {
	case r.stuck:
		r.letGo(group)
	case ctx.Err() != nil, r.refused:
		r.giveBack(sending, group)
	case r.failed:
		r.defers(sending, group)
	default:
		r.send(sending, group)
	}
}

// send judges the group by what is in force, brings it a channel that was opened under the same, and transfers it. All of
// that takes time: what is in force is looked at again when MAIL is about to be said, and where it is something else all
// begins anew.
func (r *run) send(ctx context.Context, group []queue.Work) {
	for len(group) > 0 {
		if view := r.d.cfg.InForce(); view != r.view {
			r.closeChannel()
			r.view = view
		}
		if group = r.upToDate(ctx, r.view, group); len(group) == 0 {
			return
		}
		if group = r.unwished(ctx, group); len(group) == 0 || !r.ready(ctx, group) {
			return
		}
		group = r.transfer(ctx, group)
	}
}

// ready brings a channel for the group; if none can be had the group has been settled.
func (r *run) ready(ctx context.Context, group []queue.Work) bool {
	r.nextHop, r.require = group[0].NextHop, group[0].Requirement
	if r.channel != nil && (!r.channel.Healthy() || !r.channel.Alive(r.effort)) {
		r.closeChannel()
	}
	if r.channel != nil {
		return true
	}
	if !r.enter("to " + baseHop(r.nextHop)) {
		r.crowded(ctx, group)
		return false
	}
	plan, problem := r.view.Table.Plan(r.effort, group[0].Recipient.Address.Domain)
	if problem != nil && ctx.Err() != nil {
		r.giveBack(ctx, group)
		return false
	}
	if problem != nil {
		final, text := r.d.final(group[0].Recipient.Address.Domain, problem, r.require)
		r.climbed = deliver.Climbed{Attempt: &attempt.Attempt{At: time.Now(), Reason: problem.Reason, Text: text}}
		if final {
			r.fails(ctx, group)
			return false
		}
		r.siteFailed(ctx, group)
		return false
	}
	r.d.planned(group[0].Recipient.Address.Domain)
	r.climbed = r.d.cfg.Opener.Open(r.effort, string(r.site), plan, r.require, r.admit)
	if r.climbed.Channel == nil && ctx.Err() != nil { // cut off because the gateway stops: nobody fell short
		r.giveBack(ctx, group)
		return false
	}
	if r.climbed.Crowded {
		r.crowded(ctx, group)
		return false
	}
	r.d.cfg.Sink.Emit(event.Attempted{Site: string(r.site), Leg: plan.Leg, Requires: r.require.Channel, Attempt: r.climbed.Attempt})
	r.d.tellChanged(plan.Domain, &r.climbed)
	if r.climbed.Channel == nil {
		if r.climbed.WithoutTLS && r.rejects(group) {
			r.fails(ctx, group)
			return false
		}
		r.siteFailed(ctx, group)
		return false
	}
	r.channel, r.carried = r.climbed.Channel, nil
	r.joined()
	for i, t := range r.climbed.Attempt.Tries {
		r.climbed.Attempt.Tries[i] = t.Sealed()
	}
	return true
}

// rejects reports whether a message fails at once for a peer without TLS. A notice of ours never does: it is held.
func (r *run) rejects(group []queue.Work) bool {
	return r.require.Forced() && r.require.WithoutTLS == policy.WithoutTLSReject && group[0].Message.Kind == queue.Ordinary
}

// siteFailed ends the run: the site waits for its next probe, and what was claimed with it.
func (r *run) siteFailed(ctx context.Context, group []queue.Work) {
	r.failed = true
	r.closeChannel()
	r.defers(ctx, group)
}

// report tells the scheduler how the run ended, once, and returns the state to store.
func (r *run) report() queue.SiteState {
	r.reported = true
	d := r.d
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.runs, r.place)
	s := d.sched.Done(r.place, schedule.Result{
		Now: d.now(), Failed: r.failed, Passed: r.passed && !r.failed, Due: r.left,
	})
	state := queue.SiteState{Failures: s.Failures, Since: s.Since, RetryAt: s.RetryAt}
	if r.failed {
		state.Last = r.climbed.Attempt
		d.markBroken(r.nextHop, r.site, r.require)
	}
	return state
}

func (r *run) finish() {
	defer r.cut(nil)
	r.d.mu.Lock()
	delete(r.d.running, r)
	r.d.mu.Unlock()
	r.closeChannel()
	if !r.reported {
		r.report()
	}
	r.d.look()
}

// pass notes that a connection passed, and wakes failing sites at the same next hop that may pass too: each at most once
// in a first retry step, for they may want more than this connection had, and then their own backoff counts.
func (r *run) pass() {
	if r.passed {
		return
	}
	r.passed = true
	reached, d := r.channel.Reached(), r.d
	d.mu.Lock()
	now := d.now()
	siblings := d.broken[baseHop(r.nextHop)]
	delete(siblings, r.site)
	for site, b := range siblings {
		if b.require.Channel <= reached && now.Sub(b.kicked) > d.step(1) {
			b.kicked = now
			siblings[site] = b
			d.sched.Kick(string(site), now)
		}
	}
	if len(siblings) == 0 {
		delete(d.broken, baseHop(r.nextHop))
	}
	d.mu.Unlock()
	d.look()
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
	d.look() // others may need the place
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

func (r *run) closeChannel() {
	if r.channel != nil {
		r.channel.Close()
		r.channel = nil
	}
}

// leave notes that something at the site is due at t.
func (r *run) leave(t time.Time) {
	if !t.IsZero() && (r.left.IsZero() || t.Before(r.left)) {
		r.left = t
	}
}

// baseHop strips the domain that a requirement added to a next hop, so that sites at the same hosts meet.
func baseHop(nextHop string) string {
	hop, _, _ := strings.Cut(nextHop, "@")
	return hop
}

// byMessage yields the deliveries of one message together.
func byMessage(works []queue.Work) func(func([]queue.Work) bool) {
	return func(yield func([]queue.Work) bool) {
		for len(works) > 0 {
			n := oneMessage(works)
			if !yield(works[:n]) {
				return
			}
			works = works[n:]
		}
	}
}

// oneMessage counts the works at the front that are of one message.
func oneMessage(works []queue.Work) int {
	n := 1
	for n < len(works) && works[n].Message.ID == works[0].Message.ID {
		n++
	}
	return n
}
