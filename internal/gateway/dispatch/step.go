package dispatch

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"postern/internal/attempt"
	"postern/internal/gateway/fate"
	"postern/internal/policy"
	"postern/internal/queue"
	"postern/internal/queue/schedule"
)

// next is how a run goes on after a step.
type next int

const (
	goOn    next = iota
	failed       // the site failed: what else was claimed is put off with it
	crowded      // too many wait for the destination: what else was claimed goes back untouched
	stuck        // an outcome could not be stored: nothing is sent, what else was claimed stays leased
)

// step is what a run came to with the deliveries of one message. What was decided is settled before anything else
// happens; what is left begins anew: nothing of it was sent.
type step struct {
	fates  []fate.Fate
	left   []queue.Work
	next   next
	hangUp bool // the channel is closed as soon as that is settled
}

// message is the deliveries of one message that a run has in hand.
type message struct {
	works []queue.Work
	// elsewhere: it was said again on a new connection. overtaken: another's first use of the mail host's name came
	// first.
	elsewhere, overtaken bool
}

// serve handles a batch, one message after the other, and says how the run goes on.
func (r *run) serve(ctx, sending context.Context, works []queue.Work) next {
	r.leases.offer(works)
	slices.SortStableFunc(works, waivingFirst)
	after, began, quick := goOn, time.Now(), true
	groups := slices.Collect(byMessage(works))
	for i, group := range groups {
		r.handle(ctx, sending, &message{works: r.leases.begin(group)}, &after)
		if after == goOn && time.Since(began) > handAfter {
			r.hand(sending, groups[i+1:])
			began, quick = time.Now(), false
		}
	}
	if quick {
		r.divide(0)
	}
	return after
}

// handAfter is for how long a worker has a batch for itself.
const handAfter = time.Second

// hand gives most of the messages that are not begun to other workers, where the site is slow and may have more of
// them: what was claimed at once for the sake of quick servers shall not wait there one behind the other. Each claims
// its part, until nothing is left or it goes quickly again. What cannot be given back stays.
func (r *run) hand(ctx context.Context, groups [][]queue.Work) {
	others := r.spare()
	keep := (len(groups) + others) / (others + 1)
	if r.probe || keep == len(groups) || !r.d.roomy() {
		return
	}
	var shared []queue.Work
	for _, group := range groups[keep:] {
		shared = append(shared, r.leases.begin(group)...)
	}
	if len(shared) == 0 {
		return
	}
	fates, batch := all(shared, r.d.fates.Untouched), queue.Batch{Now: time.Now()}
	for i := range fates {
		if due := shared[i].Due; due.Before(fates[i].Settlement.Due) {
			fates[i].Settlement.Due = due // it keeps its turn
		}
		batch.Settlements = append(batch.Settlements, fates[i].Settlement)
	}
	if err := r.d.cfg.Store.Settle(context.WithoutCancel(ctx), batch); err != nil {
		r.leases.offer(shared)
		return
	}
	r.leases.drop(fates)
	for i := range fates {
		if s := batch.Settlements[i]; s.Became != s.State { // as an administrator wished
			fates[i].Settlement = s
			r.d.emitSettled(&fates[i])
		}
	}
	origin := r.d.origin(&shared[0].Message)
	r.divide((keep*len(shared) + len(groups) - keep - 1) / (len(groups) - keep)) // deliveries, not messages
	r.schedule(func(s *schedule.Scheduler, now time.Time) { s.Added(string(r.site), now, origin) })
}

// spare is how many other workers could take mail of the site.
func (r *run) spare() int {
	r.d.mu.Lock()
	defer r.d.mu.Unlock()
	return r.d.sched.Spare(r.place)
}

// divide bounds what workers at the site claim, 0: not.
func (r *run) divide(batch int) {
	r.d.mu.Lock()
	defer r.d.mu.Unlock()
	r.d.sched.Divide(r.place, batch)
}

// waivingFirst puts messages that set aside what is published before others: what keeps those may be no matter of
// theirs, and a site that failed is left alone.
func waivingFirst(a, b queue.Work) int {
	switch {
	case a.Message.Waives == b.Message.Waives:
		return 0
	case a.Message.Waives:
		return -1
	}
	return 1
}

// handle takes a message as far as it can go now: step by step, each settled before the next.
func (r *run) handle(ctx, sending context.Context, m *message, after *next) {
	defer r.passOver(sending, m, after)
	for len(m.works) > 0 {
		s := r.step(ctx, sending, m, *after)
		*after = r.settle(sending, s)
		if s.hangUp {
			r.closeChannel()
		}
		m.works = s.left
	}
}

