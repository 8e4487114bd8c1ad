// Package pause waits between two tries, as long as somebody still wants what is tried.
package pause

import (
	"context"
	"time"
)

// For waits for d, or until ctx ends: then it is false.
func For(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
