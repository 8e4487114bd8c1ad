package route

import (
	"context"
	"fmt"
	"slices"
	"time"

	"postern/internal/gateway/stscache"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/policy/sts"
)

// Policies tells which MTA-STS policy of a recipient domain is in force; *stscache.Cache is one.
type Policies interface {
	Policy(ctx context.Context, domain mail.Domain) (*stscache.Found, stscache.Note, error)
	Again(ctx context.Context, domain mail.Domain) (*stscache.Found, stscache.Note, error)
	Known(ctx context.Context, domain mail.Domain) (*stscache.Found, error)
}

// domainPolicy is what Policies said.
type domainPolicy struct {
	found *stscache.Found
	note  stscache.Note
	err   error
}

// startSTS asks for the policy of d while its mail hosts are looked up. What comes back yields the answer, once.
func (t *Table) startSTS(ctx context.Context, d mail.Domain) (answer func() domainPolicy) {
	if t.cfg.STS == "" || t.cfg.Policies == nil {
		return func() domainPolicy { return domainPolicy{} }
	}
	said := make(chan domainPolicy, 1)
	go func() {
		var p domainPolicy
		p.found, p.note, p.err = t.cfg.Policies.Policy(ctx, d)
		said <- p
	}()
	return func() domainPolicy { return <-said }
}

// applySTS holds the hops of d against its policy (RFC 8461 §4.1). Before a host that the policy does not name counts,
// the policy is asked for again: the field changes policies and forgets the record. Where the store does not answer it
// is not known whether there is one, and mail waits; for what DNS says, where no host could be used anyway.
func (t *Table) applySTS(ctx context.Context, plan *Plan, p domainPolicy) *Problem {
	d, hops := plan.Domain, plan.Hops
	usable := slices.ContainsFunc(hops, func(h Hop) bool { return h.Problem == nil })
	foreign := func(h Hop) bool { return (h.Problem == nil || !usable) && !p.found.Policy.Matches(h.Host) }
	if p.found != nil && p.found.Policy.Mode != sts.None && slices.ContainsFunc(hops, foreign) {
		p.found, p.note, p.err = t.cfg.Policies.Again(ctx, d)
	}
	now := time.Now()
	if t.cfg.STS != "" {
		plan.policies, plan.policy = t.cfg.Policies, p.found
	}
	plan.Waived = p.err != nil && t.cfg.STS == policy.Waived // there may be one
	switch {
	case p.err != nil && !usable: // nothingUsable tells
	case p.err != nil && t.cfg.STS == policy.Enforced:
		return &Problem{Reason: policy.PolicyUnavailable,
			Text: fmt.Sprintf("it is not known whether %s has an MTA-STS policy: %v", d, p.err)}
	case p.found != nil && p.found.Policy.Mode != sts.None:
		lines := p.found.Policy.Lines()
		for i := range hops {
			t.holdAgainst(&hops[i], d, p.found, lines, now)
		}
	case p.note.Fault():
		for i := range hops {
			// nobody knows its mode
			hops[i].Published = append(hops[i].Published, policy.Published{Kind: policy.PublishedSTS, AsOf: now.UTC(),
				Fault: string(p.note.Kind), Note: p.note.Text,
				Shortfalls: []policy.Shortfall{{Reason: policy.STSPolicyUnavailable, Text: p.note.Text}}})
		}
	}
	return nil
}

// Holds reports whether the plan is still what would be made of what is known: of the MTA-STS policy of its domain, and
// of exceptions that end. It asks nobody. What cannot be read now is not known to hold.
func (p *Plan) Holds(ctx context.Context) bool {
	if !p.ends.IsZero() && !time.Now().Before(p.ends) {
		return false
	}
	if p.policies == nil {
		return true
	}
	now, err := p.policies.Known(ctx, p.Domain)
	return err == nil && samePolicy(p.policy, now)
}

