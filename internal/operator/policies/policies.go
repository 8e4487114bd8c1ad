// Package policies shows, fetches and forgets MTA-STS policies (RFC 8461). They are those that are kept of recipient
// domains.
package policies

import (
	"context"
	"fmt"
	"time"

	"postern/internal/gateway/stscache"
	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/operator/audit"
	"postern/internal/operator/scope"
	"postern/internal/operator/trace"
	"postern/internal/policy"
)

// Policies is what admin asks of whoever keeps the MTA-STS policies of recipient domains; *stscache.Cache is one.
type Policies interface {
	List(ctx context.Context, after string, most int) ([]stscache.Kept, error)
	Show(ctx context.Context, domain mail.Domain) (*stscache.Kept, stscache.Note, error)
	Record(ctx context.Context, domain mail.Domain) (id string, note stscache.Note)
	Refresh(ctx context.Context, domain mail.Domain) (*stscache.Found, stscache.Note, error)
	Forget(ctx context.Context, domain mail.Domain) (bool, error)
}

// PolicyDesk answers about policies of recipient domains. Make one by For.
type PolicyDesk struct {
	who  *scope.Asker
	kept Policies
}

// For is the desk of somebody who asks; kept is nil where none are kept.
func For(who *scope.Asker, kept Policies) PolicyDesk { return PolicyDesk{who, kept} }

// PolicyKept is the MTA-STS policy of a recipient domain that counts, or why there is none. Names of fields stay.
type PolicyKept struct {
	Domain string `json:"domain"`
	Kind   string `json:"kind"` // "sts"
	// Mode is "enforce", "testing" or "none"; "" where no policy is kept.
	Mode      string     `json:"mode"`
	ID        string     `json:"id"`
	MX        []string   `json:"mx"`
	MaxAgeS   int64      `json:"max_age_s"`
	FetchedAt *time.Time `json:"fetched_at"`
	Until     *time.Time `json:"until"`
	Source    string     `json:"source"` // "cache", or "fetched" where it was fetched for this answer
	// UsedAt is when mail needed it last, to the day; TriedAt when the domain was asked last, and DueAt when it is
	// asked again.
	UsedAt  *time.Time `json:"used_at"`
	TriedAt *time.Time `json:"tried_at"`
	DueAt   *time.Time `json:"due_at"`
	// Fault and FaultText say why it could not be had or renewed, FailingSince since when it cannot be renewed.
	Fault        string     `json:"fault"`
	FaultText    string     `json:"fault_text"`
	FailingSince *time.Time `json:"failing_since"`
	Oddities     []string   `json:"oddities"`
	// Record is what DNS says now, where that was asked.
	Record *PolicyRecord `json:"record,omitempty"`
}

// PolicyRecord is what a domain announces now.
type PolicyRecord struct {
	ID        string `json:"id"` // "" where it announces nothing that can be used
	Fault     string `json:"fault"`
	FaultText string `json:"fault_text"`
}

// PolicyForgotten says whether there was something to forget.
type PolicyForgotten struct {
	Forgotten bool `json:"forgotten"`
}

func policyOf(domain mail.Domain, f *stscache.Found, note stscache.Note) PolicyKept {
	out := PolicyKept{Domain: domain.String(), Kind: policy.PublishedSTS, MX: []string{}, Oddities: []string{}}
	if f != nil {
		out.Mode, out.ID, out.MaxAgeS, out.Source = string(f.Policy.Mode), f.ID, int64(f.Policy.MaxAge/time.Second),
			string(f.Source)
		out.MX, out.Oddities = append(out.MX, f.Policy.MX...), append(out.Oddities, f.Policy.Oddities...)
		out.FetchedAt, out.Until = trace.Instant(f.Fetched), trace.Instant(f.Until)
		note = f.Fault
	}
	out.Fault, out.FaultText = string(note.Kind), note.Text
	return out
}

func policyKept(k *stscache.Kept) PolicyKept {
	out := policyOf(k.Domain, &k.Found, stscache.Note{})
	out.UsedAt, out.TriedAt, out.DueAt = trace.Instant(k.Used), trace.Instant(k.Tried), trace.Instant(k.Due)
	out.FailingSince = trace.Instant(k.Failing)
	return out
}

// policies refuses where the gateway keeps none, and who may not.
func (d PolicyDesk) policies(c access.Capability) (Policies, error) {
	if err := d.who.Wide(c); err != nil {
		return nil, err
	}
	if d.kept == nil {
		return nil, access.BadRequest("this gateway keeps no policies of domains")
	}
	return d.kept, nil
}

