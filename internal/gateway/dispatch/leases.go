package dispatch

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"postern/internal/gateway/fate"
	"postern/internal/queue"
)

// leases are what a run has claimed. Safe for concurrent use.
type leases struct {
	mu   sync.Mutex // guards what follows
	held map[queue.DeliveryID]lease
	// offered is what is claimed and not begun: it may be let go of beside the worker.
	offered map[queue.DeliveryID]queue.Work
}

// lease is one, and until when it surely stands.
type lease struct {
	queue.Lease
	stands time.Time
}

func newLeases() leases {
	return leases{held: make(map[queue.DeliveryID]lease), offered: make(map[queue.DeliveryID]queue.Work)}
}

// add notes leases so that they are kept alive.
func (l *leases) add(works []queue.Work, stand time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range works {
		l.held[works[i].ID] = lease{works[i].Lease, stand}
	}
}

// prolong notes that leases, where they are still held, stand for longer.
func (l *leases) prolong(prolonged []queue.Lease, stand time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range prolonged {
		if one, held := l.held[p.Delivery]; held && one.Lease == p {
			l.held[p.Delivery] = lease{p, stand}
		}
	}
}

// stand reports whether the leases of works surely stand now: otherwise another may have them by now.
func (l *leases) stand(works []queue.Work) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	return !slices.ContainsFunc(works, func(w queue.Work) bool { return !now.Before(l.held[w.ID].stands) })
}

// drop forgets leases that were settled.
func (l *leases) drop(fates []fate.Fate) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range fates {
		delete(l.held, fates[i].Work.ID)
	}
}

// all lists the leases of this moment.
func (l *leases) all() []queue.Lease {
	l.mu.Lock()
	defer l.mu.Unlock()
	held := make([]queue.Lease, 0, len(l.held))
	for _, one := range l.held {
		held = append(held, one.Lease)
	}
	return held
}

// count is how many they are.
func (l *leases) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.held)
}

// offer puts work among what is not begun.
func (l *leases) offer(works []queue.Work) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range works {
		l.offered[works[i].ID] = works[i]
	}
}

// begin is the worker's turn with work that was offered: nobody else touches it any more. What was let go of meanwhile
// is left out.
func (l *leases) begin(works []queue.Work) []queue.Work {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.DeleteFunc(works, func(w queue.Work) bool {
		_, still := l.offered[w.ID]
		delete(l.offered, w.ID)
		return !still
	})
}

// notBegun lists what is offered.
func (l *leases) notBegun() []queue.DeliveryID {
	l.mu.Lock()
	defer l.mu.Unlock()
	ids := make([]queue.DeliveryID, 0, len(l.offered))
	for id := range l.offered {
		ids = append(ids, id)
	}
	return ids
}

// withdraw takes work back that was offered and is still not begun.
func (l *leases) withdraw(ids []queue.DeliveryID) (works []queue.Work) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range ids {
		if w, still := l.offered[id]; still {
			works = append(works, w)
			delete(l.offered, id)
		}
	}
	return works
}

// keepLeases prolongs the leases held, and lets go of what is wished away, until ctx ends. A lease that was lost is
// found out at Settle.
func (r *run) keepLeases(ctx context.Context) {
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
		r.keepTurn(ctx)
		if err := r.extend(ctx, r.leases.all()); err != nil && ctx.Err() == nil {
			r.d.warn("queue", err, "a lease could not be prolonged; the delivery may be tried by another worker")
		}
	}
}

// extend prolongs leases. One that was settled or lost a moment ago must not cost the others their time.
func (r *run) extend(ctx context.Context, held []queue.Lease) error {
	if len(held) == 0 {
		return nil
	}
	until := time.Now().Add(r.d.cfg.Lease)
	err := r.d.cfg.Store.Extend(ctx, held, until)
	if err == nil {
		r.leases.prolong(held, until)
	}
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

// Claimed counts the deliveries that this gateway has in hand.
func (d *Dispatcher) Claimed() (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for r := range d.running {
		n += r.leases.count()
	}
	return n
}

// Wished tells that an administrator wants something of mail that is claimed. Workers let go at once of what they have
// not begun with; the store then does what is wished. It returns at once.
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

// letGoWished gives back what is not begun and wished away, beside a worker that may be busy for long.
func (r *run) letGoWished(ctx context.Context) {
	ids := r.leases.notBegun()
	if len(ids) == 0 {
		return
	}
	wished, err := r.d.cfg.Store.Wished(ctx, ids)
	if err != nil {
		return // asked again before each message
	}
	for group := range byMessage(r.leases.withdraw(wished)) {
		fates := all(group, r.d.fates.Untouched)
		_ = r.d.conclude(ctx, fates, nil) // told there; the leases end by themselves, and the store does what is wished
		r.leases.drop(fates)
	}
}

// unwanted gives back what is wished away of a group; nil when nothing is. It is asked last thing before MAIL.
func (r *run) unwanted(ctx context.Context, group []queue.Work) *step {
	ids := make([]queue.DeliveryID, len(group))
	for i := range group {
		ids[i] = group[i].ID
	}
	wished, err := r.d.cfg.Store.Wished(ctx, ids)
	if err != nil {
		r.d.storeFailed(err, "look at the data folder; "+
			"until it can be asked what an administrator wants of mail, it is not sent")
		return &step{fates: all(group, r.d.fates.Untouched)}
	}
	if len(wished) == 0 {
		return nil
	}
	s := &step{}
	for i := range group {
		if slices.Contains(wished, group[i].ID) {
			s.fates = append(s.fates, r.d.fates.Untouched(&group[i]))
		} else {
			s.left = append(s.left, group[i])
		}
	}
	return s
}
