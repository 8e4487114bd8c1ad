package route

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"

	"postern/internal/gateway/stscache"
	"postern/internal/lab/testkit/zone"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/policy/sts"
)

// badHosts are mail hosts of x.test that cannot be used, by what is wrong with them, the less telling first. The policy
// names those that begin with "in".
var badHosts = []struct {
	host, zone string
	reason     policy.Reason
}{
	{"in-bare.x.test", "in-bare.x.test TXT nothing", policy.DNSNoAddress},
	{"in-gone.x.test", "", policy.DNSNoAddress},
	{"in-private.x.test", "in-private.x.test A 10.1.2.3", policy.MXPrivate},
	{"out.x.test", "out.x.test A 192.0.2.1", policy.STSMXMismatch},
	{"out-bare.x.test", "out-bare.x.test TXT nothing", policy.STSMXMismatch},
	{"out-servfail.x.test", "out-servfail.x.test servfail", policy.STSMXMismatch},
	{"in-timeout.x.test", "in-timeout.x.test timeout", policy.DNSTimeout},
	{"in-servfail.x.test", "in-servfail.x.test servfail", policy.DNSServfail},
	{"in-bogus.x.test", "in-bogus.x.test bogus", policy.DNSSECBogus},
}

func TestOfTwoHostsTheSameOneTellsInWhateverOrder(t *testing.T) {
	var named []string
	for _, h := range badHosts {
		if strings.HasPrefix(h.host, "in") {
			named = append(named, h.host)
		}
	}
	for i, a := range badHosts {
		for j, b := range badHosts {
			synctest.Test(t, func(t *testing.T) {
				text := fmt.Sprintf("!x.test MX 10 %s\n!x.test MX 20 %s\n%s\n%s\n", a.host, b.host, a.zone, b.zone)
				if i == j {
					text = fmt.Sprintf("!x.test MX 10 %s\n%s\n", a.host, a.zone)
				}
				policies := &told{found: asks(t, sts.Enforce, named...)}
				table, err := New(Config{Hostname: mail.MustDomain("gw.test"), Resolver: zone.New(t, text), HostsFile: "none",
					DenyNetworks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, STS: policy.Enforced, Policies: policies})
				if err != nil {
					t.Fatal(err)
				}
				_, problem := table.Plan(t.Context(), mail.MustDomain("x.test"))
				want := badHosts[max(i, j)].reason
				if problem == nil || problem.Reason != want || problem.Permanent {
					t.Errorf("%s, then %s: %+v, want %s", a.host, b.host, problem, want)
				}
				if foreign := strings.HasPrefix(a.host, "out") || strings.HasPrefix(b.host, "out"); foreign != (policies.asked == 1) {
					t.Errorf("%s, then %s: the policy was asked for anew %d times", a.host, b.host, policies.asked)
				}
			})
		}
	}
}

// A host that unsigned DNS chose, or whose TLSA records nobody could look up, is judged by what is known.
func TestAnAddressIsMissingWhereNoPolicySaysMore(t *testing.T) {
	const noAddress = "!x.test MX 10 mx.x.test\n!mx.x.test TXT nothing"
	for name, c := range map[string]struct {
		mode     string
		policies told
		want     policy.Reason
	}{
		"none":                  {policy.Enforced, told{}, policy.DNSNoAddress},
		"it names the host":     {policy.Enforced, told{found: asks(t, sts.Enforce, "mx.x.test")}, policy.DNSNoAddress},
		"it does not":           {policy.Enforced, told{found: asks(t, sts.Enforce, "else.x.test")}, policy.STSMXMismatch},
		"only observed":         {policy.Observed, told{found: asks(t, sts.Enforce, "else.x.test")}, policy.DNSNoAddress},
		"under test":            {policy.Enforced, told{found: asks(t, sts.Testing, "else.x.test")}, policy.DNSNoAddress},
		"not known":             {policy.Enforced, told{err: errors.New("the disk is gone")}, policy.DNSNoAddress},
		"announced, not to had": {policy.Enforced, told{note: stscache.Note{Kind: stscache.HostSilent, Text: "nothing answers"}}, policy.DNSNoAddress},
	} {
		_, problem := stsTable(t, noAddress, c.mode, &c.policies).Plan(t.Context(), mail.MustDomain("x.test"))
		if problem == nil || problem.Reason != c.want || problem.Permanent {
			t.Errorf("%s: %+v, want %s", name, problem, c.want)
		}
	}
	unknown := "x.test MX 10 mx.x.test\nmx.x.test A 192.0.2.1\n_25._tcp.mx.x.test servfail"
	_, problem := stsTable(t, unknown, policy.Enforced, &told{found: asks(t, sts.Enforce, "else.x.test")}).Plan(t.Context(), mail.MustDomain("x.test"))
	if problem == nil || problem.Reason != policy.DNSServfail {
		t.Errorf("records that would go before the policy cannot be looked up: %+v", problem)
	}
}
