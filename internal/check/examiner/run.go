package examiner

import (
	"context"
	"iter"
	"sync"

	"postern/internal/check"
)

// ahead is how many reports, for each job, may be ready before one that comes first: a target that is slow does not
// stop the others, and memory stays bounded.
const ahead = 8

// Run checks every target, Config.Jobs at a time, and calls emit for each report in the order of the targets. It is
// flat in memory however many there are: targets are taken as they are needed, and reports let go of when emit returns.
// It returns the first error of emit or of ctx, after everything it started has ended.
func (c *Checker) Run(ctx context.Context, targets iter.Seq[check.Target], emit func(*check.Report) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	type job struct {
		target check.Target
		done   chan *check.Report
	}
	order := make(chan job, c.cfg.Jobs*ahead)
	work := make(chan job)
	var wg sync.WaitGroup
	for range c.cfg.Jobs {
		wg.Go(func() {
			for j := range work {
				j.done <- c.Check(ctx, j.target)
			}
		})
	}
	wg.Go(func() {
		defer close(order)
		defer close(work)
		for t := range targets {
			j := job{t, make(chan *check.Report, 1)}
			select {
			case order <- j:
			case <-ctx.Done():
				return
			}
			select {
			case work <- j:
			case <-ctx.Done():
				j.done <- nil
				return
			}
		}
	})
	for j := range order {
		r := <-j.done
		if ctx.Err() != nil {
			continue // cut short: not to be trusted
		}
		if err := emit(r); err != nil {
			stop(err)
		}
	}
	wg.Wait()
	return context.Cause(ctx)
}
