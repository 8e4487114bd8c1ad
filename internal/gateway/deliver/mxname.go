package deliver

import (
	"context"
	"slices"
	"time"

	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/policy/mxpins"
)

// Book tells which names of mail hosts are remembered; mxpins.Book is one.
type Book interface {
	Pins(ctx context.Context, domain string) ([]mxpins.Pin, error)
}

// NotePinnedFirst is the note of a delivery before which the names of a domain's mail hosts were first remembered.
const NotePinnedFirst = "mx-pinned-first-use"

// judgeName asks each rule that r is pinned by what it makes of the host's name. Hosts that an administrator named are
// no mail exchangers of the domain: of them nothing is remembered. A book that cannot be read leaves every rule
// unasked.
func (d *Deliverer) judgeName(ctx context.Context, k *link, r policy.Requirement) {
	k.name = mxpins.Opinion{}
	k.evidence.MXProven, k.evidence.MXBy, k.evidence.MXPins = k.hop.Proven, k.hop.By, nil
	if len(r.PinnedBy) == 0 || d.cfg.Book == nil || k.plan.ByAdmin || !r.TrustsMXName() {
		return
	}
	domain := k.plan.Domain.String()
	pins, err := d.cfg.Book.Pins(ctx, domain)
	if err != nil {
		return
	}
	k.name = mxpins.Judge(pins, domain, r.PinnedBy, k.hop.Host)
	k.evidence.MXPins = k.name.Proofs
	if !k.hop.Proven {
		k.evidence.MXBy = k.name.By
	}
}

// unsettled reports whether another success may change what the book says of this host.
func (k *link) unsettled() bool { return len(k.name.New)+len(k.name.Changed) > 0 }

// pinning reports whether names may be written down because of this channel: it is authenticated, passes, and a rule
// that asks does not know the name.
func (c *Channel) pinning() bool {
	return c.link.unsettled() && c.wanted.Channel >= policy.Authenticated &&
		len(policy.Verdict(c.wanted, c.link.evidence)) == 0
}

// claim writes a first use down before a word of mail is said, and judges again by what the book says then: of two
// first uses at a time the book takes one, and the other's connection falls short. A name that could not be written
// down is used by nobody.
func (c *Channel) claim(ctx context.Context) error {
	k := c.link
	if !c.pinning() || k.hop.Proven || len(k.name.New) == 0 {
		return nil
	}
	unwritten := &Lapsed{[]policy.Shortfall{{Reason: policy.PolicyUnavailable,
		Text: "the name of the mail host could not be written down before its first use"}}}
	if c.deliverer.cfg.Remember == nil {
		return unwritten
	}
	pins := mxpins.FirstUse(k.plan.Domain.String(), k.name.New, k.hop.Host, k.hosts(), time.Now())
	if _, err := c.deliverer.cfg.Remember(context.WithoutCancel(ctx), true, pins); err != nil {
		return unwritten
	}
	c.deliverer.judgeName(ctx, k, c.require)
	if short := policy.Verdict(c.wanted, k.evidence); len(short) > 0 {
		return &Lapsed{short}
	}
	if len(k.name.New) > 0 { // written and yet unknown
		return unwritten
	}
	return nil
}

// Lesson is what a success over the channel teaches of a name that is proven: first counts where its rule remembers
// nothing yet of the domain, more counts in any case. Both are empty where nothing is new. A name that is not proven
// was written down before the message was sent.
func (c *Channel) Lesson() (first, more []mxpins.Pin) {
	k := c.link
	if !c.pinning() || !k.hop.Proven {
		return nil, nil
	}
	now, domain := time.Now(), k.plan.Domain.String()
	return mxpins.New(domain, k.name.New, k.hosts(), now, k.hop.By),
		mxpins.New(domain, k.name.Changed, k.hosts(), now, k.hop.By)
}

// hosts are the names of all mail hosts of the plan.
func (k *link) hosts() []mail.Domain {
	hosts := make([]mail.Domain, 0, len(k.plan.Hops))
	for i := range k.plan.Hops {
		hosts = append(hosts, k.plan.Hops[i].Host)
	}
	return hosts
}

// Changed is a mail host whose name lies below one that rules do not know of its domain.
type Changed struct {
	Host string
	Name string // the registrable domain
	// Rules are those that do not know it, Known the names they remember.
	Rules, Known []string
	// Seen says that the name stood beside the one that a rule used first.
	Seen bool
}

// noteChanged keeps the facts of a host that falls short for its name, each host once.
func (l *ladder) noteChanged(k *link) {
	host := k.hop.Host.String()
	known := slices.ContainsFunc(l.changed, func(c Changed) bool { return c.Host == host })
	changed := func(s policy.Shortfall) bool { return s.Reason == policy.MXChanged }
	if known || !slices.ContainsFunc(policy.Verdict(l.require, k.evidence), changed) {
		return
	}
	l.changed = append(l.changed, Changed{Host: host, Name: mxpins.Registrable(k.hop.Host), Rules: k.name.Changed,
		Known: k.name.Known, Seen: !k.name.Seen.IsZero()})
}

// mxNote is the note about the host's name of a connection that serves forced mail, "" when there is none.
func (k *link) mxNote(r policy.Requirement) string {
	switch {
	case k.hop.Proven || !r.TrustsMXName() || k.evidence.MXBy == policy.MXByPin:
		return ""
	case k.evidence.MXBy == policy.MXByFirstUse:
		return NotePinnedFirst
	}
	return string(policy.MXUnproven)
}
