package dispatch

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"postern/internal/attempt"
	"postern/internal/policy"
	"postern/internal/queue"
)

// passOver puts off a message whose handling met a bug. Otherwise the bug would end the gateway, which would meet it again
// at each start, and no mail would go out any more. It is deferred.
func (r *run) passOver(ctx context.Context, group []queue.Work) {
	v := recover()
	if v == nil {
		return
	}
	r.tellBug(v, "message "+string(group[0].Message.ID)+" is put off")
	if r.channel != nil { // in a state that nobody knows
		r.channel.Abort()
		r.channel = nil
	}
	a := &attempt.Attempt{At: time.Now(), Reason: policy.PolicyUnavailable, Text: "the gateway met a bug of its own"}
	fates := make([]fate, len(group))
	for i := range group {
		fates[i] = r.d.deferred(&group[i], a, r.later(&group[i]))
	}
	r.conclude(ctx, fates)
}

// survive ends one run where a bug would end them all. What it had leased is looked at again when the leases have ended.
// It is deferred.
func (r *run) survive() {
	if v := recover(); v != nil {
		r.tellBug(v, "site "+string(r.site)+" waits")
		r.leave(time.Now().Add(r.d.cfg.Lease))
	}
}

func (r *run) tellBug(v any, what string) {
	r.d.warn("bug", fmt.Errorf("%v\n%s", v, debug.Stack()), what+"; please report this to the makers of Postern")
}
