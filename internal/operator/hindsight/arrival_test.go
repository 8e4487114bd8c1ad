package hindsight_test

import (
	"crypto/tls"
	"testing"

	"postern/internal/mail"
	"postern/internal/operator/hindsight"
	"postern/internal/policy"
	"postern/internal/queue"
)

// TestWhatWouldHaveBecomeOfMailThatCameIn: TLS is in the record; a client's certificate is known to be none, known to
// have satisfied as much, or not known.
func TestWhatWouldHaveBecomeOfMailThatCameIn(t *testing.T) {
	modern := &mail.TLS{Version: "TLSv1.3", Bits: 128, Group: "X25519"}
	with := func(presented bool) *mail.TLS {
		return &mail.TLS{Version: "TLSv1.3", Bits: 128, Client: &mail.ClientCertificate{Presented: presented}}
	}
	encrypted := policy.Requirement{Channel: policy.Encrypted, MinTLS: tls.VersionTLS12}
	proven := policy.Combine(policy.Requirement{Channel: policy.Authenticated, Revocation: policy.RevocationCheck,
		Peer: []policy.PeerDemand{{Trust: policy.PublicTrust, Names: policy.Names{Domain: true}}}})
	newer := proven
	newer.MinTLS = tls.VersionTLS13
	pinned := proven
	pinned.Peer = []policy.PeerDemand{{Trust: policy.PublicTrust, Names: policy.Names{Domain: true}, Pins: []string{"sha256:00"}}}
	hybrid := encrypted
	hybrid.KeyExchange = policy.HybridExchange
	for _, c := range []struct {
		name          string
		tls           *mail.TLS
		would, passed policy.Requirement
		reject        bool
		want          hindsight.Outcome
		reason        policy.Reason
	}{
		{"nothing is demanded", nil, policy.Requirement{}, policy.Requirement{}, true, hindsight.AsNow, ""},
		{"without TLS, deferred", nil, encrypted, policy.Requirement{}, false, hindsight.WouldWait, policy.StartTLSNotOffered},
		{"without TLS, rejected", nil, encrypted, policy.Requirement{}, true, hindsight.WouldReturn, policy.StartTLSNotOffered},
		{"over TLS", modern, encrypted, policy.Requirement{}, false, hindsight.AsNow, ""},
		{"an old version", &mail.TLS{Version: "TLSv1.1", Bits: 128}, encrypted, policy.Requirement{}, false, hindsight.WouldWait, policy.TLSVersion},
		{"another key exchange", modern, hybrid, policy.Requirement{}, false, hindsight.WouldWait, policy.TLSNoSharedCipher},
		{"nobody asked for a certificate", modern, proven, policy.Requirement{}, false, hindsight.NotKnown, ""},
		{"none was shown", with(false), proven, policy.Requirement{}, false, hindsight.WouldWait, policy.CertUntrusted},
		{"some was shown", with(true), proven, policy.Requirement{}, false, hindsight.NotKnown, ""},
		{"it satisfied the same", with(true), proven, proven, false, hindsight.AsNow, ""},
		{"it satisfied the same, with an older floor", with(true), newer, proven, false, hindsight.AsNow, ""},
		{"it satisfied less", with(true), pinned, proven, false, hindsight.NotKnown, ""},
		{"an old version and a certificate", &mail.TLS{Version: "TLSv1.2", Bits: 128, Client: &mail.ClientCertificate{Presented: true}}, newer, proven, false, hindsight.WouldWait, policy.TLSVersion},
	} {
		got := hindsight.Arrived(&queue.Inbound{TLS: c.tls}, c.would, c.passed, c.reject)
		if got.Outcome != c.want || got.Reason != c.reason {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}
