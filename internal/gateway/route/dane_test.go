package route

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/lab/testkit/zone"
	"postern/internal/mail"
	"postern/internal/policy"
)

// record is a TLSA record that can be used; its digest is of nothing.
var record = "TLSA 3 1 1 " + strings.Repeat("ab", 32)

// daneSituations are zones of a domain x.test with one mail exchanger, and what a channel to it must pass.
var daneSituations = []struct {
	name, zone string
	demand     policy.Requirement
	problem    policy.Reason // of the hop
	half       bool
	source     string // below which name the records were found
}{
	{name: "no records", zone: "x.test MX 10 mx.x.test\nmx.x.test A 192.0.2.1"},
	{name: "a record", zone: "x.test MX 10 mx.x.test\nmx.x.test A 192.0.2.1\n_25._tcp.mx.x.test " + record,
		demand: policy.HostDemand(), source: "_25._tcp.mx.x.test"},
	{name: "a record of usage 1 alone is unusable: TLS, and nothing more",
		zone:   "x.test MX 10 mx.x.test\nmx.x.test A 192.0.2.1\n_25._tcp.mx.x.test TLSA 1 1 1 " + strings.Repeat("ab", 32),
		demand: policy.EncryptedDemand(), source: "_25._tcp.mx.x.test"},
	{name: "unusable ones beside one that is usable",
		zone:   "x.test MX 10 mx.x.test\nmx.x.test A 192.0.2.1\n_25._tcp.mx.x.test TLSA 3 1 1 abcd\n_25._tcp.mx.x.test " + record,
		demand: policy.HostDemand(), source: "_25._tcp.mx.x.test"},
	{name: "addresses not signed: never asked, and what fails there does not matter",
		zone: "x.test MX 10 mx.x.test\n!mx.x.test A 192.0.2.1\n_25._tcp.mx.x.test servfail"},
	{name: "records not signed are none", zone: "x.test MX 10 mx.x.test\nmx.x.test A 192.0.2.1\n!_25._tcp.mx.x.test " + record},
	{name: "records of a host that unsigned DNS chose", zone: "!x.test MX 10 mx.x.test\nmx.x.test A 192.0.2.1\n_25._tcp.mx.x.test " + record,
		demand: policy.HostDemand(), half: true, source: "_25._tcp.mx.x.test"},
	{name: "the look-up fails", zone: "x.test MX 10 mx.x.test\nmx.x.test A 192.0.2.1\n_25._tcp.mx.x.test servfail", problem: policy.DNSServfail},
	{name: "the look-up is refused", zone: "x.test MX 10 mx.x.test\nmx.x.test A 192.0.2.1\n_25._tcp.mx.x.test refused", problem: policy.DNSServfail},
	{name: "not implemented", zone: "x.test MX 10 mx.x.test\nmx.x.test A 192.0.2.1\n_25._tcp.mx.x.test notimp", problem: policy.DNSServfail},
	{name: "the look-up has no answer", zone: "x.test MX 10 mx.x.test\nmx.x.test A 192.0.2.1\n_25._tcp.mx.x.test timeout", problem: policy.DNSTimeout},
	{name: "the look-up is bogus", zone: "x.test MX 10 mx.x.test\nmx.x.test A 192.0.2.1\n_25._tcp.mx.x.test bogus", problem: policy.DNSSECBogus},
	{name: "the IPv6 address is bogus, the other is signed",
		zone:   "x.test MX 10 mx.x.test\nmx.x.test A 192.0.2.1\nmx.x.test AAAA bogus\n_25._tcp.mx.x.test " + record,
		demand: policy.HostDemand(), source: "_25._tcp.mx.x.test"},
	{name: "an alias, signed: the name behind it goes first",
		zone:   "x.test MX 10 mx.x.test\nmx.x.test CNAME real.y.test\nreal.y.test A 192.0.2.1\n_25._tcp.real.y.test " + record + "\n_25._tcp.mx.x.test TLSA 1 1 1 abcd",
		demand: policy.HostDemand(), source: "_25._tcp.real.y.test"},
	{name: "an alias, signed, and no records behind it: its own",
		zone:   "x.test MX 10 mx.x.test\nmx.x.test CNAME real.y.test\nreal.y.test A 192.0.2.1\n_25._tcp.mx.x.test " + record,
		demand: policy.HostDemand(), source: "_25._tcp.mx.x.test"},
	{name: "a signed alias of a name that is not: its own records alone",
		zone:   "x.test MX 10 mx.x.test\nmx.x.test CNAME real.y.test\n!real.y.test A 192.0.2.1\n_25._tcp.real.y.test " + record + "\n_25._tcp.mx.x.test " + record,
		demand: policy.HostDemand(), source: "_25._tcp.mx.x.test"},
	{name: "records behind an alias of their own", zone: "x.test MX 10 mx.x.test\nmx.x.test A 192.0.2.1\n_25._tcp.mx.x.test CNAME tlsa.x.test\ntlsa.x.test " + record,
		demand: policy.HostDemand(), source: "_25._tcp.mx.x.test"},
	{name: "no MX: the domain itself", zone: "x.test A 192.0.2.1\n_25._tcp.x.test " + record,
		demand: policy.HostDemand(), source: "_25._tcp.x.test"},
}

