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
			began := time.Now()
			deaf := s.isDeaf(q.qtype, began)
			patience := timeout
			if deaf {
				patience = r.cfg.TryTimeout / 4
			}
			reply, f := r.try(ctx, s, q, patience, round%2 == 0)
			if f == nil {
				if round == 2 {
					s.optInTheWay(true, time.Now())
				}
				s.hears(q.qtype, time.Now())
				s.answered()
				return reply, nil
			}
			if worst == nil || weight(f.kind) > weight(worst.kind) {
				worst, asked = f, s
			}
			silent = r.failed(ctx, s, q, f, began, deaf, silent)
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

// failed notes what a failure says about a server, and adds the server to those that are asked again. One that drops
// questions of this type and answers others is not silent, and neither waited for again nor passed over for it.
func (r *Resolver) failed(ctx context.Context, s *server, q question, f *failure, began time.Time, deaf bool,
	silent []*server) []*server {
	switch now := time.Now(); {
	case f.kind == dns.Timeout && deaf:
		s.deafTo(q.qtype, began, now)
		return silent
	case f.kind == dns.Timeout:
		if ctx.Err() == nil && !s.deafTo(q.qtype, began, now) {
			s.silent(now)
		}
		return append(silent, s)
	case f.kind == dns.Refused || f.kind == dns.Malformed:
		s.silent(now)
	default:
		s.hears(q.qtype, now)
		s.answered()
	}
	return silent
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