// Renew has the MTA-STS policy of the plan's domain asked for again, and reports whether another is in force: before
// mail fails for what a policy demands (RFC 8461 §5.1).
func (p *Plan) Renew(ctx context.Context) bool {
	if p.policies == nil || p.policy == nil || p.policy.Policy.Mode == sts.None {
		return false
	}
	now, _, err := p.policies.Again(ctx, p.Domain)
	return err == nil && !samePolicy(p.policy, now)
}

// samePolicy reports whether two policies say the same; nil says what one of mode none does.
func samePolicy(a, b *stscache.Found) bool {
	none := func(f *stscache.Found) bool { return f == nil || f.Policy.Mode == sts.None }
	if none(a) || none(b) {
		return none(a) && none(b)
	}
	return a.Policy.Mode == b.Policy.Mode && slices.Equal(a.Policy.MX, b.Policy.MX)
}

// enforces reports whether a policy is kept to, or whether that is not known.
func (t *Table) enforces(p domainPolicy) bool {
	return t.cfg.STS == policy.Enforced && (p.err != nil || p.found != nil && p.found.Policy.Mode == sts.Enforce)
}

// mostNamed bounds the hosts of a policy that a sentence names.
const mostNamed = 10

// holdAgainst puts a policy on one hop. DANE goes before it for a host that has both, and whose name is signed
// (RFC 8461 §2): where it is not, whoever forges DNS could bring a host with records of its own.
func (t *Table) holdAgainst(hop *Hop, d mail.Domain, found *stscache.Found, lines []string, now time.Time) {
	p := policy.Published{Kind: policy.PublishedSTS, Mode: policy.Testing, ID: found.ID, Source: string(found.Source),
		Hosts: found.Policy.MX,
		AsOf:  found.Fetched.UTC(), Until: found.Until.UTC(), Note: found.Fault.Text, Lines: lines}
	if found.Policy.Mode == sts.Enforce {
		p.Mode = t.cfg.STS
	}
	names := found.Policy.Matches(hop.Host)
	if names && binding(p.Mode) && !hop.Proven {
		hop.Proven, hop.By = true, policy.MXByPolicy
	}
	switch {
	case hop.Problem != nil && (names || hop.daneMayGoBefore()):
	case hop.daneGoesBefore():
		p.Note = "the host's TLSA records go before it"
	case names:
		p.Demand = policy.DomainDemand()
	default:
		what := fmt.Sprintf("%s is not among the hosts that the MTA-STS policy of %s names: %s", called(hop), d,
			mail.AtMost(found.Policy.MX, mostNamed, ", "))
		p.Shortfalls = []policy.Shortfall{{Reason: policy.STSMXMismatch, Text: what}}
		if p.Mode == policy.Enforced && hop.Problem == nil {
			hop.Problem, hop.Addrs = &Problem{Reason: policy.STSMXMismatch, Text: what}, nil
		}
	}
	hop.Published = append(hop.Published, p)
	hop.Until = earliest(hop.Until, now.Add(mostPublished))
}

// daneGoesBefore reports whether a host's own records decide, and not the policy of the domain.
func (h *Hop) daneGoesBefore() bool {
	return slices.ContainsFunc(h.Published, func(p policy.Published) bool {
		return p.Kind == policy.PublishedDANE && binding(p.Mode) && p.Demand.Channel == policy.Authenticated && !p.Half
	})
}

// daneMayGoBefore reports whether the host's own records would decide, had they been to be found.
func (h *Hop) daneMayGoBefore() bool {
	return slices.ContainsFunc(h.Published, func(p policy.Published) bool {
		return p.Kind == policy.PublishedDANE && binding(p.Mode) && len(p.Shortfalls) > 0 && !p.Half
	})
}

// called is what a hop is called.
func called(h *Hop) string {
	switch {
	case !h.Host.IsZero():
		return h.Host.String()
	case len(h.Addrs) > 0:
		return h.Addrs[0].String()
	}
	return "a mail host without a name"
}
