package deliver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/netip"
	"slices"
	"time"

	"postern/internal/attempt"
	"postern/internal/gateway/route"
	"postern/internal/history/peers"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/policy/mxpins"
	"postern/internal/smtp/smtpclient"
)

// Dialer opens connections. *net.Dialer is one.
type Dialer interface {
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// Memory is what is remembered of the hosts we send to.
type Memory interface {
	// Missing says what it means that this address of a host has no TLS now.
	Missing(host string, addr netip.AddrPort) peers.Stand
}

// Config is what a Deliverer needs. Dialer and Roots must be set.
type Config struct {
	Dialer Dialer
	// From returns a Dialer whose connections come from an address of this machine (route.Source). Without it mail that
	// has a source goes nowhere: it never leaves by another address.
	From func(netip.Addr) Dialer
	// Roots returns the pools of the named trusts it could read; demands on the others fall short, and the error is for
	// whoever keeps the roots to tell.
	Roots func(trusts ...string) (map[string]*x509.CertPool, error)
	// Revocation is asked about the certificates of deliveries that want it; nil leaves them unknown. RevocationTimeout
	// bounds one look-up; 0 means 10 s.
	Revocation        Revocation
	RevocationTimeout time.Duration
	// Memory is asked about hosts without TLS; nil knows nothing of any.
	Memory Memory
	// Book tells which names of mail hosts are remembered; without one those that nobody proved are unknown to every
	// rule.
	Book Book
	// Remember writes a first use into the book before MAIL is said; see mxpins.Book. Without it no message goes to a
	// name of first use, so whoever only asks needs none.
	Remember func(ctx context.Context, first bool, pins []mxpins.Pin) ([]mxpins.Pin, error)
	// SMTP configures the engine of each connection; Hello in it is our EHLO name.
	SMTP smtpclient.Config
	// Legacy allows the legacy rung to deliveries that plaintext would serve as well.
	Legacy bool
	// Certificate is presented to servers that ask for one; nil presents none.
	Certificate func() *tls.Certificate
	// ConnectTimeout bounds one dial, Budget a whole climb; 0 means 30 s and 5 min.
	ConnectTimeout, Budget time.Duration
	// Sessions bounds the TLS sessions remembered for resumption; 0 means 1000.
	Sessions int
}

// Deliverer climbs ladders. It is safe for concurrent use.
type Deliverer struct {
	cfg      Config
	sessions tls.ClientSessionCache // keyed per site and address by siteCache
	manners  manners
}

// New returns a Deliverer.
func New(cfg Config) *Deliverer {
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = 30 * time.Second
	}
	if cfg.Budget == 0 {
		cfg.Budget = 5 * time.Minute
	}
	if cfg.RevocationTimeout == 0 {
		cfg.RevocationTimeout = 10 * time.Second
	}
	if cfg.Sessions == 0 {
		cfg.Sessions = 1000
	}
	return &Deliverer{cfg: cfg, sessions: tls.NewLRUClientSessionCache(cfg.Sessions)}
}

// Climbed is the end of one climb. Exactly one of Channel and a Reason in Attempt is there.
type Climbed struct {
	// Channel may carry mail under the requirement; the caller closes it. nil if no rung could be reached.
	Channel *Channel
	// Attempt holds every connection tried, in order.
	Attempt *attempt.Attempt
	// Changed are the hosts whose names the rules of the requirement do not know, and that fell short for it.
	Changed []Changed
	// WithoutTLS says that every usable host answered, none offered STARTTLS and none looks stripped on the way.
	WithoutTLS bool
	// Unpromised says that a connection to every usable host passed all but REQUIRETLS, which none offers: it was not
	// anybody who answered, so trying again makes no difference (RFC 8689 §4.2.1).
	Unpromised bool
	// Crowded says that nothing was dialled, because Admission refused all that could have been. Nobody fell short.
	Crowded bool
}

// LacksTLS reports whether no channel was reached, and the TLS of a host that answered is among the reasons.
func (c *Climbed) LacksTLS() bool {
	return c.Channel == nil && slices.ContainsFunc(c.Attempt.Tries, func(t attempt.Try) bool {
		return weight(t.Reason) >= weight(policy.StartTLSNotOffered)
	})
}

// Admission says whether an address of a host may be dialled now: too many may be waiting for it already. nil admits
// all.
type Admission func(host mail.Domain, addr netip.Addr) bool

// Open climbs the ladder of r over plan. Over one that sets aside what is published (route.Table.Waived) it opens a
// channel for messages that ask for that. Site separates what may share TLS sessions: a site has one requirement.
// Addresses that admit refuses are passed over. It returns within the budget; when ctx ends it returns what was tried.
func (d *Deliverer) Open(ctx context.Context, site string, plan *route.Plan, r policy.Requirement,
	admit Admission) Climbed {
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, d.cfg.Budget)
	defer cancel()
	if source := plan.Manner.Source.String(); source != "" {
		site += "~" + source // TLS sessions belong to a source as well
	}
	l := newLadder(d, site, plan, r)
	l.admit = admit
	channel := l.climb(ctx)
	l.discard()
	a := &attempt.Attempt{At: start, TookMS: time.Since(start).Milliseconds(), Tries: l.tries}
	if plan.Waived {
		a.Notes = append(a.Notes, NoteWaived)
	}
	if channel == nil {
		l.blame(a)
	} else {
		l.explain(a, channel)
	}
	return Climbed{Channel: channel, Attempt: a, Changed: l.changed, WithoutTLS: channel == nil && l.withoutTLS(),
		Unpromised: channel == nil && l.unpromised(),
		Crowded:    channel == nil && l.refused && !l.dialled}
}

// NoteWaived is the note of an attempt for a message that sets aside what is published.
const NoteWaived = "published policies set aside: the message says TLS-Required: No"

// goals lists the levels tried, highest first.
func goals(r policy.Requirement) []policy.Level {
	lowest := r.Channel
	highest := max(r.Channel, r.Aim, policy.Encrypted)
	var out []policy.Level
	for g := highest; ; g-- {
		out = append(out, g)
		if g == lowest {
			return out
		}
	}
}
