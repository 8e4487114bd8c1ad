package revoke

import "context"

// fly runs work unless work of that name is running already, and returns what is closed when it is over. The work has
// FetchTime and ends with the Checker; whoever waits may leave before.
func (c *Checker) fly(name string, work func(ctx context.Context)) <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if done := c.running[name]; done != nil {
		return done
	}
	done := make(chan struct{})
	if c.closed {
		close(done)
		return done
	}
	c.running[name] = done
	c.group.Go(func() {
		defer func() {
			c.mu.Lock()
			delete(c.running, name)
			c.mu.Unlock()
			close(done)
		}()
		select {
		case c.slots <- struct{}{}:
		case <-c.ctx.Done():
			return
		}
		defer func() { <-c.slots }()
		ctx, cancel := context.WithTimeout(c.ctx, c.cfg.FetchTime)
		defer cancel()
		work(ctx)
	})
	return done
}

// wait waits for work to be over; the error says why it was not.
func (c *Checker) wait(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return errSlow
	}
}
