package route

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"postern/internal/mail"
	"postern/internal/policy"
)

// Plan finds the hops for d. On success at least one hop has addresses. It asks all it needs within Config.Timeout.
func (t *Table) Plan(ctx context.Context, d mail.Domain) (*Plan, *Problem) {
	ctx, cancel := context.WithTimeout(ctx, t.cfg.Timeout)
	defer cancel()
	plan := &Plan{Domain: d, Leg: t.Leg(d), Manner: t.manner(d)}
	var problem *Problem
	if _, to := t.named(d); to != nil {
		plan.ByAdmin = true
		plan.Hops = t.namedHops(ctx, to)
		problem = nothingUsable(plan)
	} else if ip, ok := d.Literal(); ok {
		plan.Hops, problem = t.literalHop(ip)
	} else {
		published := t.startSTS(ctx, d)
		if plan.Hops, problem = t.mxHops(ctx, d); problem == nil {
			problem = t.applySTS(ctx, plan, published())
		} else if problem.Permanent && !problem.Signed {
			problem.Contradicted = t.enforces(published())
		}
		if problem == nil {
			problem = nothingUsable(plan)
		}
	}
	t.explainExceptions(plan)
	if problem != nil {
		return nil, problem
	}
	plan.Waived = plan.Waived || slices.ContainsFunc(plan.Hops, func(h Hop) bool {
		return slices.ContainsFunc(h.Published, func(p policy.Published) bool { return p.Mode == policy.Waived })
	})
	return plan, nil
}

// namedHops looks up the hosts an administrator named, keeping their order.
func (t *Table) namedHops(ctx context.Context, to []HostPort) []Hop {
	hops := make([]Hop, len(to))
	each(len(to), func(i int) {
		hops[i] = t.namedHop(ctx, to[i])
	})
	return hops
}

func (t *Table) namedHop(ctx context.Context, h HostPort) Hop {
	hop := Hop{Host: h.Host, Port: h.Port, Proven: true, By: policy.MXByAdministrator}
	found := given([]netip.Addr{h.IP})
	if !h.IP.IsValid() {
		if found, hop.Problem = t.lookupNamed(ctx, h.Host); hop.Problem != nil {
			return hop
		}
	}
	hop.Addrs, hop.Problem = t.judge(h.String(), h.Port, found.All(), true)
	t.askTLSA(ctx, &hop, nil, found, true)
	return hop
}

// literalHop is the plan for user@[192.0.2.1] (RFC 5321 §4.1.3): that address or nothing, and no name to verify.
func (t *Table) literalHop(ip netip.Addr) ([]Hop, *Problem) {
	addrs, problem := t.judge("["+ip.String()+"]", t.cfg.Port, []netip.Addr{ip}, false)
	if problem != nil {
		problem.Permanent, problem.Signed = true, true // the sender wrote the address: no zone will ever change it
		return nil, problem
	}
	return []Hop{{Port: t.cfg.Port, Addrs: addrs}}, nil
}

// each runs f(0) to f(n-1) side by side and returns when all are done.
func each(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

// nothingUsable returns why no hop of plan has addresses, nil if one has. Of several problems the one tells that says
// most, in whatever order the hosts stand: a look-up that failed, for it may be over soon; then a host that the
// domain's own policy excludes; then an address that may not be dialled, then a host without one.
func nothingUsable(plan *Plan) *Problem {
	var best *Problem
	for i := range plan.Hops {
		h := &plan.Hops[i]
		if h.Problem == nil {
			return nil
		}
		if p := h.lasting(); best == nil || telling(p.Reason) > telling(best.Reason) {
			best = p
		}
	}
	if best == nil {
		return &Problem{Reason: policy.DNSNoAddress, Text: "there is no host to deliver to for " + plan.Domain.String()}
	}
	text := best.Text
	if n := len(plan.Hops); n > 1 {
		text = fmt.Sprintf("none of the %d hosts for %s can be used: %s", n, plan.Domain, text)
	}
	return &Problem{Reason: best.Reason, Text: text, Hops: plan.Hops, ByAdmin: plan.ByAdmin}
}

// lasting is the problem of a hop that is left when DNS says what one would wish: where an enforced policy does not
// name the host, an address for it would not help.
func (h *Hop) lasting() *Problem {
	for i := range h.Published {
		p := &h.Published[i]
		if p.Kind != policy.PublishedSTS || p.Mode != policy.Enforced {
			continue
		}
		for _, s := range p.Shortfalls {
			return &Problem{Reason: s.Reason, Text: s.Text}
		}
	}
	return h.Problem
}

// telling orders problems of hosts by how much they tell. No two reasons that a host can have are alike.
func telling(r policy.Reason) int {
	return slices.Index([]policy.Reason{policy.DNSNoAddress, policy.MXPrivate, policy.MXLoop, policy.STSMXMismatch,
		policy.DNSTimeout, policy.DNSServfail, policy.DNSSECBogus}, r)
}
