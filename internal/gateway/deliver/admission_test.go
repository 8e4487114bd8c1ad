package deliver_test

import (
	"context"
	"net/netip"
	"testing"
	"testing/synctest"

	"postern/internal/lab/partner"
	"postern/internal/lab/pki"
	"postern/internal/mail"
	"postern/internal/policy"
)

func TestAnAddressThatIsNotAdmittedIsPassedOver(t *testing.T) {
	for _, tc := range []struct {
		name             string
		admits           int // addresses, the second alone or both
		delivers, crowds bool
	}{
		{"none", 0, false, true},
		{"the second", 1, true, false},
		{"both", 2, true, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.mx("mx1.clinic.test", partner.Behaviour{TLS: w.cert(pki.Options{})})
			w.mx("mx2.clinic.test", partner.Behaviour{TLS: w.cert(pki.Options{})})
			var asked []netip.Addr
			c := w.deliverer().Open(context.Background(), "site", &w.plan, policy.Requirement{}, func(host mail.Domain, a netip.Addr) bool {
				asked = append(asked, a)
				return tc.admits == 2 || tc.admits == 1 && a.String() == "192.0.2.20"
			})
			if (c.Channel != nil) != tc.delivers || c.Crowded != tc.crowds {
				t.Fatalf("%s: channel %v, crowded %v", tc.name, c.Channel != nil, c.Crowded)
			}
			if c.Channel != nil {
				defer c.Channel.Close()
				if _, at := c.Channel.Peer(); at != asked[len(asked)-1] {
					t.Errorf("%s: the channel leads to %s, asked was %v", tc.name, at, asked)
				}
			}
			if len(c.Attempt.Tries) != min(tc.admits, 1) {
				t.Errorf("%s: %d tries", tc.name, len(c.Attempt.Tries))
			}
		})
	}
}
