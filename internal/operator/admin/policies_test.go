package admin

import (
	"context"
	"strings"
	"testing"
	"time"

	"postern/internal/gateway/stscache"
	"postern/internal/lab/testkit/zone"
	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/operator/scope"
	"postern/internal/policy/sts"
	"postern/internal/queue/memstore"
)

// published serves every domain the policy that stands there now.
type published struct{ policy *sts.Policy }

func (p published) Fetch(context.Context, mail.Domain) (sts.Policy, error) { return *p.policy, nil }

func policyOfHosts(t *testing.T, mode sts.Mode, mx ...string) sts.Policy {
	t.Helper()
	p, err := sts.New(mode, mx, 24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// keepsPolicies is a service that keeps the policy of clinic.test.
func keepsPolicies(t *testing.T) (*Service, *memstore.Store, published, *zone.Resolver) {
	t.Helper()
	s, store, _ := service(t)
	served := policyOfHosts(t, sts.Enforce, "mx.clinic.test")
	names := zone.New(t, `_mta-sts.clinic.test TXT "v=STSv1; id=1"`)
	cache := stscache.New(stscache.Config{Store: store, Resolver: names, Fetcher: published{&served}})
	t.Cleanup(cache.Close)
	if found, note, err := cache.Policy(t.Context(), mail.MustDomain("clinic.test")); found == nil || err != nil {
		t.Fatal(note, err)
	}
	s = changed(s, func(c *Config) { c.Policies = cache })
	return s, store, published{&served}, names
}

func TestPoliciesAreShownAsTheyCount(t *testing.T) {
	s, _, _, names := keepsPolicies(t)
	d := s.For(everywhere(access.Auditor))
	list, err := d.Policies(t.Context(), scope.PageRequest{})
	if err != nil || len(list.Items) != 1 || list.Next != "" {
		t.Fatalf("%+v, %v", list, err)
	}
	p := list.Items[0]
	if p.Domain != "clinic.test" || p.Kind != "sts" || p.Mode != "enforce" || p.ID != "1" || len(p.MX) != 1 || p.MaxAgeS != 86400 || p.FetchedAt == nil ||
		p.Until == nil || p.Source != "cache" || p.UsedAt == nil || p.DueAt == nil || p.Fault != "" || p.Record != nil {
		t.Errorf("listed: %+v", p)
	}
	if first, err := d.Policies(t.Context(), scope.PageRequest{Limit: 1}); err != nil || first.Next != "clinic.test" {
		t.Errorf("a page that is full: %+v, %v", first, err)
	}
	names.Set(`_mta-sts.clinic.test TXT "v=STSv1; id=2"`)
	if p, err = d.Policy(t.Context(), "Clinic.test", true); err != nil || p.Mode != "enforce" || p.ID != "1" || p.Record == nil || p.Record.ID != "2" {
		t.Errorf("shown: %+v, %v", p, err)
	}
	if p, err = d.Policy(t.Context(), "bank.test", true); err != nil || p.Mode != "" || p.Record == nil || p.Record.Fault != "no-record" {
		t.Errorf("a domain without a policy: %+v, %v", p, err)
	}
	for _, name := range []string{"", "[192.0.2.1]", "a b", strings.Repeat("x.", 130)} {
		if _, err := d.Policy(t.Context(), name, true); err == nil {
			t.Errorf("%q is taken for a domain", name)
		}
	}
}

func TestWhoMayChangeWhichPolicyCounts(t *testing.T) {
	s, store, served, _ := keepsPolicies(t)
	for _, p := range []access.Principal{within(access.Auditor, "clinic.test"), within(access.Administrator, "clinic.test")} {
		d := s.For(p)
		_, err := d.Policies(t.Context(), scope.PageRequest{})
		refused(t, "a scope lists", err, access.ErrForbidden)
		_, err = d.Policy(t.Context(), "clinic.test", true)
		refused(t, "a scope looks", err, access.ErrForbidden)
		_, err = d.ForgetPolicy(t.Context(), "clinic.test")
		refused(t, "a scope forgets", err, access.ErrForbidden)
	}
	_, err := s.For(everywhere(access.Auditor)).RefreshPolicy(t.Context(), "clinic.test")
	refused(t, "an auditor asks", err, access.ErrForbidden)
	_, err = s.For(everywhere(access.Operator)).ForgetPolicy(t.Context(), "clinic.test")
	refused(t, "an operator forgets", err, access.ErrForbidden)
	stale := everywhere(access.Administrator)
	stale.FreshUntil = time.Now().Add(-time.Minute)
	_, err = s.For(stale).ForgetPolicy(t.Context(), "clinic.test")
	refused(t, "without a fresh proof", err, access.ErrStale)

	*served.policy = policyOfHosts(t, sts.Testing, "mx2.clinic.test")
	p, err := s.For(everywhere(access.Operator)).RefreshPolicy(t.Context(), "clinic.test")
	if err != nil || p.Mode != "testing" || p.Source != "fetched" {
		t.Errorf("asked anew: %+v, %v", p, err)
	}
	out, err := s.For(everywhere(access.Administrator)).ForgetPolicy(t.Context(), "clinic.test")
	if err != nil || !out.Forgotten {
		t.Errorf("forgotten: %+v, %v", out, err)
	}
	entries, err := store.Entries(t.Context(), 0, 10)
	if err != nil || len(entries) < 2 {
		t.Fatal(entries, err)
	}
	if e := entries[1]; e.Action != "policies refresh" || !strings.Contains(e.Before, "enforce, id 1") || !strings.Contains(e.After, "testing, id 1") || e.Target != "clinic.test" {
		t.Errorf("the audit trail tells %+v", e)
	}
	if e := entries[0]; e.Action != "policies forget" || !strings.Contains(e.Before, "names mx2.clinic.test") || e.By != "ann" {
		t.Errorf("the audit trail tells %+v", e)
	}
}

// What cannot be written down is not forgotten.
func TestAPolicyIsNotForgottenWithoutAnEntry(t *testing.T) {
	s, _, _, _ := keepsPolicies(t)
	s = changed(s, func(c *Config) { c.Ledger = noLedger{} })
	if _, err := s.For(everywhere(access.Administrator)).ForgetPolicy(t.Context(), "clinic.test"); err == nil {
		t.Error("it was forgotten")
	}
	if p, err := s.For(everywhere(access.Administrator)).Policy(t.Context(), "clinic.test", true); err != nil || p.Mode != "enforce" {
		t.Errorf("what counts now: %+v, %v", p, err)
	}
}
