package dispatch

import (
	"context"
	"time"

	"postern/internal/queue/schedule"
)

// What another gateway accepted it delivers itself, and knows when it is due. Only when something has been due for a
// moment and nobody has claimed it does this gateway take part: the other is gone, or has no room for it.
const (
	neglectedFor   = 1500 * time.Millisecond
	neglectedPause = time.Second
	neglectedShare = 20 // the question may take one part in so many of the time
	neglectedMost  = 1000
)

// neglectedLoop looks for mail of the others that nobody is at.
func (d *Dispatcher) neglectedLoop(ctx context.Context) {
	if d.cfg.Neglected == nil {
		return
	}
	timer := time.NewTimer(neglectedPause)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		began := time.Now()
		d.takePart(ctx)
		timer.Reset(max(neglectedPause, neglectedShare*time.Since(began)))
	}
}

// takePart has the sites that are neglected tried here too. What the store says of a failing one is believed.
func (d *Dispatcher) takePart(ctx context.Context) {
	if !d.live() {
		return
	}
	now := time.Now()
	sites, err := d.cfg.Neglected(ctx, now.Add(-neglectedFor), now, neglectedMost)
	if err != nil || len(sites) == 0 {
		return // asked again soon
	}
	d.mu.Lock()
	for i := range sites {
		s := &sites[i]
		if s.Failures > 0 {
			d.markBroken(serversOf(s.NextHop), s.Key, s.Requirement)
			d.sched.Elsewhere(string(s.Key), schedule.State{Failures: s.Failures, Since: s.Since, RetryAt: s.RetryAt}, now)
		}
		d.sched.Added(string(s.Key), now, schedule.Origin{})
	}
	d.mu.Unlock()
	d.reschedule()
}
