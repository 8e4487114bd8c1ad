package resolver

import (
	"context"
	"errors"
	"os"
	"slices"
	"time"

	"postern/internal/dns"
)

// rounds asks the servers, healthy ones first, until one answers. One that says it cannot tell is not asked again for
// this question, one that is silent gets more time in the next round.
func (r *Resolver) rounds(ctx context.Context, q question) (*reply, error) {
	left := r.servers.inOrder(time.Now())
	timeout := r.cfg.TryTimeout
	var worst *failure
	var asked *server
	for round := 1; ; round++ {
		var silent []*server
		for _, s := range left {
			if ctx.Err() != nil {
				break
			}
			reply, f := r.try(ctx, s, q, timeout)
			if f == nil {
				s.answered()
				return reply, nil
			}
			if worst == nil || weight(f.kind) > weight(worst.kind) {
				worst, asked = f, s
			}
			if f.kind == dns.Timeout {
				silent = append(silent, s)
				if ctx.Err() == nil {
					s.silent(time.Now())
				}
			} else {
				s.answered()
			}
		}
		if left = silent; len(left) == 0 || round == r.cfg.Rounds || ctx.Err() != nil || !pause(ctx, worst, timeout/4) {
			break
		}
		timeout *= 2
	}
	if worst == nil {
		return nil, r.fault(dns.Timeout, q, "", ctx.Err())
	}
	return nil, r.fault(worst.kind, q, asked.addr.String(), worst)
}

// pause waits a little before the next round when the servers did not use up their time (a refused connection comes
// back at once): a server that is being restarted gets its chance. It reports whether ctx is still alive.
func pause(ctx context.Context, worst *failure, d time.Duration) bool {
	if errors.Is(worst.cause, os.ErrDeadlineExceeded) || errors.Is(worst.cause, context.DeadlineExceeded) {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// weight orders failures by how much they tell.
func weight(k dns.Kind) int {
	return slices.Index([]dns.Kind{dns.Timeout, dns.Malformed, dns.Refused, dns.ServFail, dns.Bogus}, k)
}
