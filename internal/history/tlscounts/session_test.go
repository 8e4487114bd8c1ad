package tlscounts_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"postern/internal/attempt"
	"postern/internal/gateway/stscache"
	"postern/internal/history/tlscounts"
	"postern/internal/mail"
	"postern/internal/policy"
)

func fetched(fault string) string { return stscache.Kind(fault).TLSRPT() }

// proved is evidence of a channel whose certificate has these faults, none for a good one.
func proved(faults ...policy.Reason) *policy.Evidence {
	proof := policy.Proof{}
	for _, f := range faults {
		proof.Shortfalls = append(proof.Shortfalls, policy.Shortfall{Reason: f})
	}
	return &policy.Evidence{TLS: &mail.TLS{Version: "TLS 1.3"}, TLSVersion: 0x0304, Peers: map[string]policy.Proof{policy.PublicDemand().Key(): proof}}
}

// byRecords is evidence of a channel that TLSA records prove, or not.
func byRecords(faults ...policy.Reason) *policy.Evidence {
	e := proved(policy.CertSelfSigned)
	e.DANE = &policy.DANE{By: policy.ByDANEEE, Record: "3 1 1 aa"}
	for _, f := range faults {
		e.DANE.By, e.DANE.Record = "", ""
		e.DANE.Shortfalls = append(e.DANE.Shortfalls, policy.Shortfall{Reason: f})
	}
	return e
}

func sts(mode string) policy.Published {
	return policy.Published{Kind: policy.PublishedSTS, Mode: mode, Hosts: []string{"*.clinic.test"}, Demand: policy.DomainDemand(),
		Lines: []string{"version: STSv1", "mode: enforce", "mx: *.clinic.test", "max_age: 604800"}}
}

func tlsa(mode string) policy.Published {
	return policy.Published{Kind: policy.PublishedDANE, Mode: mode, Source: "_25._tcp.mx.clinic.test", Records: []string{"3 1 1 aa"}, Demand: policy.HostDemand()}
}

func unusable(mode string) policy.Published {
	p := tlsa(mode)
	p.Records, p.Unusable, p.Demand = []string{"1 0 1 bb"}, 1, policy.EncryptedDemand()
	return p
}

func with(p policy.Published, change func(*policy.Published)) policy.Published {
	change(&p)
	return p
}

func fellShort(reason policy.Reason) func(*policy.Published) {
	return func(p *policy.Published) {
		p.Shortfalls, p.Demand = []policy.Shortfall{{Reason: reason}}, policy.Requirement{}
	}
}

// at is a try at the mail host of clinic.test.
func at(rung attempt.Rung, reason policy.Reason, e *policy.Evidence, published ...policy.Published) attempt.Try {
	return attempt.Try{Host: "mx.clinic.test", IP: netip.MustParseAddr("192.0.2.25"), Port: 25, Rung: rung, Reason: reason, Evidence: e,
		Published: published, Local: netip.MustParseAddr("198.51.100.1")}
}

// passed is a host that was passed over.
func passed(reason policy.Reason, published ...policy.Published) attempt.Try {
	return attempt.Try{Host: "mx.clinic.test", Reason: reason, Published: published}
}

func tries(list ...attempt.Try) []attempt.Try { return list }

func elsewhere(t attempt.Try) attempt.Try {
	t.Host, t.IP = "mx2.clinic.test", netip.MustParseAddr("192.0.2.26")
	return t
}

