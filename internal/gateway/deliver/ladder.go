package deliver

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"postern/internal/attempt"
	"postern/internal/gateway/route"
	"postern/internal/policy"
)

// ladder is one climb. It belongs to the goroutine that runs it.
type ladder struct {
	d       *Deliverer
	site    string
	plan    *route.Plan
	require policy.Requirement
	targets []*target
	tries   []attempt.Try
	changed []Changed
	// ratchet is the try whose loss of TLS keeps mail from going in plaintext; nil if none does.
	ratchet *attempt.Try
	// admit is asked before each connection; refused says that it said no, dialled that it said yes.
	admit            Admission
	refused, dialled bool
}

// target is one address of one hop and what is known about it so far.
type target struct {
	hop  *route.Hop
	addr netip.Addr
	// require is what a connection here must pass: the delivery's requirement with what the hop demands itself.
	require policy.Requirement
	// parked is a connection that works and fell short of the goals so far; nil if none is open.
	parked *link
	// next is the TLS rung to try when none is parked; "" when TLS can do no more here.
	next attempt.Rung
	// dead says the address is unusable now: no connection, no greeting, no EHLO.
	dead bool
	// answered says EHLO was answered once; offered that STARTTLS was seen, stripped that it was masked; bare that it
	// is dead because it demands TLS itself and had none.
	answered, offered, stripped, bare bool
	// unpromised: a connection here passed all but REQUIRETLS, which is not offered.
	unpromised bool
	// anonymous: our client certificate was refused here. fresh: no session may be resumed. stronger: a handshake of
	// TLS 1.3 took too weak a cipher.
	anonymous, fresh, stronger bool
}

func newLadder(d *Deliverer, site string, plan *route.Plan, r policy.Requirement) *ladder {
	l := &ladder{d: d, site: site, plan: plan, require: r}
	for i := range plan.Hops {
		hop := &plan.Hops[i]
		if hop.Problem != nil {
			l.note(PassedOver(hop))
		}
		require := r.With(hop.Demand())
		for _, addr := range hop.Addrs {
			l.targets = append(l.targets, &target{hop: hop, addr: addr, require: require, next: attempt.Modern})
		}
	}
	return l
}

// PassedOver is what an attempt tells of a hop with a problem.
func PassedOver(hop *route.Hop) attempt.Try {
	return attempt.Try{At: time.Now(), Host: hop.Host.String(), Reason: hop.Problem.Reason, Text: hop.Problem.Text,
		Published: hop.Published}
}

func (l *ladder) note(t attempt.Try) *attempt.Try {
	l.tries = append(l.tries, t)
	return &l.tries[len(l.tries)-1]
}

// climb tries each goal at every target before the next lower goal.
func (l *ladder) climb(ctx context.Context) *Channel {
	for _, goal := range goals(l.require) {
		if goal == policy.Plaintext && l.held() {
			return nil
		}
		for i, t := range l.targets {
			if ctx.Err() != nil {
				return nil
			}
			turn, end := l.turn(ctx, i, goal)
			c := l.reach(turn, t, goal)
			end()
			if c != nil {
				return c
			}
		}
	}
	return nil
}

// leastTurn is how long a target may take even when there are too many for the time left.
const leastTurn = 30 * time.Second

// turn gives the i-th target its part of the time left, so that one that is silent keeps neither the targets after it
// from being tried nor those before it from serving a lower goal.
func (l *ladder) turn(ctx context.Context, i int, goal policy.Level) (context.Context, context.CancelFunc) {
	end, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	alive := func(t *target) bool { return !t.dead }
	parts := 1
	for _, t := range l.targets[i+1:] {
		if alive(t) {
			parts++
		}
	}
	if goal > l.require.Channel && slices.ContainsFunc(l.targets[:i], alive) {
		parts++
	}
	return context.WithTimeout(ctx, max(time.Until(end)/time.Duration(parts), leastTurn))
}

// reach brings one target as high as goal, or parks what it got.
func (l *ladder) reach(ctx context.Context, t *target, goal policy.Level) *Channel {
	for !t.dead && ctx.Err() == nil {
		if t.parked == nil && !l.connect(ctx, t, goal) {
			return nil
		}
		if t.parked == nil {
			continue // a handshake failed, the next rung needs a new connection
		}
		return l.accept(ctx, t, goal)
	}
	return nil
}

// accept turns the parked connection into a Channel if it passes what the target demands, raised to the goal. At goal
// plaintext that is nothing where neither the delivery nor the hop demands anything. This is the only place where
// Channels are made.
func (l *ladder) accept(ctx context.Context, t *target, goal policy.Level) *Channel {
	wanted := t.require.Raised(goal)
	k := t.parked
	shortfalls := policy.Verdict(wanted, k.evidence)
	if len(shortfalls) > 0 {
		l.fallShort(t, k, shortfalls, goal)
		return nil
	}
	if k.stale() && k.conn.Reset(ctx) != nil {
		l.drop(t)
		return l.reach(ctx, t, goal)
	}
	t.parked = nil
	l.tries[k.try].Used = true
	return &Channel{link: k, require: t.require, key: l.require.Key(), wanted: wanted, waived: l.plan.Waived,
		deliverer: l.d}
}

