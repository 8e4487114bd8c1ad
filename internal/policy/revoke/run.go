package revoke

import (
	"context"
	"time"
)

// round is how often Run looks for lists that are due.
const round = time.Minute

// Run fetches lists again ahead of their end, and forgets those that nobody asked for in two weeks, until ctx ends. It
// returns nil.
func (c *Checker) Run(ctx context.Context) error {
	tick := time.NewTicker(round)
	defer tick.Stop()
	for {
		for _, e := range c.lists.ripe(time.Now()) {
			c.fly("crl "+e.key, func(ctx context.Context) {
				defer c.lists.work(e)()
				c.lists.load(ctx, e) // so that an older one that comes never replaces it
				c.fetch(ctx, e)
			})
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// ripe lists what is to be fetched now, and forgets what nobody uses.
func (l *lists) ripe(now time.Time) (out []*entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.known {
		switch {
		case now.Sub(e.used) > keepUnused && e.idle():
			l.forget(e)
		case e.ripe(now):
			out = append(out, e)
		}
	}
	return out
}