func daneTable(t *testing.T, zoneText, mode string, routes ...Route) *Table {
	t.Helper()
	table, err := New(Config{Hostname: mail.MustDomain("gw.test"), Resolver: zone.New(t, zoneText), HostsFile: "none",
		DANE: mode, Routes: routes, Timeout: 5 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestWhatTLSARecordsDemandOfAHop(t *testing.T) {
	for _, s := range daneSituations {
		t.Run(s.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				plan, problem := daneTable(t, s.zone, policy.Enforced).Plan(t.Context(), mail.MustDomain("x.test"))
				if s.problem != "" {
					if problem == nil || problem.Reason != s.problem || problem.Permanent {
						t.Fatalf("problem %+v, want %s", problem, s.problem)
					}
					return
				}
				if problem != nil {
					t.Fatal(problem)
				}
				hop := &plan.Hops[0]
				if got := hop.Demand(); got.Key() != s.demand.Key() {
					t.Errorf("demands %q, want %q\n%+v", got.Key(), s.demand.Key(), hop.Published)
				}
				if s.source == "" {
					if len(hop.Published) > 0 {
						t.Errorf("published: %+v", hop.Published)
					}
					return
				}
				p := hop.Published[0]
				if p.Source != s.source || p.Half != s.half || len(p.Records) == 0 {
					t.Errorf("found %+v", p)
				}
				if (len(hop.TLSA) > 0) != (s.demand.Channel == policy.Authenticated) || hop.Until.IsZero() {
					t.Errorf("usable %+v until %v", hop.TLSA, hop.Until)
				}
			})
		})
	}
}

// What is observed demands nothing, and stops nothing.
func TestObservedRecordsDemandNothing(t *testing.T) {
	for _, s := range daneSituations {
		synctest.Test(t, func(t *testing.T) {
			plan, problem := daneTable(t, s.zone, policy.Observed).Plan(t.Context(), mail.MustDomain("x.test"))
			if problem != nil || plan.Hops[0].Demand().Key() != "" {
				t.Fatalf("%s: %v, %+v", s.name, problem, plan)
			}
			found := plan.Hops[0].Published
			if (s.source != "" || s.problem != "") != (len(found) == 1) {
				t.Errorf("%s: found %+v", s.name, found)
			}
			if s.problem != "" && found[0].Shortfalls[0].Reason != s.problem {
				t.Errorf("%s: would have fallen short for %+v", s.name, found[0].Shortfalls)
			}
		})
		table := daneTable(t, strings.NewReplacer("timeout", "servfail").Replace(s.zone), "")
		if plan, problem := table.Plan(t.Context(), mail.MustDomain("x.test")); problem != nil || len(plan.Hops[0].Published) > 0 {
			t.Errorf("%s, turned off: %v, %+v", s.name, problem, plan)
		}
	}
}

// A host that is passed over leaves the others as they are.
func TestOneHostThatCannotBeJudgedDecidesForNoOther(t *testing.T) {
	table := daneTable(t, "x.test MX 10 a.x.test\nx.test MX 20 b.x.test\na.x.test A 192.0.2.1\nb.x.test A 192.0.2.2\n"+
		"_25._tcp.a.x.test servfail\n_25._tcp.b.x.test "+record, policy.Enforced)
	plan, problem := table.Plan(t.Context(), mail.MustDomain("x.test"))
	if problem != nil {
		t.Fatal(problem)
	}
	a, b := &plan.Hops[0], &plan.Hops[1]
	if a.Problem == nil || a.Problem.Reason != policy.DNSServfail || len(a.Addrs) > 0 {
		t.Errorf("the first host: %+v", a)
	}
	if b.Problem != nil || b.Demand().Key() != policy.HostDemand().Key() || !b.Proven {
		t.Errorf("the second host: %+v", b)
	}
}

