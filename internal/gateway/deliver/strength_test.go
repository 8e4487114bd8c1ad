package deliver_test

import (
	"crypto/tls"
	"testing"
	"testing/synctest"

	"golang.org/x/sys/cpu"

	"postern/internal/lab/partner"
	"postern/internal/lab/pki"
	"postern/internal/mail"
	"postern/internal/policy"
)

// TestDemandsOnStrengthAreMetOrNothingIsSent: what a rule demands of key exchange and cipher is offered, and what a
// server chose all the same is judged before a mail command.
func TestDemandsOnStrengthAreMetOrNothingIsSent(t *testing.T) {
	classical := []tls.CurveID{tls.X25519, tls.CurveP256}
	aes128 := []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
	hybrid, strong, both := forced, forced, forced
	hybrid.KeyExchange, strong.MinBits, both.MinBits, both.KeyExchange = policy.HybridExchange, 256, 256, policy.HybridExchange
	has := cpu.X86.HasAES || cpu.ARM64.HasAES // else crypto/tls takes ChaCha20, of 256 bits, first
	newest := strong
	newest.MinTLS = tls.VersionTLS13
	for _, c := range []struct {
		name    string
		require policy.Requirement
		server  func(*tls.Config)
		passes  bool
		check   func(tls *mail.TLS) bool
	}{
		{"hybrid, offered by both", hybrid, nil, true, func(t *mail.TLS) bool { return policy.Hybrid(t.Group) }},
		{"hybrid, and the server has another of its groups", hybrid, func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.SecP384r1MLKEM1024, tls.X25519} },
			true, func(t *mail.TLS) bool { return t.Group == "SecP384r1MLKEM1024" }},
		{"hybrid, and the server has only curves", hybrid, func(c *tls.Config) { c.CurvePreferences = classical }, false, nil},
		{"hybrid, and the server has TLS 1.2", hybrid, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, false, nil},
		{"256 bits, and the server takes 128 in TLS 1.3", strong, nil, true, func(t *mail.TLS) bool { return t.Bits == 256 && t.Version == "TLSv1.2" }},
		{"256 bits, and the server has TLS 1.2 with both", strong, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, true, func(t *mail.TLS) bool { return t.Bits == 256 }},
		{"256 bits, and the server has 128", strong, func(c *tls.Config) { c.MaxVersion, c.CipherSuites = tls.VersionTLS12, aes128 }, false, nil},
		{"256 bits in TLS 1.3 alone", newest, nil, !has, func(t *mail.TLS) bool { return t.Bits == 256 }},
		{"256 bits and hybrid", both, nil, !has, func(t *mail.TLS) bool { return t.Bits == 256 && policy.Hybrid(t.Group) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				server := w.cert(pki.Options{})
				if c.server != nil {
					c.server(server)
				}
				w.mx("mx1.clinic.test", partner.Behaviour{TLS: server})
				climbed := w.send(w.deliverer(), c.require)
				at, _ := w.took()
				if (at != "") != c.passes {
					t.Fatalf("arrived %q: %+v", at, climbed.Attempt)
				}
				if leaked := w.leaked(); len(leaked) > 0 {
					t.Error(leaked)
				}
				if !c.passes {
					if r := climbed.Attempt.Reason; r.Class() != policy.OfTLS {
						t.Errorf("the reason is %q", r)
					}
					return
				}
				if used := climbed.Attempt.Used(); used == nil || !c.check(used.TLS()) {
					t.Errorf("%+v", used)
				}
			})
		})
	}
}
