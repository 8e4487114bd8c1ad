package dispatch

import (
	"context"
	"time"
)

// Purging goes in steps of tidyStep messages with a pause between them, so that mail is never stalled. Of several
// gateways one purges, and says so every tidyDuty while it does.
const (
	tidyDuty  = 5 * time.Second
	tidyEvery = time.Hour
	tidyStep  = 200
	tidyPause = 50 * time.Millisecond
)

func (d *Dispatcher) tidyLoop(ctx context.Context) {
	wait := time.NewTimer(time.Minute)
	defer wait.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-wait.C:
		}
		wait.Reset(d.tidy(ctx))
	}
}

// tidy purges one step and returns how long to wait for the next.
func (d *Dispatcher) tidy(ctx context.Context) time.Duration {
	d.forgetBroken(time.Now())
	if !d.joined() {
		return time.Minute
	}
	if !d.purges(ctx) {
		return tidyEvery
	}
	d.mu.Lock()
	before := d.now().Add(-d.cfg.Retention - d.clock.gained()) // a jump of the clock ages no record
	d.mu.Unlock()
	n, err := d.cfg.Store.Purge(ctx, before, tidyStep)
	if err != nil && ctx.Err() == nil {
		d.warn("queue", err, "finished records could not be purged; they stay")
	}
	if n > 0 && err == nil {
		return tidyPause
	}
	return tidyEvery
}

// purges reports whether this gateway is the one that purges. It belongs to the goroutine that tidies.
func (d *Dispatcher) purges(ctx context.Context) bool {
	if d.cfg.Others == nil || time.Since(d.purging) < tidyDuty {
		return true
	}
	if !d.cfg.Others.Duty(ctx, "purge") {
		return false
	}
	d.purging = time.Now()
	return true
}