// step takes a message one step further, or puts it aside when the run cannot go on.
func (r *run) step(ctx, sending context.Context, m *message, after next) step {
	switch {
	case after == failed:
		return r.siteFailed(m.works)
	case after != goOn, ctx.Err() != nil:
		return step{fates: all(m.works, r.d.fates.Untouched), next: after}
	case r.apart(sending), !r.leases.stand(m.works):
		return step{fates: all(m.works, r.d.fates.Untouched), next: stuck}
	}
	return r.send(sending, m)
}

// send judges a message by what is in force, brings it a channel that was opened under the same, and transfers it.
// Whatever puts a part of it aside ends the step. All of that takes time: what is in force is looked at again when MAIL
// is about to be said, and where it is something else all begins anew.
func (r *run) send(ctx context.Context, m *message) step {
	if view := r.d.cfg.InForce(); view != r.view {
		r.closeChannel()
		r.view = view
	}
	r.judged = r.view.Judgements(r.d.cfg.Store)
	before := r.unwanted // what nobody wants sent opens no connection
	if r.channel != nil {
		before = nil // asked at once below
	}
	for _, aside := range []func(context.Context, []queue.Work) *step{r.refused, r.misplaced, before, r.connect,
		r.unwanted} {
		if aside == nil {
			continue
		}
		if s := aside(ctx, m.works); s != nil {
			return *s
		}
	}
	return r.transfer(ctx, m)
}

// settle stores what a step decided, with the site's new state where the step changed it, and lets the leases go. It
// says how the run goes on.
func (r *run) settle(ctx context.Context, s step) next {
	defer r.leases.drop(s.fates)
	if s.next == stuck {
		r.d.lookLater(s.fates)
		return stuck
	}
	var sites map[queue.SiteKey]queue.SiteState
	for i := range s.fates {
		r.leave(s.fates[i].Settlement.Due)
	}
	if s.next == failed {
		if state, first := r.report(true); first {
			sites = map[queue.SiteKey]queue.SiteState{r.site: state}
		}
	} else if r.result.Passed && len(s.fates) > 0 && s.fates[0].Work.SiteState.Failures > 0 {
		sites = map[queue.SiteKey]queue.SiteState{r.site: {}}
	}
	err := r.d.conclude(ctx, s.fates, sites)
	r.share(ctx, sites)
	if err != nil && !errors.Is(err, queue.ErrStaleLease) {
		return stuck // told to the administrator there; the leases end by themselves
	}
	return s.next
}

// siteFailed ends the run: the site waits for its next probe, and the group with it, due as soon as it is probed.
func (r *run) siteFailed(group []queue.Work) step {
	r.closeChannel()
	return step{fates: all(group, r.d.fates.DeferredBy(r.climb, time.Now())), next: failed}
}

// passOver puts off a message whose handling met a bug. Otherwise the bug would end the gateway, which would meet it
// again at each start, and no mail would go out any more. It is deferred.
func (r *run) passOver(ctx context.Context, m *message, after *next) {
	v := recover()
	if v == nil {
		return
	}
	r.tellBug(v, "message "+string(m.works[0].Message.ID)+" is put off")
	if r.channel != nil { // in a state that nobody knows
		r.channel.Abort()
		r.channel = nil
	}
	a := &attempt.Attempt{At: time.Now(), Reason: policy.PolicyUnavailable, Text: "the gateway met a bug of its own"}
	*after = r.settle(ctx, step{fates: all(m.works, r.d.fates.DeferredAlone(a)), next: *after})
}

// survive ends one run where a bug would end them all. What it had leased is looked at again when the leases have
// ended. It is deferred.
func (r *run) survive() {
	if v := recover(); v != nil {
		r.tellBug(v, "site "+string(r.site)+" waits")
		r.leave(time.Now().Add(r.d.cfg.Lease))
	}
}

func (r *run) tellBug(v any, what string) {
	r.d.warn("bug", fmt.Errorf("%v\n%s", v, debug.Stack()), what+"; please report this to the makers of Postern")
}

// all gives each delivery of a group its fate.
func all(group []queue.Work, of func(w *queue.Work) fate.Fate) []fate.Fate {
	fates := make([]fate.Fate, len(group))
	for i := range group {
		fates[i] = of(&group[i])
	}
	return fates
}

// byMessage yields the deliveries of one message together that go in one transaction.
func byMessage(works []queue.Work) func(func([]queue.Work) bool) {
	return func(yield func([]queue.Work) bool) {
		for len(works) > 0 {
			n := 1
			for n < len(works) && alike(&works[n], &works[0]) {
				n++
			}
			group := works[:n:n]
			if works = works[n:]; !yield(group) {
				return
			}
		}
	}
}
