// Package flush runs what gathers in memory and is written now and then.
package flush

import (
	"context"
	"time"
)

// lastTime bounds the last writing, when the process is about to end.
const lastTime = 5 * time.Second

// Run calls flush at every interval until ctx ends, and once more then, with some time of its own. It calls daily at
// the first interval and once a day.
func Run(ctx context.Context, interval time.Duration, flush func(context.Context),
	daily func(ctx context.Context, now time.Time)) {
	every := time.NewTicker(interval)
	defer every.Stop()
	var swept time.Time
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case now := <-every.C:
			flush(ctx)
			if now.Sub(swept) > 24*time.Hour {
				swept = now
				daily(ctx, now)
			}
		}
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastTime)
	defer cancel()
	flush(last)
}

// PortionMost is how much Portions gives to one write: a transaction of it holds mail up for no long time.
const PortionMost = 200

// Portions has a list written, PortionMost at a time, and returns what is left at the first error.
func Portions[T any](list []T, write func([]T) error) (left []T, err error) {
	for len(list) > 0 {
		some := list[:min(len(list), PortionMost)]
		if err := write(some); err != nil {
			return list, err
		}
		list = list[len(some):]
	}
	return nil, nil
}