func TestWhatIsASessionAndUnderWhichPolicyItCounts(t *testing.T) {
	unavailable := policy.Published{Kind: policy.PublishedSTS, Fault: "host-silent", Shortfalls: []policy.Shortfall{{Reason: policy.STSPolicyUnavailable}}}
	before := with(sts(policy.Enforced), func(p *policy.Published) {
		p.Demand, p.Note = policy.Requirement{}, "the host's TLSA records go before it"
	})
	half := with(tlsa(policy.Enforced), func(p *policy.Published) { p.Half = true })
	cases := []struct {
		name  string
		tries []attempt.Try
		want  string // "type domain ok" or "type domain result/code", sorted
	}{
		{"no policy, good TLS", tries(at(attempt.Modern, "", proved())), "no-policy-found clinic.test ok"},
		{"no policy, an expired certificate: nobody promised one", tries(at(attempt.Modern, policy.CertExpired, proved(policy.CertExpired))), "no-policy-found clinic.test ok"},
		{"no policy, no STARTTLS, mail goes in plaintext", tries(at(attempt.Modern, policy.StartTLSNotOffered, nil)), "no-policy-found clinic.test starttls-not-supported/starttls-not-offered"},
		{"no policy, STARTTLS masked by a firewall", tries(at(attempt.Modern, policy.StartTLSStripped, nil)), "no-policy-found clinic.test starttls-not-supported/starttls-stripped"},
		{"no policy, 454 to STARTTLS", tries(at(attempt.Modern, policy.StartTLSRefused, nil)), "no-policy-found clinic.test starttls-not-supported/starttls-refused"},
		{"all rungs fail, then plaintext: one session", tries(at(attempt.Modern, policy.TLSHandshake, nil), at(attempt.Classical, policy.TLSClosed, nil),
			at(attempt.Legacy, policy.TLSVersion, nil), at(attempt.Plain, "", nil)), "no-policy-found clinic.test validation-failure/tls-version"},
		{"the second rung does it: one session, good", tries(at(attempt.Modern, policy.TLSTimeout, nil), at(attempt.Classical, "", proved())), "no-policy-found clinic.test ok"},
		{"a resumed session proved too little, a full handshake follows", tries(at(attempt.Modern, "", nil), at(attempt.Modern, "", proved())), "no-policy-found clinic.test ok"},
		{"nobody listens", tries(at(attempt.Modern, policy.ConnectRefused, nil)), ""},
		{"a greeting of 554", tries(at(attempt.Modern, policy.GreetingRefused, nil)), ""},
		{"EHLO refused, the connection closed, silence", tries(at(attempt.Modern, policy.EHLORefused, nil), elsewhere(at(attempt.Modern, policy.RemoteClosed, nil))), ""},
		{"good TLS, and 4xx later: the attempt says so, the try does not", tries(at(attempt.Modern, "", proved(), sts(policy.Enforced))), "sts clinic.test ok"},
		{"EHLO inside TLS breaks", tries(at(attempt.Modern, policy.RemoteClosed, proved(), sts(policy.Enforced))), "sts clinic.test ok"},
		{"MTA-STS, an expired certificate", tries(at(attempt.Modern, policy.CertExpired, proved(policy.CertExpired), sts(policy.Enforced))), "sts clinic.test certificate-expired/cert-expired"},
		{"MTA-STS in testing, of another name: delivered and failed", tries(at(attempt.Modern, "", proved(policy.CertNameMismatch), sts(policy.Testing))), "sts clinic.test certificate-host-mismatch/cert-name-mismatch"},
		{"MTA-STS observed, excepted, set aside: as if kept to", tries(at(attempt.Modern, "", proved(policy.CertUntrusted), sts(policy.Excepted))), "sts clinic.test certificate-not-trusted/cert-untrusted"},
		{"MTA-STS, no STARTTLS", tries(at(attempt.Modern, policy.StartTLSNotOffered, nil, sts(policy.Enforced))), "sts clinic.test starttls-not-supported/starttls-not-offered"},
		{"MTA-STS does not name the host, which is passed over", tries(passed(policy.STSMXMismatch, with(sts(policy.Enforced), fellShort(policy.STSMXMismatch)))), "sts clinic.test validation-failure/sts-mx-mismatch"},
		{"MTA-STS in testing does not name the host", tries(at(attempt.Modern, "", proved(), with(sts(policy.Testing), fellShort(policy.STSMXMismatch)))), "sts clinic.test validation-failure/sts-mx-mismatch"},
		{"two hosts: one passed over, one good", tries(passed(policy.STSMXMismatch, with(sts(policy.Enforced), fellShort(policy.STSMXMismatch))),
			elsewhere(at(attempt.Modern, "", proved(), sts(policy.Enforced)))), "sts clinic.test ok, sts clinic.test validation-failure/sts-mx-mismatch"},
		{"two hosts: the first fails, the second takes it", tries(at(attempt.Modern, policy.CertExpired, proved(policy.CertExpired), sts(policy.Enforced)),
			elsewhere(at(attempt.Modern, "", proved(), sts(policy.Enforced)))), "sts clinic.test certificate-expired/cert-expired, sts clinic.test ok"},
		{"a policy is announced and cannot be had", tries(at(attempt.Modern, "", proved(), unavailable)), "sts clinic.test sts-policy-fetch-error/sts-policy-unavailable"},
		{"the same for its certificate", tries(at(attempt.Modern, "", proved(), with(unavailable, func(p *policy.Published) { p.Fault = "certificate" }))),
			"sts clinic.test sts-webpki-invalid/sts-policy-unavailable"},
		{"the same for its text", tries(at(attempt.Modern, "", proved(), with(unavailable, func(p *policy.Published) { p.Fault = "policy-invalid" }))),
			"sts clinic.test sts-policy-invalid/sts-policy-unavailable"},
		{"we had no time to ask: that is ours", tries(at(attempt.Modern, "", proved(), with(unavailable, func(p *policy.Published) { p.Fault = "not-yet" }))), "no-policy-found clinic.test ok"},
		{"DANE, self-signed", tries(at(attempt.Modern, "", byRecords(), tlsa(policy.Enforced))), "tlsa mx.clinic.test ok"},
		{"DANE, no record matches", tries(at(attempt.Modern, policy.DANEMismatch, byRecords(policy.DANEMismatch), tlsa(policy.Enforced))), "tlsa mx.clinic.test validation-failure/dane-mismatch"},
		{"DANE, usage 2, expired below the anchor", tries(at(attempt.Modern, policy.CertExpired, byRecords(policy.CertExpired), tlsa(policy.Enforced))), "tlsa mx.clinic.test certificate-expired/cert-expired"},
		{"DANE, a failed handshake", tries(at(attempt.Modern, policy.TLSAlert, nil, tlsa(policy.Enforced))), "tlsa mx.clinic.test validation-failure/tls-alert"},
		{"DANE, no usable record", tries(at(attempt.Modern, "", proved(), unusable(policy.Enforced))), "tlsa mx.clinic.test tlsa-invalid/dane-unusable"},
		{"DANE, no usable record and no STARTTLS", tries(at(attempt.Modern, policy.StartTLSNotOffered, nil, unusable(policy.Enforced))), "tlsa mx.clinic.test starttls-not-supported/starttls-not-offered"},
		{"DANE goes before MTA-STS", tries(at(attempt.Modern, "", byRecords(), tlsa(policy.Enforced), before)), "tlsa mx.clinic.test ok"},
		{"DANE of a host that unsigned DNS chose, and MTA-STS: both", tries(at(attempt.Modern, policy.CertSelfSigned, byRecords(), half, sts(policy.Enforced))),
			"sts clinic.test certificate-not-trusted/cert-self-signed, tlsa mx.clinic.test ok"},
		{"TLSA records with bogus signatures", tries(passed(policy.DNSSECBogus, with(policy.Published{Kind: policy.PublishedDANE, Mode: policy.Enforced}, fellShort(policy.DNSSECBogus)))),
			"tlsa mx.clinic.test dnssec-invalid/dnssec-bogus"},
		{"TLSA records that nobody can look up, so that mail waits", tries(passed(policy.DNSServfail, with(policy.Published{Kind: policy.PublishedDANE, Mode: policy.Enforced}, fellShort(policy.DNSServfail)))), "tlsa mx.clinic.test dnssec-invalid/dns-servfail"},
		{"passed over by the policy: its records were not looked at", tries(passed(policy.STSMXMismatch, half, with(sts(policy.Enforced), fellShort(policy.STSMXMismatch)))), "sts clinic.test validation-failure/sts-mx-mismatch"},
		{"a host without an address", tries(passed(policy.DNSNoAddress, sts(policy.Enforced))), ""},
		{"our own rule fell short, the policy did not", tries(at(attempt.Modern, policy.PinMismatch, proved(), sts(policy.Enforced))), "sts clinic.test ok"},
		{"REQUIRETLS is not offered: no matter of the policy", tries(at(attempt.Modern, policy.RequireTLSNotOffered, proved(), sts(policy.Enforced))), "sts clinic.test ok"},
	}
	for _, c := range cases {
		var got []string
		sessions := tlscounts.Sessions(mail.MustDomain("clinic.test"), &attempt.Attempt{Tries: c.tries}, fetched)
		for _, s := range sessions {
			outcome := "ok"
			if s.Failed() {
				outcome = s.Failure.Result + "/" + s.Failure.Code
				if dialled := c.tries[0].Rung != ""; dialled != s.Failure.ReceiverIP.IsValid() && s.Failure.Code != "sts-mx-mismatch" || dialled && len(c.tries) == 1 && !s.Failure.SendingIP.IsValid() || s.Failure.MXHost == "" {
					t.Errorf("%s: the failure tells of the hosts %+v", c.name, s.Failure)
				}
			}
			got = append(got, fmt.Sprintf("%s %s %s", s.Policy.Type, s.Policy.Domain, outcome))
		}
		slices.Sort(got)
		if text := strings.Join(got, ", "); text != c.want {
			t.Errorf("%s: %q, want %q", c.name, text, c.want)
		}
	}
}

func TestAPolicyIsNamedByItsText(t *testing.T) {
	a := attempt.Attempt{Tries: tries(at(attempt.Modern, "", byRecords(), with(tlsa(policy.Enforced), func(p *policy.Published) { p.Half = true }), sts(policy.Enforced)))}
	got := tlscounts.Sessions(mail.MustDomain("clinic.test"), &a, fetched)
	if len(got) != 2 || !slices.Equal(got[0].Policy.Strings, []string{"3 1 1 aa"}) || !slices.Equal(got[0].Policy.MXHosts, []string{"mx.clinic.test"}) ||
		len(got[1].Policy.Strings) != 4 || !slices.Equal(got[1].Policy.MXHosts, []string{"*.clinic.test"}) {
		t.Errorf("%+v", got)
	}
	a.Tries[0].Published[1].Lines = slices.Repeat([]string{"mx: " + strings.Repeat("x", 200)}, 100)
	if got = tlscounts.Sessions(mail.MustDomain("clinic.test"), &a, fetched); len(got[1].Policy.Strings) > 20 {
		t.Errorf("%d long lines are kept", len(got[1].Policy.Strings))
	}
}
