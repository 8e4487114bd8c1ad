package route

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/gateway/stscache"
	"postern/internal/lab/testkit/zone"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/policy/sts"
)

// A message that sets aside what is published finds every host that ordinary mail passes over, with the same facts.
func TestWhatIsSetAsideDemandsNothingAndIsStillFound(t *testing.T) {
	for _, s := range daneSituations {
		synctest.Test(t, func(t *testing.T) {
			table := daneTable(t, s.zone, policy.Enforced)
			table.cfg.Waivable = true
			plan, problem := table.Waived().Plan(t.Context(), mail.MustDomain("x.test"))
			if problem != nil || plan.Hops[0].Demand().Key() != "" || len(plan.Hops[0].Addrs) == 0 {
				t.Fatalf("%s: %v, %+v", s.name, problem, plan)
			}
			if plan.Waived != (s.source != "" || s.problem != "") {
				t.Errorf("%s: waived %v, found %+v", s.name, plan.Waived, plan.Hops[0].Published)
			}
			enforced, problem := table.Plan(t.Context(), mail.MustDomain("x.test"))
			if (problem != nil) != (s.problem != "") {
				t.Fatalf("%s: the table itself changed: %v", s.name, problem)
			}
			if problem == nil && (len(enforced.Hops[0].TLSA) != len(plan.Hops[0].TLSA) || enforced.Waived) {
				t.Errorf("%s: other evidence: %+v", s.name, plan.Hops[0])
			}
		})
	}
}

func TestOnlyWhatMayBeIsSetAside(t *testing.T) {
	zoneText := "x.test MX 10 mx.x.test\nmx.x.test A 192.0.2.1\n_25._tcp.mx.x.test " + record
	for _, c := range []struct {
		mode     string
		waivable bool
		demand   policy.Requirement
		waived   bool
	}{
		{policy.Enforced, false, policy.HostDemand(), false},
		{policy.Enforced, true, policy.Requirement{}, true},
		{policy.Observed, true, policy.Requirement{}, false},
		{"", true, policy.Requirement{}, false},
	} {
		table := daneTable(t, zoneText, c.mode)
		table.cfg.Waivable = c.waivable
		plan, problem := table.Waived().Plan(t.Context(), mail.MustDomain("x.test"))
		if problem != nil || plan.Waived != c.waived || plan.Hops[0].Demand().Key() != c.demand.Key() {
			t.Errorf("%q, %v: %v %+v", c.mode, c.waivable, problem, plan)
		}
	}
}

// announced is one answer about every domain.
type announced struct {
	found *stscache.Found
	err   error
}

func (a announced) Policy(context.Context, mail.Domain) (*stscache.Found, stscache.Note, error) {
	return a.found, stscache.Note{}, a.err
}

func (a announced) Again(ctx context.Context, d mail.Domain) (*stscache.Found, stscache.Note, error) {
	return a.Policy(ctx, d)
}

func (a announced) Known(context.Context, mail.Domain) (*stscache.Found, error) {
	return a.found, a.err
}

func TestAnMTASTSPolicyIsSetAside(t *testing.T) {
	in := func(mode sts.Mode, mx string) announced {
		p, err := sts.New(mode, []string{mx}, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return announced{found: &stscache.Found{Policy: p, ID: "1", Fetched: time.Now(), Until: time.Now().Add(time.Hour)}}
	}
	for _, c := range []struct {
		name     string
		policies announced
		reason   policy.Reason // of the plan without a waiver
		waived   bool
		proven   bool
	}{
		{"the host is not named", in(sts.Enforce, "other.x.test"), policy.STSMXMismatch, true, false},
		{"the host is named, and stays proven", in(sts.Enforce, "mx.x.test"), "", true, true},
		{"under test", in(sts.Testing, "other.x.test"), "", false, false},
		{"the store does not answer", announced{err: errors.New("locked")}, policy.PolicyUnavailable, true, false},
		{"none", announced{}, "", false, false},
	} {
		table, err := New(Config{Hostname: mail.MustDomain("gw.test"), HostsFile: "none", STS: policy.Enforced, Policies: c.policies,
			Resolver: zone.New(t, "!x.test MX 10 mx.x.test\n!mx.x.test A 192.0.2.1"), Waivable: true})
		if err != nil {
			t.Fatal(err)
		}
		var got policy.Reason
		if _, problem := table.Plan(t.Context(), mail.MustDomain("x.test")); problem != nil {
			got = problem.Reason
		}
		if got != c.reason {
			t.Errorf("%s: %q, want %q", c.name, got, c.reason)
		}
		plan, problem := table.Waived().Plan(t.Context(), mail.MustDomain("x.test"))
		if problem != nil || plan.Waived != c.waived || plan.Hops[0].Proven != c.proven || len(plan.Hops[0].Addrs) != 1 ||
			plan.Hops[0].Demand().Key() != "" {
			t.Errorf("%s: %v, %+v", c.name, problem, plan)
		}
		if plan != nil && c.reason == policy.STSMXMismatch && !strings.Contains(plan.Hops[0].Published[0].Shortfalls[0].Text, "not among") {
			t.Errorf("%s: what is set aside is not shown: %+v", c.name, plan.Hops[0].Published)
		}
	}
}
