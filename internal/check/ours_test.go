package check_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"postern/internal/check"
	"postern/internal/policy"
)

func TestTheFaultIsOursWhenUnrelatedTargetsShareIt(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	report := func(domain string, change func(*check.Address)) *check.Report {
		a := check.Address{IP: netip.MustParseAddr("192.0.2.1"), Verdicts: []check.Verdict{{Question: check.Opportunistic}},
			Look: &check.Look{Offered: []string{"STARTTLS"}, StartTLS: true,
				Chain: []policy.Certificate{{NotBefore: now.AddDate(0, -1, 0), NotAfter: now.AddDate(0, 1, 0)}}}}
		change(&a)
		return &check.Report{Domain: domain, At: now, Verdicts: a.Verdicts, DNS: &check.DNS{},
			Hosts: []check.Host{{Name: "mx." + domain, Port: 25, Addresses: []check.Address{a}}}}
	}
	stripped := func(a *check.Address) { a.Look.StartTLS, a.Look.Chain, a.Look.Offered = false, nil, []string{"SIZE"} }
	silent := func(a *check.Address) { a.Look, a.Verdicts[0].Reason = nil, policy.ConnectTimeout }
	expired := func(a *check.Address) { a.Look.Chain[0].NotAfter = now.AddDate(0, 0, -1) }
	early := func(a *check.Address) { a.Look.Chain[0].NotBefore = now.AddDate(0, 0, 1) }
	fine := func(*check.Address) {}
	unproven := func(a *check.Address) { a.Verdicts[0].Reason = policy.MXUnproven }
	mute := func(a *check.Address) { a.Look, a.Verdicts[0].Reason = nil, policy.DNSTimeout }
	for _, c := range []struct {
		name    string
		domains []string
		faults  []func(*check.Address)
		want    string
	}{
		{"three without STARTTLS", []string{"a.test", "b.test", "c.test"}, []func(*check.Address){stripped, stripped, stripped}, "tls-stripped-here true"},
		{"three of one owner", []string{"x.a.test", "y.a.test", "z.a.test"}, []func(*check.Address){stripped, stripped, stripped}, ""},
		{"two without, one with", []string{"a.test", "b.test", "c.test"}, []func(*check.Address){stripped, fine, stripped}, ""},
		{"two without", []string{"a.test", "b.test"}, []func(*check.Address){stripped, stripped}, ""},
		{"nobody answers at port 25", []string{"a.test", "b.test", "c.test"}, []func(*check.Address){silent, silent, silent}, "port-25-blocked true"},
		{"one does not answer", []string{"a.test"}, []func(*check.Address){silent}, "port-25-blocked false"},
		{"one of two answers", []string{"a.test", "b.test"}, []func(*check.Address){silent, fine}, ""},
		{"all have expired", []string{"a.test", "b.test", "c.test"}, []func(*check.Address){expired, expired, expired}, "clock-wrong true"},
		{"none is valid yet", []string{"a.test", "b.test", "c.test"}, []func(*check.Address){early, early, early}, "clock-wrong true"},
		{"some are old, some too new", []string{"a.test", "b.test", "c.test"}, []func(*check.Address){early, expired, early}, ""},
		{"one is in date", []string{"a.test", "b.test", "c.test", "d.test"}, []func(*check.Address){expired, expired, expired, fine}, ""},
		{"no name is proven", []string{"a.test", "b.test", "c.test"}, []func(*check.Address){unproven, unproven, unproven}, "resolver-not-validating false"},
		{"one name is not proven", []string{"a.test"}, []func(*check.Address){unproven}, ""},
		{"no DNS", []string{"a.test", "b.test", "c.test"}, []func(*check.Address){mute, mute, mute}, "resolver-silent true"},
	} {
		var tally check.Tally
		if c.name == "one name is not proven" {
			known := check.Tally{Unvalidated: true}
			known.Add(report("a.test", unproven))
			if s := known.Suspicions(); len(s) != 1 || s[0].Code != "resolver-not-validating" || !s[0].Sure {
				t.Errorf("a resolver whose word is not believed: %+v", s)
			}
		}
		for i, d := range c.domains {
			r := report(d, c.faults[i])
			if r.Verdicts[0].Reason == policy.DNSTimeout {
				r.Hosts, r.DNS = nil, nil
			}
			tally.Add(r)
		}
		got := ""
		for _, s := range tally.Suspicions() {
			got += fmt.Sprintf("%s %v", s.Code, s.Sure)
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
