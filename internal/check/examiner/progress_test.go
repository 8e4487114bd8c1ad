package examiner_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/check"
	"postern/internal/lab/partner"
	"postern/internal/lab/pki"
	"postern/internal/policy"
)

// A certificate that proves nothing is never shown as good while a check goes on, also where mail goes there all the
// same.
func TestACertificateWithAFaultIsNeverShownAsGood(t *testing.T) {
	for name, c := range map[string]struct {
		options pki.Options
		fault   policy.Reason
	}{
		"good":       {pki.Options{}, ""},
		"expired":    {pki.Options{NotAfter: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Add(-time.Hour)}, policy.CertExpired},
		"other name": {pki.Options{Names: []string{"other.test"}}, policy.CertNameMismatch},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			defer w.close()
			if c.options.Names == nil {
				c.options.Names = []string{"mx1.clinic.test"}
			}
			w.mx("mx1.clinic.test", partner.Behaviour{TLS: w.tls(c.options)})
			target, err := check.Parse("clinic.test")
			if err != nil {
				t.Fatal(err)
			}
			steps := map[string]check.Progress{}
			w.checker(nil).Watch(context.Background(), target, nil, func(p check.Progress) { steps[p.Step] = p })
			if got := steps["certificate"]; got.Good != (c.fault == "") || got.Reason != c.fault || got.Text == "" {
				t.Errorf("%s: %+v", name, got)
			}
			if got := steps["tls"]; !got.Good {
				t.Errorf("%s: %+v", name, got)
			}
		})
	}
}
