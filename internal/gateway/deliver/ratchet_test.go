package deliver_test

import (
	"crypto/x509"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/gateway/deliver"
	"postern/internal/history/peers"
	"postern/internal/lab/partner"
	"postern/internal/lab/pki"
	"postern/internal/policy"
	"postern/internal/smtp/smtpclient"
)

// alwaysHadTLS remembers one host as one that never was without TLS.
type alwaysHadTLS string

// Missing holds mail for an hour.
func (h alwaysHadTLS) Missing(host string, _ netip.AddrPort) (s peers.Stand) {
	if host == string(h) {
		s = peers.Stand{Offered: time.Now().Add(-time.Hour), HoldUntil: time.Now().Add(time.Hour)}
	}
	return s
}

// What a host publishes takes nothing from the ratchet: one that lost its TLS holds the whole destination, whether it
// demands TLS itself or not. One that has TLS and falls short of its own demand lost nothing.
func TestTheRatchetHoldsForAHostThatPublishesToo(t *testing.T) {
	for _, c := range []struct {
		name  string
		first func(w *world) partner.Behaviour
		mode  string // "" publishes nothing
		at    string
	}{
		{"STARTTLS is gone, nothing is published", func(*world) partner.Behaviour { return partner.Behaviour{Fault: partner.NoTLS} }, "", ""},
		{"STARTTLS is gone, TLSA records are observed", func(*world) partner.Behaviour { return partner.Behaviour{Fault: partner.NoTLS} }, policy.Observed, ""},
		{"STARTTLS is gone, TLSA records are enforced", func(*world) partner.Behaviour { return partner.Behaviour{Fault: partner.NoTLS} }, policy.Enforced, ""},
		{"STARTTLS is refused, TLSA records are enforced", func(*world) partner.Behaviour { return partner.Behaviour{Fault: partner.RefusesTLS} }, policy.Enforced, ""},
		{"the handshake breaks, TLSA records are enforced", func(w *world) partner.Behaviour {
			return partner.Behaviour{TLS: w.cert(pki.Options{}), Fault: partner.ResetsTLS}
		}, policy.Enforced, ""},
		{"a mismatch: TLS is there", func(w *world) partner.Behaviour { return partner.Behaviour{TLS: w.cert(pki.Options{})} }, policy.Enforced, "192.0.2.20"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				defer w.close()
				b := c.first(w)
				if b.Fault == partner.RefusesTLS {
					b.TLS = w.cert(pki.Options{})
				}
				w.mx("mx1.clinic.test", b)
				if c.mode != "" {
					w.publish(c.mode, stranger(3))
				}
				w.mx("mx2.clinic.test", partner.Behaviour{Fault: partner.NoTLS})
				d := deliver.New(deliver.Config{
					Dialer: w.net.Dialer("192.0.2.1"), Legacy: true, Memory: alwaysHadTLS("mx1.clinic.test"),
					Roots: func(...string) (map[string]*x509.CertPool, error) { return w.roots, nil },
					SMTP:  smtpclient.Config{Hello: "gw.example.test"},
				})
				climbed := w.send(d, policy.Requirement{})
				if at, _ := w.took(); at != c.at {
					t.Errorf("went to %q, want %q: %s %s", at, c.at, climbed.Attempt.Reason, climbed.Attempt.Text)
				}
			})
		})
	}
}
