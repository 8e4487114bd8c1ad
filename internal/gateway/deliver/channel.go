package deliver

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"postern/internal/gateway/route"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/smtp/smtpclient"
)

// Channel is a connection that passed the verdict of one requirement. It belongs to one goroutine.
type Channel struct {
	link      *link
	require   policy.Requirement // of the site, with what the hop demands
	key       string             // of the site's requirement alone
	wanted    policy.Requirement // require at the goal that was reached
	waived    bool               // what is published was set aside
	deliverer *Deliverer
	sent      int
	asked     bool // a question was asked over it
}

// Terms are what a message travels under.
type Terms struct {
	policy.Requirement
	// Waives says that the message sets aside what its recipients' domains publish. It never concerns the Requirement.
	Waives bool
}

// ErrOvertaken: what the message was judged by changed before its end was sent, or whoever sends it may not any more.
var ErrOvertaken = errors.New("what is in force changed in the meantime")

// Lapsed is the error of Send when the connection no longer passes: a certificate ran out meanwhile, a root was
// removed, or the message has another requirement than the channel was opened for, or waives nothing of what the
// channel was opened without. Nothing was sent.
type Lapsed struct{ Shortfalls []policy.Shortfall }

// Error names the first shortfall.
func (e *Lapsed) Error() string { return "the connection no longer passes: " + e.Shortfalls[0].Text }

// A transfer may take transferTime, and as much longer as its content takes at slowest octets a second: the limits of
// the phases alone would let a peer that creeps hold it for days.
const (
	transferTime = 30 * time.Minute
	slowest      = 16 << 10
)

// Send judges the connection again, for a message with these terms, writes the name of a first use down, and only then
// speaks MAIL, which t.Still is asked about too. Errors are *Lapsed, *smtpclient.Error, or ErrOvertaken where t.Still
// does not hold: the peer has no message then. The results of recipients stand in Result.
func (c *Channel) Send(ctx context.Context, on Terms, t *smtpclient.Transaction) (*smtpclient.Result, error) {
	if err := c.clear(ctx, on, func() bool { return t.Still == nil || t.Still(false) }); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, transferTime+time.Duration(t.Size/slowest)*time.Second)
	defer cancel()
	result, err := c.link.conn.Send(ctx, t)
	c.link.used = time.Now()
	c.sent++
	if e, ok := errors.AsType[*smtpclient.Error](err); ok && e.Kind == smtpclient.Overtaken {
		err = ErrOvertaken
	}
	c.deliverer.manners.note(netip.AddrPortFrom(c.link.addr, c.link.hop.Port), result.Plainer, c.link.used)
	return result, err
}

// judge holds what the channel must pass against evidence that is fresh.
func (c *Channel) judge(ctx context.Context, on Terms) error {
	if c.waived && !on.Waives {
		return &Lapsed{[]policy.Shortfall{{Reason: policy.PolicyUnavailable,
			Text: "the connection was opened for a message that sets aside what is published"}}}
	}
	if on.Key() != c.key {
		return &Lapsed{[]policy.Shortfall{{Reason: policy.PolicyUnavailable,
			Text: "the connection was opened for another requirement"}}}
	}
	if until := c.link.hop.Until; (c.sent > 0 || c.asked) && !until.IsZero() && !time.Now().Before(until) {
		return &Lapsed{[]policy.Shortfall{{Reason: policy.PolicyUnavailable,
			Text: "what the host publishes must be asked for again before another message is sent"}}}
	}
	if !c.link.plan.Holds(ctx) {
		return &Lapsed{[]policy.Shortfall{{Reason: policy.PolicyUnavailable,
			Text: "what the domain publishes, or an exception to it, has changed since the connection was opened"}}}
	}
	if time.Since(c.link.examined) > freshness {
		c.deliverer.examine(ctx, c.link, c.require)
		c.deliverer.lookUp(ctx, c.link, c.require, recheckTime)
	} else if c.link.unsettled() {
		c.deliverer.judgeName(ctx, c.link, c.require) // another success may have been the first
	}
	if short := policy.Verdict(c.wanted, c.link.evidence); len(short) > 0 {
		return &Lapsed{short}
	}
	return nil
}

// Would says what would fall short if a message had requirement r, without any effect on the channel. Revocation is
// judged by what was looked up for the channel's own requirement; where that was nothing it is left out, for nobody is
// asked on account of a rule under test.
func (c *Channel) Would(r policy.Requirement) []policy.Shortfall {
	asIf := *c.link
	if asIf.revocation.Status == "" {
		r.Revocation = policy.RevocationOff
	}
	c.deliverer.examine(context.Background(), &asIf, r)
	return policy.Verdict(r, asIf.evidence)
}

// Source is where the channel was to come from.
func (c *Channel) Source() route.Source { return c.link.plan.Manner.Source }

// Alive asks the peer, if it has been silent for a while, whether the connection still stands.
func (c *Channel) Alive(ctx context.Context) bool {
	if !c.link.stale() {
		return true
	}
	err := c.link.conn.Reset(ctx)
	c.link.used = time.Now()
	return err == nil
}

// Encrypted reports whether the channel has TLS.
func (c *Channel) Encrypted() bool { return c.link.state != nil }

// Reached is the level the channel deserves now.
func (c *Channel) Reached() policy.Level { return c.link.evidence.Reached(c.require) }

// Waived reports whether the channel was opened without what is published, so that only mail which waives that may use
// it.
func (c *Channel) Waived() bool { return c.waived }

// Sent counts the transactions tried.
func (c *Channel) Sent() int { return c.sent }

// Host names the peer for people: the host's name, or its address.
func (c *Channel) Host() string {
	if c.link.hop.Host.IsZero() {
		return c.link.addr.String()
	}
	return c.link.hop.Host.String()
}

// Peer is the host and the address that the channel leads to; the host of an address literal has no name.
func (c *Channel) Peer() (host mail.Domain, addr netip.Addr) { return c.link.hop.Host, c.link.addr }

// Close says QUIT and closes.
func (c *Channel) Close() { c.link.quit() }

// Abort closes without a word, which the peer could take for content.
func (c *Channel) Abort() { _ = c.link.conn.Close() }

// Healthy reports whether another transaction may be tried.
func (c *Channel) Healthy() bool { return c.link.conn.Healthy() }
