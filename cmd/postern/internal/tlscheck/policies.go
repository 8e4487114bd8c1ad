package tlscheck

import (
	"context"
	"sync/atomic"
	"time"

	"postern/internal/gateway/stscache"
	"postern/internal/mail"
	"postern/internal/operator/policies"
	"postern/internal/policy/sts"
)

// askedPolicies are the policies that the running gateway keeps, so that a check beside it says what its deliveries
// say, and those that domains tell themselves. Where no gateway answers, or it may not be asked, these alone count.
type askedPolicies struct {
	own     *stscache.Cache // of the domains
	gateway *gateway
	anew    atomic.Bool // domains may have been asked in an earlier round
}

// again begins another round, in which each domain is asked anew: what was found keeps counting where that fails.
func (p *askedPolicies) again() {
	p.own.Anew()
	p.anew.Store(true)
}

// Policy asks the gateway, and where it keeps none the domain.
func (p *askedPolicies) Policy(ctx context.Context, domain mail.Domain) (*stscache.Found, stscache.Note, error) {
	if found := p.kept(ctx, domain); found != nil {
		return found, stscache.Note{}, nil
	}
	return p.ask(ctx, domain)
}

// Again asks the domain, and where that brings nothing the gateway.
func (p *askedPolicies) Again(ctx context.Context, domain mail.Domain) (*stscache.Found, stscache.Note, error) {
	found, note, err := p.ask(ctx, domain)
	if found == nil && err == nil {
		if kept := p.kept(ctx, domain); kept != nil {
			return kept, stscache.Note{}, nil
		}
	}
	return found, note, err
}

// Known is what Policy finds.
func (p *askedPolicies) Known(ctx context.Context, domain mail.Domain) (*stscache.Found, error) {
	found, _, err := p.Policy(ctx, domain)
	return found, err
}

// ask asks the domain, once in a round.
func (p *askedPolicies) ask(ctx context.Context, domain mail.Domain) (*stscache.Found, stscache.Note, error) {
	if p.anew.Load() {
		return p.own.Again(ctx, domain)
	}
	return p.own.Policy(ctx, domain)
}

// kept is what the gateway keeps of a domain, nil for nothing.
func (p *askedPolicies) kept(ctx context.Context, domain mail.Domain) *stscache.Found {
	var said policies.PolicyKept
	answered := p.gateway.ask(ctx, func(ctx context.Context) (err error) {
		said, err = p.gateway.client.Policy(ctx, domain.String(), false)
		return err
	})
	if !answered {
		return nil
	}
	policy, err := sts.New(sts.Mode(said.Mode), said.MX, time.Duration(said.MaxAgeS)*time.Second)
	if err != nil || said.FetchedAt == nil || said.Until == nil { // Mode "": it keeps none
		return nil
	}
	return &stscache.Found{Policy: policy, ID: said.ID, Fetched: *said.FetchedAt, Until: *said.Until,
		Source: stscache.FromCache, Fault: stscache.Note{Kind: stscache.Kind(said.Fault), Text: said.FaultText}}
}