// fallShort records why k does not serve the goal and keeps it for a lower one, if there is one.
func (l *ladder) fallShort(t *target, k *link, shortfalls []policy.Shortfall, goal policy.Level) {
	try := &l.tries[k.try]
	if try.Reason == "" {
		try.Shortfalls, try.Reason, try.Text = shortfalls, shortfalls[0].Reason, shortfalls[0].Text
	}
	t.unpromised = shortfalls[0].Reason == policy.RequireTLSNotOffered // it comes last, so nothing else fell short
	if goal <= t.require.Channel {                                     // no lower goal asks less of it
		t.dead, t.bare = true, k.state == nil
		l.drop(t)
	}
}

// drop says goodbye to a parked connection.
func (l *ladder) drop(t *target) {
	if t.parked != nil {
		t.parked.quit()
		t.parked = nil
	}
}

// discard drops everything that is still parked. The channel in use no longer is.
func (l *ladder) discard() {
	for _, t := range l.targets {
		l.drop(t)
	}
}

// withoutTLS reports whether every host that has addresses answered EHLO at one of them and nobody offered TLS. A host
// whose addresses could not be looked up now may offer it, as may one that was passed over for what is published, and
// one that publishes that it has TLS is stripped of it.
func (l *ladder) withoutTLS() bool {
	for i := range l.plan.Hops {
		if p := l.plan.Hops[i].Problem; p != nil && (unknown(p.Reason) || p.Reason == policy.STSMXMismatch) {
			return false
		}
	}
	answered := map[*route.Hop]bool{}
	for _, t := range l.targets {
		if t.offered || t.stripped || slices.ContainsFunc(t.hop.Published, promises) {
			return false
		}
		answered[t.hop] = answered[t.hop] || t.answered
	}
	for _, ok := range answered {
		if !ok {
			return false
		}
	}
	return len(answered) > 0
}

// promises reports whether what is published says that a host has TLS, whether it is kept to or not.
func promises(p policy.Published) bool { return p.Demand.Forced() }

// unknown reports whether a look-up ended without an answer.
func unknown(r policy.Reason) bool {
	return r == policy.DNSServfail || r == policy.DNSTimeout || r == policy.DNSSECBogus
}

// blame sets the reason of a climb that reached nothing: the try that says most about what must be mended.
func (l *ladder) blame(a *attempt.Attempt) {
	if l.ratchet != nil {
		a.Reason, a.Text = l.ratchet.Reason, l.ratchet.Text
		return
	}
	if len(a.Tries) == 0 {
		a.Reason, a.Text = policy.ConnectTimeout, "the time for this attempt ended before a host was tried"
		return
	}
	worst := slices.MaxFunc(a.Tries, func(x, y attempt.Try) int { return weight(x.Reason) - weight(y.Reason) })
	a.Reason, a.Text = worst.Reason, worst.Text
}

// explain sets the reason why the connection in use is not higher on the ladder; nothing when it is authenticated.
func (l *ladder) explain(a *attempt.Attempt, c *Channel) {
	a.Notes = append(a.Notes, c.link.notes(l.require)...)
	used := &a.Tries[c.link.try]
	if used.Reached == policy.Authenticated {
		return
	}
	if used.Reason == "" && len(used.Shortfalls) > 0 {
		used.Reason, used.Text = used.Shortfalls[0].Reason, used.Shortfalls[0].Text
	}
	a.Reason, a.Text = used.Reason, used.Text
	if a.Reason != "" {
		return
	}
	for _, try := range a.Tries { // plaintext after a failed handshake with the same address
		if try.IP == used.IP && try.Port == used.Port && try.Reason != "" {
			a.Reason, a.Text = try.Reason, try.Text
		}
	}
}

// weight orders reasons by how much they tell: a certificate somebody must renew before a host that did not answer.
func weight(r policy.Reason) int {
	switch r {
	case "":
		return 0
	case policy.DNSNoAddress, policy.DNSNXDomain, policy.DNSServfail, policy.DNSTimeout, policy.MXLoop,
		policy.MXPrivate:
		return 1
	case policy.ConnectRefused, policy.ConnectTimeout, policy.ConnectUnreach:
		return 2
	case policy.GreetingRefused, policy.GreetingTimeout, policy.EHLORefused, policy.RemoteClosed, policy.RemoteTimeout,
		policy.Remote4xx:
		return 3
	case policy.StartTLSNotOffered:
		return 4
	case policy.StartTLSStripped, policy.StartTLSRefused:
		return 5
	case policy.TLSHandshake, policy.TLSAlert, policy.TLSVersion, policy.TLSNoSharedCipher, policy.TLSTimeout,
		policy.TLSClosed:
		return 6
	case policy.MXChanged: // whoever is vouched for can be sent to, whatever else is broken elsewhere
		return 8
	}
	return 7
}