// The host that an administrator names counts as signed, and its port is asked for.
func TestTLSAOfAHostThatAnAdministratorNamed(t *testing.T) {
	host := HostPort{Host: mail.MustDomain("smart.test"), Port: 2525}
	table := daneTable(t, "smart.test A 192.0.2.1\n_2525._tcp.smart.test "+record, policy.Enforced,
		Route{Match: []string{"*"}, To: []HostPort{host}})
	plan, problem := table.Plan(t.Context(), mail.MustDomain("x.test"))
	if problem != nil {
		t.Fatal(problem)
	}
	hop := &plan.Hops[0]
	if hop.Demand().Key() != policy.HostDemand().Key() || hop.Published[0].Half {
		t.Errorf("the smart host: %+v", hop)
	}
	for _, base := range hop.Bases {
		if base != host.Host {
			t.Errorf("a certificate below a trust anchor may bear %s, which is not the name of the smart host", base)
		}
	}
}

// An exception shows what it sets aside, and why, and stops nothing.
func TestAnExceptionSetsRecordsAside(t *testing.T) {
	for _, s := range daneSituations {
		synctest.Test(t, func(t *testing.T) {
			table := daneTable(t, s.zone, policy.Enforced).Except(mail.MustDomain("x.test"), map[string]string{policy.PublishedDANE: "ticket 4711"}, time.Time{})
			plan, problem := table.Plan(t.Context(), mail.MustDomain("x.test"))
			if problem != nil || plan.Hops[0].Demand().Key() != "" {
				t.Fatalf("%s: %v, %+v", s.name, problem, plan)
			}
			found := plan.Hops[0].Published
			if (s.source != "" || s.problem != "") != (len(found) == 1) {
				t.Errorf("%s: found %+v", s.name, found)
			}
			for _, p := range found {
				if p.Mode != policy.Excepted || !strings.HasPrefix(p.Note, "ticket 4711") {
					t.Errorf("%s: %+v", s.name, p)
				}
			}
		})
	}
	x, smart := mail.MustDomain("x.test"), Route{Match: []string{"x.test"}, To: []HostPort{{Host: mail.MustDomain("smart.test")}}}
	same, routed := daneTable(t, "x.test A 192.0.2.1", policy.Enforced), daneTable(t, "smart.test A 192.0.2.1", policy.Enforced, smart)
	synctest.Test(t, func(t *testing.T) {
		table := daneTable(t, daneSituations[0].zone, policy.Enforced).Except(x, map[string]string{policy.PublishedDANE: "ticket 4711"},
			time.Now().Add(time.Hour))
		plan, problem := table.Plan(t.Context(), x)
		if problem != nil || !plan.Holds(t.Context()) {
			t.Fatalf("under the exception: %v, %+v", problem, plan)
		}
		if time.Sleep(time.Hour); plan.Holds(t.Context()) {
			t.Error("an open connection outlives the exception it was opened under")
		}
	})
	if same.Except(x, nil, time.Time{}) != same {
		t.Error("nothing is set aside, and it is another table")
	}
	if routed.Except(x, map[string]string{policy.PublishedDANE: "ticket 4711"}, time.Time{}) != routed {
		t.Error("the records of a host that an administrator named are set aside for a domain")
	}
}

// Below a trust anchor the certificate may bear the recipients' domain, and the name behind it where that is a signed
// alias (RFC 7672 §3.2.2).
func TestTheNamesBelowATrustAnchor(t *testing.T) {
	for _, c := range []struct{ name, zone, names string }{
		{"no alias", "x.test MX 10 mx.y.test\n", "mx.y.test mx.y.test x.test"},
		{"a signed alias", "x.test CNAME y.test\ny.test MX 10 mx.y.test\n", "mx.y.test mx.y.test x.test y.test"},
		{"an alias that nobody signed", "!x.test CNAME y.test\ny.test MX 10 mx.y.test\n", "mx.y.test mx.y.test x.test"},
	} {
		table := daneTable(t, c.zone+"mx.y.test A 192.0.2.1\n_25._tcp.mx.y.test "+strings.Replace(record, "3 1 1", "2 1 1", 1), policy.Enforced)
		plan, problem := table.Plan(t.Context(), mail.MustDomain("x.test"))
		if problem != nil {
			t.Fatal(problem)
		}
		var names []string
		for _, n := range plan.Hops[0].Bases {
			names = append(names, n.String())
		}
		if got := strings.Join(names, " "); got != c.names {
			t.Errorf("%s: %s, want %s", c.name, got, c.names)
		}
	}
}
