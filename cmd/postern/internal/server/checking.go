package server

import (
	"context"
	"sync/atomic"
	"time"

	"postern/internal/check"
	"postern/internal/check/examiner"
)

// checkPatience is how long a check of the console or the API waits for one server.
const checkPatience = 30 * time.Second

// checking makes the checks of the console and the API with the gateway's own rooms, so that they meet what deliveries
// meet.
type checking struct {
	now atomic.Pointer[examiner.Checker]
}

// Watch examines a target under the configuration in force.
func (c *checking) Watch(ctx context.Context, t check.Target, more []check.Question,
	tell func(check.Progress)) *check.Report {
	return c.now.Load().Watch(ctx, t, more, tell)
}
