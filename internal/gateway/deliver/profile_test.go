package deliver_test

import (
	"crypto/tls"
	"testing"
	"testing/synctest"

	"postern/internal/lab/partner"
	"postern/internal/lab/pki"
	"postern/internal/mail"
	"postern/internal/policy"
)

// A server that has a certificate for each of its names is asked for the one that its TLSA records are of (RFC 7672
// §8.1).
func TestTheNameAskedForIsThatOfTheRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		real := partner.Behaviour{TLS: w.cert(pki.Options{Names: []string{"real.provider.test"}})}
		other := w.cert(pki.Options{Names: []string{"other.test"}})
		b := partner.Behaviour{TLS: &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if h.ServerName == "real.provider.test" {
				return &real.TLS.Certificates[0], nil
			}
			return &other.Certificates[0], nil
		}}}
		w.mx("mx1.clinic.test", b)
		w.publish(policy.Enforced, of(t, real, 3))
		w.plan.Hops[0].Bases = []mail.Domain{mail.MustDomain("real.provider.test"), mail.MustDomain("mx1.clinic.test"), w.plan.Domain}
		climbed := w.send(w.deliverer(), policy.Requirement{})
		if climbed.Channel == nil {
			t.Errorf("waits: %s %s", climbed.Attempt.Reason, climbed.Attempt.Text)
		}
	})
}
