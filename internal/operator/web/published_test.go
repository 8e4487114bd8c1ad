package web

import (
	"strings"
	"testing"

	"postern/internal/gateway/route"
	"postern/internal/lab/testkit/zone"
	"postern/internal/mail"
	"postern/internal/policy"
)

// publishes puts a table in force by which mail finds the hosts of a zone and keeps to their TLSA records.
func (b *browser) publishes(text string) {
	b.Helper()
	table, err := route.New(route.Config{Hostname: mail.MustDomain("gw.test"), HostsFile: "none", Resolver: zone.New(b.T, text), DANE: policy.Enforced})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := b.rules.SetTable(b.Context(), table); err != nil {
		b.Fatal(err)
	}
}

const signedClinic = "clinic.test MX 10 mx.clinic.test\nclinic.test MX 20 gone.clinic.test\nmx.clinic.test A 192.0.2.1\n" +
	"_25._tcp.mx.clinic.test TLSA 3 1 1 abababababababababababababababababababababababababababababababab\n"

func TestExplainShowsWhatIsPublished(t *testing.T) {
	b := newConsole(t)
	b.setUp()
	b.publishes(signedClinic)
	p := b.get("/rules/explain?from=a@example.com&to=dr@clinic.test,x@nowhere.test")
	b.wellMade(p)
	for _, want := range []string{"mx.clinic.test", "DANE, enforced, _25._tcp.mx.clinic.test: 3 1 1 abab", "adds channel authenticated; peer proven by a TLSA record",
		"gone.clinic.test is passed over", "waits anyway", "dns-nxdomain"} {
		if !strings.Contains(p.text, want) {
			t.Errorf("not shown: %q in\n%s", want, p.text)
		}
	}
}
