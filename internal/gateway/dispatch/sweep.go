package dispatch

import (
	"context"
	"errors"
	"time"

	"postern/internal/gateway/fate"
	"postern/internal/queue"
)

func (d *Dispatcher) sweepLoop(ctx context.Context) {
	tick := time.NewTicker(d.cfg.Sweep)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			d.sweep(ctx)
		}
	}
}

// sweep handles every delivery whose deadline has come.
func (d *Dispatcher) sweep(ctx context.Context) {
	const limit = 200
	for ctx.Err() == nil && d.live() {
		d.tellJump()
		now := time.Now()
		works, err := d.cfg.Store.Claim(ctx, queue.Claim{
			Overdue: true, Worker: d.cfg.Worker, Now: now, Until: now.Add(d.cfg.Lease), Beyond: now.Add(d.horizon),
			Limit: limit,
		})
		if err != nil {
			if ctx.Err() == nil {
				d.storeFailed(err, "look at the data folder: the store could not be read")
			}
			return
		}
		for group := range byMessage(works) {
			fates := all(group, func(w *queue.Work) fate.Fate { return d.fates.Overdue(w, now, d.began) })
			if err := d.conclude(ctx, fates, nil); err != nil && !errors.Is(err, queue.ErrStaleLease) {
				return // warned there; the leases end by themselves
			}
		}
		if len(works) < limit {
			return
		}
	}
}
