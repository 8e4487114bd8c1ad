package route

import (
	"context"
	"errors"
	"testing"
	"time"

	"postern/internal/gateway/stscache"
	"postern/internal/lab/testkit/zone"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/policy/sts"
)

// told are the policies of tests: what is in force, and what asking anew brings.
type told struct {
	found, again *stscache.Found
	note         stscache.Note
	err          error
	asked        int // anew
}

func (p *told) Policy(context.Context, mail.Domain) (*stscache.Found, stscache.Note, error) {
	return p.found, p.note, p.err
}

func (p *told) Again(context.Context, mail.Domain) (*stscache.Found, stscache.Note, error) {
	if p.asked++; p.again != nil {
		return p.again, stscache.Note{}, nil
	}
	return p.found, p.note, p.err
}

func (p *told) Known(context.Context, mail.Domain) (*stscache.Found, error) { return p.found, p.err }

// asks is a policy that was fetched an hour ago.
func asks(t *testing.T, mode sts.Mode, mx ...string) *stscache.Found {
	t.Helper()
	p, err := sts.New(mode, mx, 7*24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now().Add(-time.Hour)
	return &stscache.Found{Policy: p, ID: "1", Fetched: at, Until: at.Add(p.MaxAge), Source: stscache.FromCache}
}

const (
	oneHost  = "!x.test MX 10 mx.x.test\n!mx.x.test A 192.0.2.1\n"
	twoHosts = "!x.test MX 10 mx.x.test\n!x.test MX 20 b.other.test\n!mx.x.test A 192.0.2.1\n!b.other.test A 192.0.2.2\n"
)

// half is a host with a TLSA record that unsigned DNS chose, whole one that signed DNS chose.
var (
	half  = "!x.test MX 10 mx.x.test\nmx.x.test A 192.0.2.1\n_25._tcp.mx.x.test " + record
	whole = "x.test MX 10 mx.x.test\nmx.x.test A 192.0.2.1\n_25._tcp.mx.x.test " + record
)

// stsSituation is a policy of x.test, and what comes of it for the first hop.
type stsSituation struct {
	name, zone string
	policies   told
	demand     policy.Requirement
	problem    policy.Reason // of the plan, or of the first hop where another one is left
	left       string        // the host that is left
	mode       string        // what is written down: the mode, and what would have fallen short
	would      policy.Reason
	by         string // what proves the host's name
	asked      int
}

func stsSituations(t *testing.T) []stsSituation {
	enforce, testing := sts.Enforce, sts.Testing
	fault := stscache.Note{Kind: stscache.Certificate, Text: "the certificate of mta-sts.x.test expired"}
	strange := asks(t, enforce, "*.x.test")
	failing := asks(t, enforce, "mx.x.test")
	failing.Fault = fault
	both := policy.Combine(policy.HostDemand(), policy.DomainDemand())
	return []stsSituation{
		{name: "no policy", zone: oneHost, policies: told{note: stscache.Note{Kind: stscache.NoRecord, Text: "there is no record"}}},
		{name: "one that was taken back", zone: oneHost, policies: told{found: asks(t, sts.None)}},
		{name: "announced, and cannot be had", zone: oneHost, policies: told{note: fault}, would: policy.STSPolicyUnavailable},
		{name: "the store does not answer", zone: oneHost, policies: told{err: errors.New("the disk is gone")}, problem: policy.PolicyUnavailable},
		{name: "tested, and it names the host", zone: oneHost, policies: told{found: asks(t, testing, "mx.x.test")}, mode: policy.Testing},
		{name: "tested, and it does not", zone: oneHost, policies: told{found: asks(t, testing, "else.x.test")}, mode: policy.Testing, would: policy.STSMXMismatch, asked: 1},
		{name: "enforced, and it names the host", zone: oneHost, policies: told{found: asks(t, enforce, "mx.x.test")}, demand: policy.DomainDemand(),
			mode: policy.Enforced, by: policy.MXByPolicy},
		{name: "enforced, by a wildcard", zone: oneHost, policies: told{found: strange}, demand: policy.DomainDemand(), mode: policy.Enforced, by: policy.MXByPolicy},
		{name: "enforced, and it does not", zone: oneHost, policies: told{found: asks(t, enforce, "else.x.test")}, problem: policy.STSMXMismatch, asked: 1},
		{name: "a wildcard stands for one label", zone: "!x.test MX 10 a.b.x.test\n!a.b.x.test A 192.0.2.1", policies: told{found: strange}, problem: policy.STSMXMismatch, asked: 1},
		{name: "it names the second host alone", zone: twoHosts, policies: told{found: asks(t, enforce, "b.other.test")}, problem: policy.STSMXMismatch,
			left: "b.other.test", mode: policy.Enforced, would: policy.STSMXMismatch, asked: 1},
		{name: "asking anew mends it", zone: oneHost, policies: told{found: asks(t, enforce, "old.x.test"), again: asks(t, enforce, "mx.x.test")},
			demand: policy.DomainDemand(), mode: policy.Enforced, by: policy.MXByPolicy, asked: 1},
		{name: "asking anew takes it back", zone: oneHost, policies: told{found: asks(t, enforce, "old.x.test"), again: asks(t, sts.None)}, asked: 1},
		{name: "it could not be renewed, and counts", zone: oneHost, policies: told{found: failing}, demand: policy.DomainDemand(), mode: policy.Enforced, by: policy.MXByPolicy},
		{name: "no MX record: the domain itself, named", zone: "!x.test A 192.0.2.1", policies: told{found: asks(t, enforce, "x.test")}, demand: policy.DomainDemand(),
			mode: policy.Enforced, by: policy.MXByPolicy},
		{name: "no MX record: the domain itself, not named", zone: "!x.test A 192.0.2.1", policies: told{found: strange}, problem: policy.STSMXMismatch, asked: 1},
		{name: "an MX record that is an address", zone: "!x.test MX 10 192.0.2.1", policies: told{found: strange}, problem: policy.STSMXMismatch, asked: 1},
		{name: "TLSA records of a host that unsigned DNS chose: both hold", zone: half, policies: told{found: asks(t, enforce, "mx.x.test")}, demand: both,
			mode: policy.Enforced, by: policy.MXByPolicy},
		{name: "and one that the policy does not name is passed over", zone: half, policies: told{found: asks(t, enforce, "else.x.test")}, problem: policy.STSMXMismatch, asked: 1},
		{name: "TLSA records of a host that signed DNS chose go before it", zone: whole, policies: told{found: asks(t, enforce, "mx.x.test")}, demand: policy.HostDemand(),
			mode: policy.Enforced, by: policy.MXBySignedDNS},
		{name: "also where the policy does not name the host", zone: whole, policies: told{found: asks(t, enforce, "else.x.test")}, demand: policy.HostDemand(),
			mode: policy.Enforced, by: policy.MXBySignedDNS, asked: 1},
		{name: "unusable TLSA records go before nothing", zone: "x.test MX 10 mx.x.test\nmx.x.test A 192.0.2.1\n_25._tcp.mx.x.test TLSA 1 1 1 abcd",
			policies: told{found: asks(t, enforce, "mx.x.test")}, demand: policy.Combine(policy.EncryptedDemand(), policy.DomainDemand()),
			mode: policy.Enforced, by: policy.MXBySignedDNS},
		{name: "TLSA records that cannot be looked up are no pass of the policy", zone: "x.test MX 10 mx.x.test\nmx.x.test A 192.0.2.1\n_25._tcp.mx.x.test servfail",
			policies: told{found: asks(t, enforce, "mx.x.test")}, problem: policy.DNSServfail},
	}
}

func stsTable(t *testing.T, zoneText, mode string, p Policies, routes ...Route) *Table {
	t.Helper()
	table, err := New(Config{Hostname: mail.MustDomain("gw.test"), Resolver: zone.New(t, zoneText), HostsFile: "none", DANE: policy.Enforced,
		STS: mode, Policies: p, Routes: routes})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// published returns what is written down of the policy at a hop, nil for nothing.
func published(h *Hop) *policy.Published {
	for i := range h.Published {
		if h.Published[i].Kind == policy.PublishedSTS {
			return &h.Published[i]
		}
	}
	return nil
}

func TestWhatAPolicyDemandsOfAHop(t *testing.T) {
	for _, s := range stsSituations(t) {
		t.Run(s.name, func(t *testing.T) {
			plan, problem := stsTable(t, s.zone, policy.Enforced, &s.policies).Plan(t.Context(), mail.MustDomain("x.test"))
			if s.policies.asked != s.asked {
				t.Errorf("asked anew %d times", s.policies.asked)
			}
			if s.problem != "" && s.left == "" {
				if problem == nil || problem.Reason != s.problem || problem.Permanent {
					t.Fatalf("problem %+v, want %s", problem, s.problem)
				}
				if s.problem == policy.STSMXMismatch && (len(problem.Hops) != 1 || published(&problem.Hops[0]) == nil) {
					t.Errorf("the problem does not tell what is published: %+v", problem.Hops)
				}
				return
			}
			if problem != nil {
				t.Fatal(problem)
			}
			checkSTSHop(t, &s, &plan.Hops[0])
			if s.left != "" && (plan.Hops[1].Host.String() != s.left || plan.Hops[1].Problem != nil || plan.Hops[1].Demand().Key() != policy.DomainDemand().Key()) {
				t.Errorf("the second hop: %+v", plan.Hops[1])
			}
		})
	}
}

func checkSTSHop(t *testing.T, s *stsSituation, hop *Hop) {
	t.Helper()
	if s.left != "" {
		if hop.Problem == nil || hop.Problem.Reason != s.problem || len(hop.Addrs) > 0 {
			t.Errorf("the first hop: %+v", hop)
		}
	} else if got := hop.Demand(); got.Key() != s.demand.Key() {
		t.Errorf("demands %q, want %q", got.Key(), s.demand.Key())
	}
	if hop.By != s.by || hop.Proven != (s.by != "") {
		t.Errorf("proven %v by %q, want %q", hop.Proven, hop.By, s.by)
	}
	p := published(hop)
	if s.would == policy.STSPolicyUnavailable && p != nil && p.Mode == "" && p.Shortfalls[0].Reason == s.would {
		return // nothing is kept to, and that is written down
	}
	if p == nil || s.mode == "" {
		if p != nil || s.mode != "" {
			t.Errorf("written down: %+v, want mode %q", p, s.mode)
		}
		return
	}
	var would policy.Reason
	if len(p.Shortfalls) > 0 {
		would = p.Shortfalls[0].Reason
	}
	if p.Mode != s.mode || would != s.would {
		t.Errorf("written down: %+v, want %s, %q", p, s.mode, s.would)
	}
	if f := s.policies.found; f != nil && (p.ID != "1" || p.Source != "cache" || len(p.Hosts) == 0 || p.AsOf.IsZero() || p.Until.IsZero() || hop.Until.IsZero() ||
		f.Fault.Text != "" && p.Note != f.Fault.Text) {
		t.Errorf("written down: %+v until %v", p, hop.Until)
	}
}

// What is observed demands nothing and stops nothing, and what is off is not even asked for.
func TestAnObservedPolicyDemandsNothing(t *testing.T) {
	for _, s := range stsSituations(t) {
		if s.problem == policy.DNSServfail {
			continue // that is DANE's
		}
		plan, problem := stsTable(t, s.zone, policy.Observed, &s.policies).Plan(t.Context(), mail.MustDomain("x.test"))
		if problem != nil || plan.Hops[0].Problem != nil {
			t.Errorf("%s: %v, %+v", s.name, problem, plan)
			continue
		}
		p := published(&plan.Hops[0])
		if p != nil && p.Mode == policy.Enforced || plan.Hops[0].By == policy.MXByPolicy {
			t.Errorf("%s: %+v proven by %q", s.name, p, plan.Hops[0].By)
		}
		daneFirst := s.demand.Key() == policy.HostDemand().Key() // the policy has no part in it
		if s.problem == policy.STSMXMismatch && !daneFirst && (p == nil || len(p.Shortfalls) != 1 || p.Shortfalls[0].Reason != policy.STSMXMismatch) {
			t.Errorf("%s: what would have fallen short is not written down: %+v", s.name, p)
		}
		s.policies.asked = 0
		plan, problem = stsTable(t, s.zone, "", &s.policies).Plan(t.Context(), mail.MustDomain("x.test"))
		if problem != nil || published(&plan.Hops[0]) != nil || s.policies.asked != 0 {
			t.Errorf("%s, turned off: %v, %+v", s.name, problem, plan)
		}
	}
}

// A policy speaks of hosts that MX records name, not of those that an administrator named, nor of addresses.
func TestAPolicySpeaksOfMailExchangersAlone(t *testing.T) {
	to := Route{Match: []string{"x.test"}, To: []HostPort{{Host: mail.MustDomain("smart.test")}}}
	table := stsTable(t, "smart.test A 192.0.2.9", policy.Enforced, &told{found: asks(t, sts.Enforce, "mx.x.test")}, to)
	for _, domain := range []string{"x.test", "[192.0.2.7]"} {
		plan, problem := table.Plan(t.Context(), mail.MustDomain(domain))
		if problem != nil || published(&plan.Hops[0]) != nil || plan.Hops[0].Demand().Forced() {
			t.Errorf("%s: %v, %+v", domain, problem, plan)
		}
	}
}

// A plan is asked for again in time, however long the policy counts.
func TestAPlanByAPolicyIsShortLived(t *testing.T) {
	table := stsTable(t, oneHost, policy.Enforced, &told{found: asks(t, sts.Enforce, "mx.x.test")})
	plan, problem := table.Plan(t.Context(), mail.MustDomain("x.test"))
	if problem != nil || time.Until(plan.Hops[0].Until) > 5*time.Minute || time.Until(plan.Hops[0].Until) < 4*time.Minute {
		t.Errorf("%v, %+v", problem, plan)
	}
}

// What is known of a domain's policy may change while a connection is open, and while one is being opened.
func TestAPlanHoldsAsLongAsWhatIsKnown(t *testing.T) {
	enforced, other := asks(t, sts.Enforce, "mx.x.test"), asks(t, sts.Enforce, "mx.x.test", "b.x.test")
	fetchedAgain := *enforced
	fetchedAgain.ID, fetchedAgain.Fetched = "2", time.Now()
	for _, c := range []struct {
		name     string
		was, now *stscache.Found
		err      error
		holds    bool
	}{
		{"nothing", nil, nil, nil, true},
		{"the same", enforced, enforced, nil, true},
		{"fetched again, with another id", enforced, &fetchedAgain, nil, true},
		{"found while the first mail went without", nil, enforced, nil, false},
		{"enforced now", asks(t, sts.Testing, "mx.x.test"), enforced, nil, false},
		{"taken back", enforced, asks(t, sts.None), nil, false},
		{"ended", enforced, nil, nil, false},
		{"of mode none and then none", asks(t, sts.None), nil, nil, true},
		{"other hosts", enforced, other, nil, false},
		{"not to be read", enforced, nil, errors.New("no store"), false},
	} {
		policies := &told{found: c.was}
		plan, problem := stsTable(t, oneHost, policy.Enforced, policies).Plan(t.Context(), mail.MustDomain("x.test"))
		if problem != nil {
			t.Fatal(problem)
		}
		policies.found, policies.err = c.now, c.err
		if holds := plan.Holds(t.Context()); holds != c.holds {
			t.Errorf("%s: holds %v", c.name, holds)
		}
	}
}

// Where policies are not asked for, whatever is known of them changes nothing.
func TestAPlanWithoutPoliciesHolds(t *testing.T) {
	plan, problem := stsTable(t, oneHost, "", &told{found: asks(t, sts.Enforce, "mx.x.test")}).Plan(t.Context(), mail.MustDomain("x.test"))
	if problem != nil || !plan.Holds(t.Context()) || plan.Renew(t.Context()) {
		t.Errorf("%v, %+v", problem, plan)
	}
}

// Before mail fails for what a policy demands, whoever published it is asked whether it still does.
func TestAPlanIsRenewedWhereThePolicyIsAnother(t *testing.T) {
	enforced := asks(t, sts.Enforce, "mx.x.test")
	for _, c := range []struct {
		name       string
		was, again *stscache.Found
		other      bool
		asked      int
	}{
		{"no policy", nil, nil, false, 0},
		{"of mode none", asks(t, sts.None), nil, false, 0},
		{"the same", enforced, nil, false, 1},
		{"taken back", enforced, asks(t, sts.None), true, 1},
		{"for testing now", enforced, asks(t, sts.Testing, "mx.x.test"), true, 1},
	} {
		policies := &told{found: c.was}
		plan, problem := stsTable(t, oneHost, policy.Enforced, policies).Plan(t.Context(), mail.MustDomain("x.test"))
		if problem != nil {
			t.Fatal(problem)
		}
		policies.again = c.again
		if other := plan.Renew(t.Context()); other != c.other || policies.asked != c.asked {
			t.Errorf("%s: another %v, asked %d times", c.name, other, policies.asked)
		}
	}
}

// Whoever forges "nobody takes mail there" has no ordinary mail returned at once while a policy says that the domain
// takes it.
func TestAForgedNoDoesNotOutweighAPolicy(t *testing.T) {
	for _, c := range []struct {
		zone  string
		found *stscache.Found
		err   error
		final bool
	}{
		{"!x.test nxdomain\n", asks(t, sts.Enforce, "mx.x.test"), nil, false},
		{"!x.test MX 0 .\n", asks(t, sts.Enforce, "mx.x.test"), nil, false},
		{"!x.test MX 10 gw.test\n", asks(t, sts.Enforce, "mx.x.test"), nil, false},
		{"!x.test TXT x\n", asks(t, sts.Enforce, "mx.x.test"), nil, false},
		{"!x.test MX 0 .\n", nil, errors.New("no store"), false},
		{"!x.test MX 0 .\n", asks(t, sts.Testing, "mx.x.test"), nil, true},
		{"!x.test MX 0 .\n", nil, nil, true},
		{"x.test MX 0 .\n", asks(t, sts.Enforce, "mx.x.test"), nil, true}, // signed
	} {
		table, err := New(Config{Hostname: mail.MustDomain("gw.test"), Resolver: zone.New(t, c.zone), HostsFile: "none",
			DANE: policy.Enforced, STS: policy.Enforced, Policies: &told{found: c.found, err: c.err}})
		if err != nil {
			t.Fatal(err)
		}
		_, problem := table.Plan(t.Context(), mail.MustDomain("x.test"))
		if problem == nil || !problem.Permanent || problem.Final(policy.Requirement{}) != c.final {
			t.Errorf("%q with %+v: %+v, want final %v", c.zone, c.found, problem, c.final)
		}
	}
}
