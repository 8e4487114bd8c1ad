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

// told is what a cache says of every domain.
type told struct {
	first, again *stscache.Found
	note         stscache.Note
	err          error
}

func (s told) Policy(context.Context, mail.Domain) (*stscache.Found, stscache.Note, error) {
	return s.first, s.note, s.err
}

func (s told) Again(context.Context, mail.Domain) (*stscache.Found, stscache.Note, error) {
	return s.again, s.note, s.err
}

func policyOf(mode sts.Mode, hosts ...string) *stscache.Found {
	return &stscache.Found{ID: "1", Source: stscache.FromCache, Fetched: time.Now().Add(-time.Hour), Until: time.Now().Add(time.Hour),
		Policy: sts.Policy{Mode: mode, MX: hosts}}
}

// What the policy of x.test makes of its hosts.
func TestWhatAPolicyDemandsOfAHop(t *testing.T) {
	const unsigned = "!x.test MX 10 mx.x.test\n!mx.x.test A 192.0.2.1\n"
	const signed = "x.test MX 10 mx.x.test\nmx.x.test A 192.0.2.1\n"
	public := policy.DomainDemand()
	both := policy.Combine(public, policy.HostDemand())
	for _, c := range []struct {
		name, zone string
		first      *stscache.Found
		again      *stscache.Found // the same where nil
		note       stscache.Note
		err        error
		demand     policy.Requirement
		problem    policy.Reason
		by         string
		modes      string
	}{
		{name: "it names the host", zone: unsigned, first: policyOf(sts.Enforce, "mx.x.test"), demand: public, by: policy.MXByPolicy, modes: "sts enforce"},
		{name: "it names another", zone: unsigned, first: policyOf(sts.Enforce, "mx.y.test"), problem: policy.STSMXMismatch},
		{name: "asked again it names the host", zone: unsigned, first: policyOf(sts.Enforce, "mx.y.test"), again: policyOf(sts.Enforce, "mx.x.test"),
			demand: public, by: policy.MXByPolicy, modes: "sts enforce"},
		{name: "testing", zone: unsigned, first: policyOf(sts.Testing, "mx.y.test"), modes: "sts testing"},
		{name: "none", zone: unsigned, first: policyOf(sts.None)},
		{name: "asked again it is taken back", zone: unsigned, first: policyOf(sts.Enforce, "mx.y.test"), again: policyOf(sts.None)},
		{name: "the store does not answer", zone: unsigned, err: errors.New("no store"), problem: policy.PolicyUnavailable},
		{name: "an address where a host should be", zone: "!x.test MX 10 192.0.2.1\n", first: policyOf(sts.Enforce, "*.x.test"), problem: policy.STSMXMismatch},
		{name: "forged: no MX, and an address", zone: "!x.test A 192.0.2.66\n", first: policyOf(sts.Enforce, "mx.x.test"), problem: policy.STSMXMismatch},
		{name: "TLSA records of a signed host go before it", zone: signed + "_25._tcp.mx.x.test " + record, first: policyOf(sts.Enforce, "mx.y.test"),
			demand: policy.HostDemand(), by: policy.MXBySignedDNS, modes: "dane enforce, sts enforce"},
		{name: "those of a host that unsigned DNS chose do not", zone: "!" + signed + "_25._tcp.mx.x.test " + record, first: policyOf(sts.Enforce, "mx.y.test"),
			problem: policy.STSMXMismatch},
		{name: "those of a host that unsigned DNS chose and the policy names: both", zone: "!" + signed + "_25._tcp.mx.x.test " + record,
			first: policyOf(sts.Enforce, "mx.x.test"), demand: both, by: policy.MXByPolicy, modes: "dane enforce, sts enforce"},
		{name: "unusable ones do not", zone: signed + "_25._tcp.mx.x.test TLSA 1 1 1 abcd", first: policyOf(sts.Enforce, "mx.x.test"),
			demand: public, by: policy.MXBySignedDNS, modes: "dane enforce, sts enforce"},
		{name: "announced, and not to be had: no mode is known", zone: unsigned, note: stscache.Note{Kind: stscache.HostSilent, Text: "nothing answers"},
			modes: "sts "},
		{name: "nobody knows whether there is one: no mode is known", zone: unsigned, note: stscache.Note{Kind: stscache.RecordUnknown, Text: "no answer"},
			modes: "sts "},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for _, f := range []**stscache.Found{&c.first, &c.again} {
					if *f == nil {
						*f = c.first
					}
				}
				table, err := New(Config{Hostname: mail.MustDomain("gw.test"), Resolver: zone.New(t, c.zone), HostsFile: "none",
					DANE: policy.Enforced, STS: policy.Enforced, Policies: told{c.first, c.again, c.note, c.err}})
				if err != nil {
					t.Fatal(err)
				}
				plan, problem := table.Plan(t.Context(), mail.MustDomain("x.test"))
				if c.problem != "" {
					if problem == nil || problem.Reason != c.problem || problem.Permanent {
						t.Fatalf("problem %+v, want %s; plan %+v", problem, c.problem, plan)
					}
					return
				}
				if problem != nil {
					t.Fatal(problem)
				}
				hop := &plan.Hops[0]
				var modes []string
				for _, p := range hop.Published {
					if c.note.Fault() && (len(p.Shortfalls) != 1 || p.Shortfalls[0].Reason != policy.STSPolicyUnavailable) { // sts-policy-unavailable
						t.Errorf("that it could not be had is not recorded: %+v", p)
					}
					modes = append(modes, p.Kind+" "+p.Mode)
				}
				if got := hop.Demand(); got.Key() != c.demand.Key() || hop.By != c.by || strings.Join(modes, ", ") != c.modes {
					t.Errorf("demands %q by %q for %q, want %q by %q for %q", got.Key(), hop.By, modes, c.demand.Key(), c.by, c.modes)
				}
			})
		})
	}
}

// Whoever forges "nobody takes mail there" has no ordinary mail returned at once while a policy says that the domain takes it.
func TestAForgedNoDoesNotOutweighAPolicy(t *testing.T) {
	for _, c := range []struct {
		zone  string
		found *stscache.Found
		err   error
		final bool
	}{
		{"!x.test nxdomain\n", policyOf(sts.Enforce, "mx.x.test"), nil, false},
		{"!x.test MX 0 .\n", policyOf(sts.Enforce, "mx.x.test"), nil, false},
		{"!x.test MX 10 gw.test\n", policyOf(sts.Enforce, "mx.x.test"), nil, false},
		{"!x.test TXT x\n", policyOf(sts.Enforce, "mx.x.test"), nil, false},
		{"!x.test MX 0 .\n", nil, errors.New("no store"), false},
		{"!x.test MX 0 .\n", policyOf(sts.Testing, "mx.x.test"), nil, true},
		{"!x.test MX 0 .\n", nil, nil, true},
		{"x.test MX 0 .\n", policyOf(sts.Enforce, "mx.x.test"), nil, true}, // signed
	} {
		table, err := New(Config{Hostname: mail.MustDomain("gw.test"), Resolver: zone.New(t, c.zone), HostsFile: "none",
			DANE: policy.Enforced, STS: policy.Enforced, Policies: told{first: c.found, again: c.found, err: c.err}})
		if err != nil {
			t.Fatal(err)
		}
		_, problem := table.Plan(t.Context(), mail.MustDomain("x.test"))
		if problem == nil || !problem.Permanent || problem.Final(policy.Requirement{}) != c.final {
			t.Errorf("%q with %+v: %+v, want final %v", c.zone, c.found, problem, c.final)
		}
	}
}
