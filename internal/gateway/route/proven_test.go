package route

import (
	"testing"

	"postern/internal/lab/testkit/zone"
	"postern/internal/policy"
)

func TestANameIsProvenByAnAdministratorOrBySignedDNS(t *testing.T) {
	// A line with "!" makes its name unsigned.
	r := zone.New(t, `
signed.test      MX 10 mx.signed.test
mx.signed.test   A 192.0.2.1
!open.test       MX 10 mx.signed.test
elsewhere.test   MX 10 mx.open.test
!mx.open.test    A 192.0.2.2
alias.test       CNAME open.test
bare.test        A 192.0.2.3
!openbare.test   A 192.0.2.4
address.test     MX 10 192.0.2.5
routed.test      MX 10 mx.open.test
`)
	cfg := worldConfig(r)
	cfg.Routes = []Route{{Match: []string{"routed.test"}, To: hosts("mx.open.test", "192.0.2.6")}}
	table := mustTable(t, cfg)
	for _, c := range []struct{ domain, by string }{
		{"signed.test", policy.MXBySignedDNS},
		{"open.test", ""},
		{"elsewhere.test", policy.MXBySignedDNS}, // the MX answer chooses the name; the addresses only say where it is
		{"alias.test", ""},
		{"bare.test", policy.MXBySignedDNS},
		{"openbare.test", ""},
		{"address.test", ""}, // there is no name
		{"[192.0.2.7]", ""},
		{"routed.test", policy.MXByAdministrator},
	} {
		plan, problem := table.Plan(t.Context(), name(c.domain))
		if problem != nil {
			t.Errorf("%s: %v", c.domain, problem)
			continue
		}
		for _, h := range plan.Hops {
			if h.By != c.by || h.Proven != (c.by != "") {
				t.Errorf("%s: %s is proven %v by %q, want %q", c.domain, h.Host, h.Proven, h.By, c.by)
			}
		}
	}
}
