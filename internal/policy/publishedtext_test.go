package policy

import (
	"fmt"
	"testing"
)

func TestWhatIsPublishedInALine(t *testing.T) {
	var many []string
	for i := range 12 {
		many = append(many, fmt.Sprintf("m%d.x.test", i))
	}
	for want, p := range map[string]Published{
		"MTA-STS, enforced, id 7, fetched 1m30s before, names mx.x.test": {Kind: PublishedSTS, Mode: Enforced, ID: "7", Source: "cache", Hosts: []string{"mx.x.test"}},
		"MTA-STS, only observed, as the configuration says, id 7, fetched 1m30s before, names m0.x.test m1.x.test m2.x.test m3.x.test m4.x.test m5.x.test " +
			"m6.x.test m7.x.test m8.x.test m9.x.test and 2 more": {Kind: PublishedSTS, Mode: Observed, ID: "7", Hosts: many},
		"MTA-STS: announced, and not to be had: it is silent": {Kind: PublishedSTS, Mode: Enforced, Note: "it is silent", Shortfalls: []Shortfall{{Reason: STSPolicyUnavailable}}},
		"MTA-STS: announced, and not to be had: a redirect":   {Kind: PublishedSTS, Fault: "bad-status", Note: "a redirect", Shortfalls: []Shortfall{{Reason: STSPolicyUnavailable}}},
		"MTA-STS: not known: SERVFAIL":                        {Kind: PublishedSTS, Fault: FaultRecordUnknown, Note: "SERVFAIL", Shortfalls: []Shortfall{{Reason: STSPolicyUnavailable}}},
		"MTA-STS: not known: within 10s":                      {Kind: PublishedSTS, Fault: FaultNotYet, Note: "within 10s", Shortfalls: []Shortfall{{Reason: STSPolicyUnavailable}}},
		"MTA-STS: not known: too many":                        {Kind: PublishedSTS, Fault: FaultBusy, Note: "too many", Shortfalls: []Shortfall{{Reason: STSPolicyUnavailable}}},
		"DANE, enforced, _25._tcp.mx.x.test: 3 1 1 ab; 1 1 1 cd, matched by 3 1 1 ab, 1 unusable, the MX record is not signed": {Kind: PublishedDANE, Mode: Enforced,
			Source: "_25._tcp.mx.x.test", Records: []string{"3 1 1 ab", "1 1 1 cd"}, Unusable: 1, Half: true},
	} {
		matched := ""
		if p.Kind == PublishedDANE {
			matched = p.Records[0]
		}
		if got := p.Line(90, matched); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
}
