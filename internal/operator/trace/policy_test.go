package trace

import (
	"testing"
	"time"

	"postern/internal/attempt"
	"postern/internal/policy"
)

func TestWhatWasPublishedIsToldAsItDecided(t *testing.T) {
	at := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	dane := policy.Published{Kind: policy.PublishedDANE, Mode: policy.Enforced, Source: "_25._tcp.mx.clinic.test", AsOf: at, Records: []string{"3 1 1 ab"}}
	testing := policy.Published{Kind: policy.PublishedSTS, Mode: policy.Testing, ID: "7", AsOf: at, Hosts: []string{"*.clinic.test"},
		Shortfalls: []policy.Shortfall{{Reason: policy.STSMXMismatch, Text: "another host"}}}
	unknown := policy.Published{Kind: policy.PublishedDANE, Mode: policy.Enforced, AsOf: at, Note: "cannot look up the TLSA records"}
	half := policy.Published{Kind: policy.PublishedDANE, Mode: policy.Enforced, Source: "_25._tcp.mx.other.test", AsOf: at, Records: []string{"3 1 1 ab"}, Half: true}
	foreign := policy.Published{Kind: policy.PublishedSTS, Mode: policy.Enforced, ID: "7", AsOf: at, Hosts: []string{"*.clinic.test"},
		Shortfalls: []policy.Shortfall{{Reason: policy.STSMXMismatch, Text: "another host"}}}
	silent := policy.Published{Kind: policy.PublishedSTS, AsOf: at, Note: "nothing answers at mta-sts.clinic.test",
		Shortfalls: []policy.Shortfall{{Reason: policy.STSPolicyUnavailable, Text: "nothing answers at mta-sts.clinic.test"}}}
	for _, c := range []struct {
		name string
		try  attempt.Try
		want string
		age  int64
	}{
		{"nothing", attempt.Try{At: at}, "", 0},
		{"what is enforced before what is not", attempt.Try{At: at.Add(time.Minute), Published: []policy.Published{testing, dane},
			Evidence: &policy.Evidence{DANE: &policy.DANE{By: policy.ByDANEEE, Record: "3 1 1 ab"}}},
			"DANE, enforced, _25._tcp.mx.clinic.test: 3 1 1 ab, matched by 3 1 1 ab", 60},
		{"what is only under test", attempt.Try{At: at, Published: []policy.Published{testing}},
			"MTA-STS, testing, so that nothing is asked, id 7, fetched 0s before, names *.clinic.test; it would have waited: sts-mx-mismatch, another host", 0},
		{"what nobody could find out", attempt.Try{At: at, Published: []policy.Published{unknown}},
			"DANE, enforced, cannot look up the TLSA records", 0},
		{"what a host fell short of before what it met", attempt.Try{At: at, Reason: policy.STSMXMismatch, Published: []policy.Published{half, foreign}},
			"MTA-STS, enforced, id 7, fetched 0s before, names *.clinic.test", 0},
		{"a policy that could not be fetched", attempt.Try{At: at, Published: []policy.Published{silent}},
			"MTA-STS: announced, and not to be had: nothing answers at mta-sts.clinic.test", 0},
	} {
		p := policyOf(&c.try)
		if got := p.String(); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		if p != nil && p.AgeS != c.age {
			t.Errorf("%s: %d s old, want %d", c.name, p.AgeS, c.age)
		}
	}
}
