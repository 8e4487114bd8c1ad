package policy

import (
	"slices"
	"testing"

	"postern/internal/mail"
)

// RFC 8689 §2 and §4.2.1: TLS, a name that is proven, a certificate or DANE, and REQUIRETLS offered inside.
func TestWhatRequireTLSDemandsOfAHop(t *testing.T) {
	r := RequireTLSDemand()
	good, bad := Proof{}, Proof{[]Shortfall{{CertExpired, "the certificate has expired"}}}
	evidence := func(p Proof, proven, offered bool) Evidence {
		return Evidence{TLS: &mail.TLS{}, TLSVersion: 0x0304, MXProven: proven, RequireTLS: offered,
			Peers: map[string]Proof{r.Peer[0].Key(): p}}
	}
	byDANE := evidence(bad, true, true)
	byDANE.DANE = &DANE{By: ByDANEEE}
	old := evidence(good, true, true)
	old.TLSVersion = 0x0302
	for _, c := range []struct {
		name string
		e    Evidence
		want []Reason
	}{
		{"all of it", evidence(good, true, true), nil},
		{"a record instead of a certificate", byDANE, nil},
		{"all but the offer", evidence(good, true, false), []Reason{RequireTLSNotOffered}},
		{"an unproven name", evidence(good, false, true), []Reason{MXUnproven}},
		{"an unproven name and no offer: whoever answered may be anybody", evidence(good, false, false), []Reason{MXUnproven, RequireTLSNotOffered}},
		{"a certificate that expired and no offer", evidence(bad, true, false), []Reason{CertExpired, RequireTLSNotOffered}},
		{"TLS 1.1", old, []Reason{TLSVersion}},
		{"plaintext, whatever was offered there", Evidence{RequireTLS: true}, []Reason{StartTLSNotOffered}},
	} {
		var got []Reason
		for _, s := range Verdict(r, c.e) {
			got = append(got, s.Reason)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	if e := evidence(good, true, false); e.Reached(r) != Authenticated {
		t.Errorf("a hop without REQUIRETLS reached %s", e.Reached(r))
	}
	if r.Key() == (Requirement{Channel: Authenticated, Peer: r.Peer, MX: MXProven}).Key() || !(Requirement{RequireTLS: true}).Forced() {
		t.Error("REQUIRETLS makes no difference")
	}
}
