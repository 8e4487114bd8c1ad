package policy

import (
	"bytes"
	"crypto/tls"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"postern/internal/mail"
)

var update = flag.Bool("update", false, "write the golden files anew")

type named[T any] struct {
	name  string
	value T
}

func requirements() []named[Requirement] {
	private := []PeerDemand{{Trust: "own.pem", Names: Names{MX: true, Domain: true}}}
	return []named[Requirement]{
		{"plaintext", Requirement{}},
		{"encrypted", Requirement{Channel: Encrypted}},
		{"encrypted, TLS 1.3", Requirement{Channel: Encrypted, MinTLS: tls.VersionTLS13}},
		{"encrypted, hybrid key exchange", Requirement{Channel: Encrypted, KeyExchange: HybridExchange}},
		{"authenticated, 256 bits", Requirement{Channel: Authenticated, MinBits: 256}},
		{"authenticated", Requirement{Channel: Authenticated}},
		{"authenticated, TLS 1.0", Requirement{Channel: Authenticated, MinTLS: tls.VersionTLS10}},
		{"authenticated, TLS 1.3", Requirement{Channel: Authenticated, MinTLS: tls.VersionTLS13}},
		{"authenticated, own CA", Requirement{Channel: Authenticated, Peer: private}},
		{"authenticated, own CA and public", Combine(Requirement{Channel: Authenticated, Peer: private}, Requirement{Channel: Authenticated})},
		{"authenticated, MX pinned", Requirement{Channel: Authenticated, MX: MXPinned, PinnedBy: []string{"rule"}}},
		{"authenticated, MX pinned by nobody", Requirement{Channel: Authenticated, MX: MXPinned}},
		{"authenticated, MX proven", Requirement{Channel: Authenticated, MX: MXProven}},
		{"authenticated, revocation check", Requirement{Channel: Authenticated, Revocation: RevocationCheck}},
		{"authenticated, revocation require", Requirement{Channel: Authenticated, Revocation: RevocationRequire}},
	}
}

// situation is evidence of TLS 1.3 with the public demand met, changed by f.
func situation(f func(*Evidence)) Evidence {
	e := Evidence{TLS: &mail.TLS{}, TLSVersion: tls.VersionTLS13, Peers: map[string]Proof{PublicDemand().Key(): {}}}
	if f != nil {
		f(&e)
	}
	return e
}

func situations() []named[Evidence] {
	own := PeerDemand{Trust: "own.pem", Names: Names{MX: true, Domain: true}}.Key()
	fails := func(key string, reasons ...Reason) func(*Evidence) {
		return func(e *Evidence) {
			var p Proof
			for _, r := range reasons {
				p.Shortfalls = append(p.Shortfalls, Shortfall{Reason: r, Text: "x"})
			}
			e.Peers[key] = p
		}
	}
	return []named[Evidence]{
		{"no TLS", Evidence{}},
		{"not examined", situation(func(e *Evidence) { e.Peers = nil })},
		{"good", situation(nil)},
		{"good, TLS 1.2", situation(func(e *Evidence) { e.TLSVersion = tls.VersionTLS12 })},
		{"good, TLS 1.0", situation(func(e *Evidence) { e.TLSVersion = tls.VersionTLS10 })},
		{"expired", situation(fails(PublicDemand().Key(), CertExpired))},
		{"self-signed and wrong name", situation(fails(PublicDemand().Key(), CertSelfSigned, CertNameMismatch))},
		{"good by our CA, not by public", situation(func(e *Evidence) {
			fails(PublicDemand().Key(), CertUntrusted)(e)
			e.Peers[own] = Proof{}
		})},
		{"good by both", situation(func(e *Evidence) { e.Peers[own] = Proof{} })},
		{"expired by both", situation(func(e *Evidence) {
			fails(PublicDemand().Key(), CertExpired)(e)
			fails(own, CertExpired)(e)
		})},
		{"MX known", situation(func(e *Evidence) { e.MXPins = map[string]Proof{"rule": {}} })},
		{"MX changed", situation(func(e *Evidence) { e.MXPins = map[string]Proof{"rule": {[]Shortfall{{MXChanged, "x"}}}} })},
		{"MX proven", situation(func(e *Evidence) { e.MXProven = true })},
		{"revocation good", situation(func(e *Evidence) { e.Revocation = "good" })},
		{"revocation unknown", situation(func(e *Evidence) { e.Revocation = "unknown" })},
		{"a stapled answer promised and not given", situation(func(e *Evidence) { e.Revocation, e.Unstapled = "unknown", true })},
		{"revoked", situation(func(e *Evidence) { e.Revocation = "revoked" })},
		{"TLS 1.0 and expired", situation(func(e *Evidence) {
			e.TLSVersion = tls.VersionTLS10
			fails(PublicDemand().Key(), CertExpired)(e)
		})},
	}
}