// policyDomain reads the name of a domain that may have a policy.
func policyDomain(text string) (mail.Domain, error) {
	domain, err := mail.ParseDomain(text)
	if err == nil && stscache.Host(domain).IsZero() {
		err = fmt.Errorf("%s can have no policy", domain)
	}
	if err != nil {
		return mail.Domain{}, access.BadRequest("%w", err)
	}
	return domain, nil
}

// Policies lists the MTA-STS policies that are kept, in the order of domains. They tell where the mail of all goes.
func (d PolicyDesk) Policies(ctx context.Context, q scope.PageRequest) (scope.Page[PolicyKept], error) {
	out := scope.Page[PolicyKept]{Items: []PolicyKept{}, Complete: true}
	p, err := d.policies(access.ReadPeers)
	if err != nil {
		return out, err
	}
	list, err := p.List(ctx, q.After, q.Most())
	if err != nil {
		return out, fmt.Errorf("cannot read the policies: %w", err)
	}
	for i := range list {
		out.Items = append(out.Items, policyKept(&list[i]))
	}
	if n := len(list); n == q.Most() {
		out.Next = list[n-1].Domain.String()
	}
	return out, nil
}

// Policy shows what is kept of a domain, and where that is wanted what DNS says that it announces now.
func (d PolicyDesk) Policy(ctx context.Context, name string, dns bool) (PolicyKept, error) {
	p, err := d.policies(access.ReadPeers)
	if err != nil {
		return PolicyKept{}, err
	}
	domain, err := policyDomain(name)
	if err != nil {
		return PolicyKept{}, err
	}
	out, err := shownPolicy(ctx, p, domain)
	if err != nil || !dns {
		return out, err
	}
	id, note := p.Record(ctx, domain)
	out.Record = &PolicyRecord{ID: id, Fault: string(note.Kind), FaultText: note.Text}
	return out, nil
}

func shownPolicy(ctx context.Context, p Policies, domain mail.Domain) (PolicyKept, error) {
	kept, note, err := p.Show(ctx, domain)
	switch {
	case err != nil:
		return PolicyKept{}, fmt.Errorf("cannot read the policy: %w", err)
	case kept == nil:
		return policyOf(domain, nil, note), nil
	}
	return policyKept(kept), nil
}

// RefreshPolicy asks a domain for its policy now, and tells what counts then. What changed by it is the domain's own
// word.
func (d PolicyDesk) RefreshPolicy(ctx context.Context, name string) (PolicyKept, error) {
	p, err := d.policies(access.RunChecks)
	if err != nil {
		return PolicyKept{}, err
	}
	by, err := d.who.Author()
	if err != nil {
		return PolicyKept{}, err
	}
	domain, err := policyDomain(name)
	if err != nil {
		return PolicyKept{}, err
	}
	before, err := shownPolicy(ctx, p, domain)
	if err != nil {
		return PolicyKept{}, err
	}
	found, note, err := p.Refresh(ctx, domain)
	if err != nil {
		return PolicyKept{}, fmt.Errorf("the policy was not asked for: %w", err)
	}
	out := policyOf(domain, found, note)
	return out, d.who.Record(ctx, audit.Entry{At: time.Now(), By: by, Action: "policies refresh",
		Target: domain.String(), Before: before.line(), After: out.line()})
}

// ForgetPolicy deletes what is kept of a domain. It weakens protection, for until the domain is asked again, and if
// nothing is found then, mail goes there as if it had never had a policy: so it takes the right to change what protects
// mail, and the entry is on stable storage before.
func (d PolicyDesk) ForgetPolicy(ctx context.Context, name string) (PolicyForgotten, error) {
	p, err := d.policies(access.WriteRules)
	if err != nil {
		return PolicyForgotten{}, err
	}
	by, err := d.who.Author()
	if err != nil {
		return PolicyForgotten{}, err
	}
	domain, err := policyDomain(name)
	if err != nil {
		return PolicyForgotten{}, err
	}
	before, err := shownPolicy(ctx, p, domain)
	if err != nil {
		return PolicyForgotten{}, err
	}
	entry := audit.Entry{At: time.Now(), By: by, Action: "policies forget", Target: domain.String(),
		Before: before.line(), Count: 1}
	if err := d.who.Record(ctx, entry); err != nil {
		return PolicyForgotten{}, fmt.Errorf("nothing was forgotten: %w", err)
	}
	there, err := p.Forget(ctx, domain)
	return PolicyForgotten{there}, err
}

// line is a policy for the audit trail.
func (p *PolicyKept) line() string {
	if p.Mode == "" {
		return "no policy"
	}
	text := p.Mode + ", id " + p.ID + ", until " + p.Until.Format(time.RFC3339)
	if len(p.MX) > 0 {
		text += ", names " + mail.AtMost(p.MX, 10, " ")
	}
	return text
}
