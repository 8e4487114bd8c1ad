package dispatch

import (
	"context"
	"errors"
	"time"

	"postern/internal/attempt"
	"postern/internal/policy"
	"postern/internal/queue"
)

// conclude settles fates of this run, with the site's new state when the run changed it, and lets the leases go.
func (r *run) conclude(ctx context.Context, fates []fate) {
	var sites map[queue.SiteKey]queue.SiteState
	for i := range fates {
		r.leave(fates[i].settlement.Due)
	}
	if r.failed && !r.reported {
		sites = map[queue.SiteKey]queue.SiteState{r.site: r.report()}
	} else if r.passed && len(fates) > 0 && fates[0].work.SiteState.Failures > 0 {
		sites = map[queue.SiteKey]queue.SiteState{r.site: {}}
	}
	if err := r.d.conclude(ctx, fates, sites); err != nil && !errors.Is(err, queue.ErrStaleLease) {
		r.stuck = true // told to the administrator there; the leases end by themselves
	}
	r.drop(fates)
}

// letGo leaves a group to the end of its leases, because nothing can be stored about it now.
func (r *run) letGo(group []queue.Work) {
	fates := r.d.untouched(group)
	r.d.lookLater(fates)
	r.drop(fates)
}

// defers puts a group off because its site failed: due as soon as the site is probed.
func (r *run) defers(ctx context.Context, group []queue.Work) {
	now := time.Now()
	fates := make([]fate, len(group))
	for i := range group {
		fates[i] = r.d.deferred(&group[i], r.climbed.Attempt, now)
	}
	r.conclude(ctx, fates)
}

// fails ends a group at once: waiting will not help, or the rule says not to wait for a peer without TLS.
func (r *run) fails(ctx context.Context, group []queue.Work) {
	fates := make([]fate, len(group))
	for i := range group {
		fates[i] = r.d.failed(&group[i], r.climbed.Attempt, "")
	}
	r.conclude(ctx, fates)
}

// holds keeps a group until an administrator acts.
func (r *run) holds(ctx context.Context, group []queue.Work, why string) {
	a := &attempt.Attempt{At: time.Now(), Reason: policy.PolicyUnavailable, Text: why}
	fates := make([]fate, len(group))
	for i := range group {
		fates[i] = newFate(&group[i], queue.Held, a)
	}
	r.conclude(ctx, fates)
}

// giveBack returns a group untried, for the next start.
func (r *run) giveBack(ctx context.Context, group []queue.Work) {
	r.conclude(ctx, r.d.untouched(group))
}

// hold notes leases so that they are kept alive.
func (r *run) hold(works []queue.Work) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range works {
		r.leases[works[i].ID] = works[i].Lease
	}
}

func (r *run) drop(fates []fate) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range fates {
		delete(r.leases, fates[i].work.ID)
	}
}

// keep prolongs the leases held, and lets go of what is wished away, until ctx ends. A lease that was lost is found out at
// Settle.
func (r *run) keep(ctx context.Context) {
	tick := time.NewTicker(r.d.cfg.Lease / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.wished:
			r.letGoWished(ctx)
			continue
		case <-tick.C:
		}
		if err := r.extend(ctx, r.held()); err != nil && ctx.Err() == nil {
			r.d.warn("queue", err, "a lease could not be prolonged; the delivery may be tried by another worker")
		}
	}
}

// held lists the leases of this moment.
func (r *run) held() []queue.Lease {
	r.mu.Lock()
	defer r.mu.Unlock()
	held := make([]queue.Lease, 0, len(r.leases))
	for _, l := range r.leases {
		held = append(held, l)
	}
	return held
}

// extend prolongs leases. One that was settled or lost a moment ago must not cost the others their time.
func (r *run) extend(ctx context.Context, held []queue.Lease) error {
	if len(held) == 0 {
		return nil
	}
	err := r.d.cfg.Store.Extend(ctx, held, time.Now().Add(r.d.cfg.Lease))
	if !errors.Is(err, queue.ErrStaleLease) {
		return err
	}
	if len(held) == 1 {
		return nil // if it was lost and not settled, Settle finds out
	}
	for i := range held {
		if err := r.extend(ctx, held[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}
