package trace

import (
	"strings"
	"testing"
	"time"

	"postern/internal/attempt"
	"postern/internal/policy"
	"postern/internal/queue"
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

// waiting is mail that one try did not carry.
func waiting(try attempt.Try, m queue.Message, ds ...policy.Demand) *queue.Record {
	return &queue.Record{Message: m, Delivery: queue.Delivery{State: queue.Queued, Demands: ds, Requirement: policy.Join(ds),
		History: []attempt.Attempt{{At: try.At, Reason: try.Reason, Tries: []attempt.Try{try}}}, Reason: try.Reason}}
}

// The policy that is named is the one that fell short, and what applies besides stands beside it.
func TestThePolicyNamedIsTheOneThatFellShort(t *testing.T) {
	at := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	short := func(reason policy.Reason) []policy.Shortfall {
		return []policy.Shortfall{{Reason: reason, Text: "words"}}
	}
	dane := func(s ...policy.Shortfall) policy.Published {
		return policy.Published{Kind: policy.PublishedDANE, Mode: policy.Enforced, Records: []string{"3 1 1 ab"}, Shortfalls: s}
	}
	sts := func(mode string, s ...policy.Shortfall) policy.Published {
		return policy.Published{Kind: policy.PublishedSTS, Mode: mode, Hosts: []string{"a.test"}, Shortfalls: s}
	}
	ordinary, asked := queue.Message{}, queue.Message{}
	asked.Envelope.RequireTLS = true
	rule := policy.Demand{Source: policy.FromRule("clinic"), Requirement: policy.Requirement{Channel: policy.Authenticated}}
	sender := policy.Demand{Source: policy.FromRequireTLS, Requirement: policy.RequireTLSDemand()}
	for _, c := range []struct {
		name   string
		record *queue.Record
		policy string
		detail string // kinds, the first first
		hint   string
	}{
		{"MTA-STS beside a record that matches", waiting(attempt.Try{At: at, Reason: policy.CertSelfSigned,
			Published: []policy.Published{dane(), sts(policy.Enforced, short(policy.CertSelfSigned)...)}}, ordinary), "sts", "sts dane", `ignore = ["sts"]`},
		{"both, and DANE gave the reason", waiting(attempt.Try{At: at, Reason: policy.DANEMismatch,
			Published: []policy.Published{sts(policy.Enforced, short(policy.CertExpired)...), dane(short(policy.DANEMismatch)...)}}, ordinary), "dane", "dane sts", `ignore = ["dane"]`},
		{"a rule", waiting(attempt.Try{At: at, Reason: policy.CertSelfSigned, Published: []policy.Published{dane(), sts(policy.Testing, short(policy.CertSelfSigned)...)}}, ordinary, rule),
			"dane", "dane sts", "trust this one in the rule"},
		{"nobody answered: what applies is told", waiting(attempt.Try{At: at, Reason: policy.ConnectRefused, Published: []policy.Published{dane()}}, ordinary), "dane", "dane", "nc -v"},
		{"REQUIRETLS, and the records", waiting(attempt.Try{At: at, Reason: policy.DANEMismatch, Published: []policy.Published{dane(short(policy.DANEMismatch)...)}}, asked, sender),
			"dane", "dane requiretls", "put the old certificate back."},
		{"REQUIRETLS that is not offered", waiting(attempt.Try{At: at, Reason: policy.RequireTLSNotOffered, Published: []policy.Published{sts(policy.Testing), dane()}}, asked, sender),
			"requiretls", "requiretls dane sts", "without REQUIRETLS"},
		{"REQUIRETLS alone", waiting(attempt.Try{At: at, Reason: policy.CertSelfSigned}, asked, sender), "requiretls", "requiretls", "again without REQUIRETLS."},
		{"delivered", waiting(attempt.Try{At: at, Used: true, Published: []policy.Published{sts(policy.Testing), dane()}}, ordinary), "dane", "dane sts", ""},
	} {
		got := Of(c.record)
		kinds := ""
		if p := got.PolicyDetail; p != nil {
			kinds = p.Kind
			for _, also := range p.Also {
				kinds += " " + also.Kind
				if len(also.Also) > 0 {
					t.Errorf("%s: beside what stands beside: %+v", c.name, also)
				}
			}
		}
		if got.Policy != c.policy || kinds != c.detail || !strings.Contains(got.Hint, c.hint) || c.hint == "" && got.Hint != "" {
			t.Errorf("%s: policy %q of %q, %q; want %q of %q, %q", c.name, got.Policy, kinds, got.Hint, c.policy, c.detail, c.hint)
		}
	}
}
