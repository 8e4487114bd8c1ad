package dispatch

import (
	"context"
	"slices"

	"postern/internal/queue"
)

// Wished tells that an administrator wants something of mail that is claimed. Workers let go at once of what they have not
// begun with; the store then does what is wished. It returns at once.
func (d *Dispatcher) Wished() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for r := range d.running {
		select {
		case r.wished <- struct{}{}:
		default: // told already
		}
	}
}

// offer puts work among what waits in this run: from now on it may be let go of beside the worker.
func (r *run) offer(works []queue.Work) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range works {
		r.waiting[works[i].ID] = works[i]
	}
}

// take is the worker's turn with work that was offered: nobody else touches it any more. What was let go of meanwhile is
// left out.
func (r *run) take(works []queue.Work) []queue.Work {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(works, func(w queue.Work) bool {
		_, still := r.waiting[w.ID]
		delete(r.waiting, w.ID)
		return !still
	})
}

// letGoWished gives back what waits in this run and is wished away, beside a worker that may be busy for long.
func (r *run) letGoWished(ctx context.Context) {
	r.mu.Lock()
	ids := make([]queue.DeliveryID, 0, len(r.waiting))
	for id := range r.waiting {
		ids = append(ids, id)
	}
	r.mu.Unlock()
	if len(ids) == 0 {
		return
	}
	wished, err := r.d.cfg.Store.Wished(ctx, ids)
	if err != nil {
		return // asked again before each message
	}
	var works []queue.Work
	r.mu.Lock()
	for _, id := range wished {
		if w, still := r.waiting[id]; still {
			works = append(works, w)
			delete(r.waiting, id)
		}
	}
	r.mu.Unlock()
	for group := range byMessage(works) {
		fates := r.d.untouched(group)
		_ = r.d.conclude(ctx, fates, nil) // told there; the leases end by themselves, and the store does what is wished
		r.drop(fates)
	}
}

// unwished gives back what is wished away of a group and returns the rest. It is asked last thing before MAIL.
func (r *run) unwished(ctx context.Context, group []queue.Work) []queue.Work {
	ids := make([]queue.DeliveryID, len(group))
	for i := range group {
		ids[i] = group[i].ID
	}
	wished, err := r.d.cfg.Store.Wished(ctx, ids)
	if err != nil {
		r.d.storeFailed(err, "look at the data folder; until it can be asked what an administrator wants of mail, it is not sent")
		r.giveBack(ctx, group)
		return nil
	}
	if len(wished) == 0 {
		return group
	}
	var away, rest []queue.Work
	for _, w := range group {
		if slices.Contains(wished, w.ID) {
			away = append(away, w)
		} else {
			rest = append(rest, w)
		}
	}
	r.giveBack(ctx, away)
	return rest
}

// untouched gives a group back as it was.
func (d *Dispatcher) untouched(group []queue.Work) []fate {
	fates := make([]fate, len(group))
	for i := range group {
		fates[i] = d.again(&group[i])
	}
	return fates
}
