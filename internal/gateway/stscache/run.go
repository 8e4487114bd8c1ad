package stscache

import (
	"context"
	"sync"
	"time"

	"postern/internal/mail"
)

// round is how often Run looks for policies that are due, and portion how many it takes at a time: 100,000 policies,
// each asked for twice a day, are 140 a minute.
const (
	round   = 30 * time.Second
	portion = 200
)

// Run asks for policies again ahead of their end, deletes those that ended and notes which are used, until ctx ends. It
// returns nil. A store that does not answer is asked again in the next round.
func (c *Cache) Run(ctx context.Context) error {
	tick := time.NewTicker(round)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			flushing, cancel := context.WithTimeout(context.WithoutCancel(ctx), writing)
			defer cancel()
			_ = c.flush(flushing) // which were used is noted again the next day
			return nil
		case <-tick.C:
		}
		_ = c.flush(ctx)
		if c.cfg.Idle() {
			continue
		}
		if due, err := c.claim(ctx, time.Now(), portion); err == nil {
			c.renewAll(ctx, due)
		}
	}
}

// renewAll asks domains, less than half as many at a time as there may be fetches, so that mail to a domain that was
// never seen finds a slot.
func (c *Cache) renewAll(ctx context.Context, domains []mail.Domain) {
	work := make(chan mail.Domain)
	var group sync.WaitGroup
	for range max(1, (c.cfg.Fetches-1)/2) {
		group.Go(func() {
			for domain := range work {
				if f := c.fly(domain, false); f != nil {
					<-f.done // it ends by itself
				}
			}
		})
	}
	for _, domain := range domains {
		select {
		case work <- domain:
		case <-ctx.Done():
		}
	}
	close(work)
	group.Wait()
}
