package route_test

import (
	"net/netip"
	"strings"
	"testing"

	"postern/internal/gateway/route"
	"postern/internal/mail"
)

// TestTheMostSpecificRouteSaysHowServersAreSpokenTo, and one that names no hosts leaves where the mail goes as it is.
func TestTheMostSpecificRouteSaysHowServersAreSpokenTo(t *testing.T) {
	table, err := route.New(route.Config{
		Hostname: mail.MustDomain("gw.example.test"), HostsFile: "none", Manner: route.Manner{Without: []string{"chunking"}, Signed: route.Convert},
		Routes: []route.Route{
			{Match: []string{"*"}, To: []route.HostPort{{IP: netip.MustParseAddr("192.0.2.1")}}, Manner: route.Manner{Without: []string{"dsn"}}},
			{Match: []string{"*.part.test"}, Manner: route.Manner{Signed: route.Bounce}},
			{Match: []string{"x.part.test"}, To: []route.HostPort{{IP: netip.MustParseAddr("192.0.2.2")}}},
		}})
	if err != nil {
		t.Fatal(err)
	}
	for domain, want := range map[string]struct{ without, signed, ip string }{
		"a.test":        {"chunking dsn", "convert", "192.0.2.1"},
		"part.test":     {"chunking dsn", "convert", "192.0.2.1"},
		"y.part.test":   {"chunking", "bounce", "192.0.2.1"},
		"x.part.test":   {"chunking", "bounce", "192.0.2.2"},
		"z.x.part.test": {"chunking", "bounce", "192.0.2.1"},
	} {
		plan, problem := table.Plan(t.Context(), mail.MustDomain(domain))
		if problem != nil {
			t.Fatal(problem)
		}
		if got := plan.Manner; strings.Join(got.Without, " ") != want.without || got.Signed != want.signed || plan.Hops[0].Addrs[0].String() != want.ip {
			t.Errorf("%s: %+v to %v", domain, got, plan.Hops[0].Addrs)
		}
	}
}