func TestTheDecisionMatrixStands(t *testing.T) {
	var got bytes.Buffer
	for _, s := range situations() {
		fmt.Fprintf(&got, "%s\n", s.name)
		for _, r := range requirements() {
			cell := "pass"
			if faults := Verdict(r.value, s.value); len(faults) > 0 {
				var reasons []string
				for _, f := range faults {
					reasons = append(reasons, string(f.Reason))
					if f.Text == "" {
						t.Errorf("%s / %s: %s without a text", s.name, r.name, f.Reason)
					}
				}
				cell = strings.Join(reasons, " ")
			}
			fmt.Fprintf(&got, "\t%-34s %-13s %s\n", r.name, s.value.Reached(r.value), cell)
		}
	}
	const file = "testdata/matrix.golden"
	if *update {
		if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("the matrix changed; if that is meant run the test with -update and review the difference\n%s", got.String())
	}
}

func TestForcedMailNeverPassesWithoutTLS(t *testing.T) {
	for _, r := range requirements() {
		if r.value.Forced() == passes(r.value, Evidence{MXProven: true, Revocation: "good", TLSVersion: tls.VersionTLS13,
			Peers: map[string]Proof{PublicDemand().Key(): {}}}) {
			t.Errorf("%s", r.name)
		}
	}
}

func TestAnotherRulesPrivateCADoesNotReplacePublicTrust(t *testing.T) {
	private := Requirement{Channel: Authenticated, MinTLS: tls.VersionTLS10, Peer: []PeerDemand{{Trust: "own.pem", Names: Names{MX: true}}}}
	joined := Combine(Requirement{Channel: Authenticated}, private)
	if len(joined.Peer) != 2 || joined.MinTLS != tls.VersionTLS12 {
		t.Errorf("the join forgot public trust or TLS 1.2: %s", joined.Key())
	}
	if raised := (Requirement{Peer: private.Peer}).Raised(Authenticated); len(raised.Demands()) != 1 {
		t.Errorf("raising added a demand: %s", raised.Key())
	}
}

func TestSpellingsOfOneDemandHaveOneKey(t *testing.T) {
	a := PeerDemand{Trust: "x", Names: Names{List: []string{"b", "a"}}, Pins: []string{"2", "1", "2"}}
	b := PeerDemand{Trust: "x", Names: Names{List: []string{"a", "b", "b"}}, Pins: []string{"1", "2"}}
	if a.Key() != b.Key() {
		t.Errorf("%s\n%s", a.Key(), b.Key())
	}
	if got := Combine(Requirement{Peer: []PeerDemand{a}}, Requirement{Peer: []PeerDemand{b}}); len(got.Peer) != 1 {
		t.Errorf("%d demands of one", len(got.Peer))
	}
}

func TestLevelsAreReadAndWritten(t *testing.T) {
	for _, l := range []Level{Plaintext, Encrypted, Authenticated} {
		text, _ := l.MarshalText()
		var back Level
		if err := back.UnmarshalText(text); err != nil || back != l {
			t.Errorf("%s: %v, %v", text, back, err)
		}
	}
	var l Level
	if err := l.UnmarshalText([]byte("Encrypted")); err == nil {
		t.Error("another spelling was read")
	}
	if got := Level(7).String(); got != "level(7)" {
		t.Error(got)
	}
}
