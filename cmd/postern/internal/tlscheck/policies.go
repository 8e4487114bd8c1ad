package tlscheck

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"postern/internal/gateway/route"
	"postern/internal/gateway/stscache"
	"postern/internal/mail"
	"postern/internal/operator/api"
	"postern/internal/policy/sts"
)

// askedPolicies are the policies that the running gateway keeps, so that a check beside it says what its deliveries
// say, and those that domains tell themselves. Where no gateway answers, or it may not be asked, these alone count; it
// is asked once then.
type askedPolicies struct {
	route.Policies // of the domains
	client         *api.Client
	off            atomic.Bool
}

// Policy asks the gateway, and where it keeps none the domain.
func (p *askedPolicies) Policy(ctx context.Context, domain mail.Domain) (*stscache.Found, stscache.Note, error) {
	if found := p.kept(ctx, domain); found != nil {
		return found, stscache.Note{}, nil
	}
	return p.Policies.Policy(ctx, domain)
}

// Again asks the domain, and where that brings nothing the gateway.
func (p *askedPolicies) Again(ctx context.Context, domain mail.Domain) (*stscache.Found, stscache.Note, error) {
	found, note, err := p.Policies.Policy(ctx, domain)
	if found == nil && err == nil {
		if kept := p.kept(ctx, domain); kept != nil {
			return kept, stscache.Note{}, nil
		}
	}
	return found, note, err
}

// kept is what the gateway keeps of a domain, nil for nothing.
func (p *askedPolicies) kept(ctx context.Context, domain mail.Domain) *stscache.Found {
	if p.off.Load() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	said, err := p.client.Policy(ctx, domain.String(), false)
	if problem, ok := errors.AsType[*api.Problem](err); err != nil {
		p.off.Store(!ok || problem.Code != http.StatusBadRequest) // that is about the domain
		return nil
	}
	policy, err := sts.New(sts.Mode(said.Mode), said.MX, time.Duration(said.MaxAgeS)*time.Second)
	if err != nil || said.FetchedAt == nil || said.Until == nil { // Mode "": it keeps none
		return nil
	}
	return &stscache.Found{Policy: policy, ID: said.ID, Fetched: *said.FetchedAt, Until: *said.Until,
		Source: stscache.FromCache, Fault: stscache.Note{Kind: stscache.Kind(said.Fault), Text: said.FaultText}}
}
