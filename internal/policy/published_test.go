package policy

import (
	"reflect"
	"slices"
	"testing"

	"postern/internal/mail"
)

// The laws of the join of what is published: see design.md §10.1.

func TestJoiningWhatIsPublishedIsCommutativeAssociativeAndIdempotent(t *testing.T) {
	d := roll(t)
	for range rounds {
		a, b, c := d.published(), d.published(), d.published()
		join := func(lists ...[]Published) Requirement { return Demands(slices.Concat(lists...)) }
		if x, y := join(a, b), join(b, a); !reflect.DeepEqual(x, y) {
			t.Fatalf("not commutative: %s and %s", x.Key(), y.Key())
		}
		x, y := Combine(join(a, b), join(c)), Combine(join(a), join(b, c))
		if !reflect.DeepEqual(x, y) || !reflect.DeepEqual(x, join(a, b, c)) {
			t.Fatalf("not associative: %s and %s", x.Key(), y.Key())
		}
		if x, y := join(a, a), join(a); !reflect.DeepEqual(x, y) {
			t.Fatalf("not idempotent: %s and %s", x.Key(), y.Key())
		}
	}
}

func TestWhatIsPublishedNeverLowersADelivery(t *testing.T) {
	d := roll(t)
	passed := 0
	for range rounds {
		r, hop, e := d.requirement(), Demands(d.published()), d.evidence()
		both := r.With(hop)
		if both.Channel < r.Channel || both.Channel < hop.Channel || both.WithoutTLS < r.WithoutTLS ||
			both.VersionFloor() < r.VersionFloor() {
			t.Fatalf("%s with %s became %s", r.Key(), hop.Key(), both.Key())
		}
		if r.Channel == Authenticated && (!both.AtLeast(r) || !both.AtLeast(hop)) {
			t.Fatalf("%s is not at least %s and %s", both.Key(), r.Key(), hop.Key())
		}
		if !passes(both, e) {
			continue
		}
		passed++
		if !passes(r, e) || !passes(hop, e) {
			t.Fatalf("passes %s\nbut not both of %s\nand %s\n%+v", both.Key(), r.Key(), hop.Key(), e)
		}
		if hop.Channel > Plaintext && e.TLS == nil {
			t.Fatalf("%s passed without TLS", hop.Key())
		}
	}
	if passed < rounds/50 {
		t.Errorf("only %d of %d passed: the law was hardly tried", passed, rounds)
	}
}

// What is only observed, or under test by its own word, changes nothing.
func TestWhatIsNotEnforcedDemandsNothing(t *testing.T) {
	d := roll(t)
	for range rounds {
		list := d.published()
		without := slices.DeleteFunc(slices.Clone(list), func(p Published) bool { return p.Mode != Enforced })
		if x, y := Demands(list), Demands(without); !reflect.DeepEqual(x, y) {
			t.Fatalf("%s and %s", x.Key(), y.Key())
		}
	}
	if x := Demands(nil); x.Key() != "" {
		t.Errorf("nothing published demands %s", x.Key())
	}
}

func TestDANEAndRulesTogether(t *testing.T) {
	good, bad := Proof{}, Proof{[]Shortfall{{CertSelfSigned, "the certificate is signed by itself"}}}
	chain, dane := PublicDemand(), &DANE{By: ByDANEEE, Record: "3 1 1 00"}
	either := chain
	either.By = ByEither
	rule := func(p PeerDemand) Requirement { return Requirement{Channel: Authenticated, Peer: []PeerDemand{p}} }
	evidence := func(p Proof, d *DANE, mx bool) Evidence {
		return Evidence{TLS: &mail.TLS{}, TLSVersion: 0x0304, MXProven: mx, DANE: d,
			Peers: map[string]Proof{chain.Key(): p, either.Key(): p}}
	}
	mismatch := &DANE{Shortfalls: []Shortfall{{DANEMismatch, "none of 1 record matches"}}}
	for _, c := range []struct {
		name     string
		r, hop   Requirement
		e        Evidence
		short    Reason // "" passes
		provedBy string
	}{
		{"ordinary mail, self-signed, record matches", Requirement{}, HostDemand(), evidence(bad, dane, true), "", ByDANEEE},
		{"ordinary mail, public certificate, no record matches", Requirement{}, HostDemand(), evidence(good, mismatch, true), DANEMismatch, ""},
		{"ordinary mail, records unusable, self-signed", Requirement{}, EncryptedDemand(), evidence(bad, nil, true), "", ""},
		{"ordinary mail, half: the host was found by unsigned DNS", Requirement{}, HostDemand(), evidence(bad, dane, false), "", ByDANEEE},
		{"a rule and DANE: both must hold", rule(chain), HostDemand(), evidence(bad, dane, true), CertSelfSigned, ""},
		{"a rule and DANE: the record must match too", rule(chain), HostDemand(), evidence(good, mismatch, true), DANEMismatch, ""},
		{"a rule and DANE, both hold", rule(chain), HostDemand(), evidence(good, dane, true), "", ByDANEEE},
		{"proof either: the record alone will do", rule(either), HostDemand(), evidence(bad, dane, true), "", ByDANEEE},
		{"proof either: the certificate alone will do", rule(either), Requirement{}, evidence(good, nil, true), "", ByCertificate},
		{"proof either: unsigned MX makes the record no proof", rule(either), HostDemand(), evidence(bad, dane, false), CertSelfSigned, ""},
		{"proof dane: nothing less", rule(PeerDemand{By: ByTLSA}), Requirement{}, evidence(good, nil, true), DANEUnusable, ""},
		{"proof dane: unsigned MX", rule(PeerDemand{By: ByTLSA}), HostDemand(), evidence(good, dane, false), MXUnproven, ""},
		{"proof dane", rule(PeerDemand{By: ByTLSA}), HostDemand(), evidence(bad, dane, true), "", ByDANEEE},
		{"an enforced MTA-STS policy", Requirement{}, DomainDemand(), evidence(bad, nil, true), CertSelfSigned, ""},
		{"an enforced MTA-STS policy is met", Requirement{}, DomainDemand(), evidence(good, nil, true), "", ByCertificate},
		{"records nobody examined", Requirement{}, HostDemand(), evidence(good, &DANE{}, true), DANEMismatch, ""},
	} {
		both := c.r.With(c.hop)
		var got Reason
		if short := Verdict(both, c.e); len(short) > 0 {
			got = short[0].Reason
		}
		if got != c.short {
			t.Errorf("%s: falls short for %q, want %q", c.name, got, c.short)
		}
		if by := c.e.ProvedBy(both); by != c.provedBy {
			t.Errorf("%s: proved by %q, want %q", c.name, by, c.provedBy)
		}
	}
}

func TestRevocationIsNoMatterOfDANE(t *testing.T) {
	e := Evidence{TLS: &mail.TLS{}, TLSVersion: 0x0304, MXProven: true, DANE: &DANE{By: ByDANEEE}, Revocation: Revoked,
		Peers: map[string]Proof{PublicDemand().Key(): {}}}
	r := Requirement{Channel: Authenticated, Revocation: RevocationRequire, Peer: []PeerDemand{{By: ByTLSA}}}
	if short := Verdict(r, e); len(short) > 0 {
		t.Errorf("a channel that a TLSA record proves falls short: %v", short)
	}
	r.Peer = []PeerDemand{{By: ByTLSA}, PublicDemand()}
	if short := Verdict(r, e); len(short) != 1 || short[0].Reason != CertRevoked {
		t.Errorf("a chain that is demanded besides was revoked, and the verdict is %v", short)
	}
}
