package deliver

import (
	"context"
	"slices"
	"time"

	"postern/internal/mail"
	"postern/internal/mxtrust"
	"postern/internal/policy"
)

// Book tells which names of mail hosts are remembered; mxtrust.Book is one.
type Book interface {
	Pins(ctx context.Context, domain string) ([]mxtrust.Pin, error)
}

// NotePinnedFirst is the note of a delivery by which the names of a domain's mail hosts were first remembered.
const NotePinnedFirst = "mx-pinned-first-use"

// judgeName asks each rule that r is pinned by what it makes of the host's name. Hosts that an administrator named are no
// mail exchangers of the domain: of them nothing is remembered. A book that cannot be read leaves every rule unasked.
func (d *Deliverer) judgeName(ctx context.Context, k *link, r policy.Requirement) {
	k.name = mxtrust.Opinion{}
	k.evidence.MXProven, k.evidence.MXBy, k.evidence.MXPins = k.hop.Proven, k.hop.By, nil
	if len(r.PinnedBy) == 0 || d.cfg.Book == nil || k.plan.ByAdmin || !r.TrustsMXName() {
		return
	}
	domain := k.plan.Domain.String()
	pins, err := d.cfg.Book.Pins(ctx, domain)
	if err != nil {
		return
	}
	k.name = mxtrust.Judge(pins, domain, r.PinnedBy, k.hop.Host)
	k.evidence.MXPins = k.name.Proofs
	if !k.hop.Proven {
		k.evidence.MXBy = k.name.By
	}
}

// unsettled reports whether another success may change what the book says of this host.
func (k *link) unsettled() bool { return len(k.name.New)+len(k.name.Changed) > 0 }

// Lesson is what a success over the channel teaches: first counts where its rule remembers nothing yet of the domain, more
// counts in any case, for it is proven. Both are empty where nothing is new.
func (c *Channel) Lesson() (first, more []mxtrust.Pin) {
	k := c.link
	if !k.unsettled() || len(policy.Verdict(c.wanted, k.evidence)) > 0 {
		return nil, nil
	}
	hosts := make([]mail.Domain, 0, len(k.plan.Hops))
	for i := range k.plan.Hops {
		hosts = append(hosts, k.plan.Hops[i].Host)
	}
	by, now, domain := policy.MXByFirstUse, time.Now(), k.plan.Domain.String()
	if k.hop.Proven {
		by = k.hop.By
		more = mxtrust.New(domain, k.name.Changed, hosts, now, by)
	}
	return mxtrust.New(domain, k.name.New, hosts, now, by), more
}

// Changed is a mail host whose name lies below one that rules do not know of its domain.
type Changed struct {
	Host string
	Name string // the registrable domain
	// Rules are those that do not know it, Known the names they remember.
	Rules, Known []string
}

// noteChanged keeps the facts of a host that falls short for its name, each host once.
func (l *ladder) noteChanged(k *link) {
	host := k.hop.Host.String()
	known := slices.ContainsFunc(l.changed, func(c Changed) bool { return c.Host == host })
	changed := func(s policy.Shortfall) bool { return s.Reason == policy.MXChanged }
	if known || !slices.ContainsFunc(policy.Verdict(l.require, k.evidence), changed) {
		return
	}
	l.changed = append(l.changed, Changed{Host: host, Name: mxtrust.Registrable(k.hop.Host), Rules: k.name.Changed, Known: k.name.Known})
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
