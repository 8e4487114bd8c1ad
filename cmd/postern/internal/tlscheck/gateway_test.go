package tlscheck

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/cmd/postern/internal/cli"
	"postern/internal/check"
	"postern/internal/operator/api"
	"postern/internal/policy"
)

func TestAGatewayThatDoesNotAnswerIsAskedAgainLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gateway
		asked, answer := 0, error(nil)
		ask := func() bool {
			return g.ask(t.Context(), func(context.Context) error { asked++; return answer })
		}
		answer = errors.New("no such socket")
		if ask() || !g.missed.Load() {
			t.Error("no answer is one")
		}
		if ask() || asked != 1 {
			t.Errorf("asked %d times one after the other", asked)
		}
		time.Sleep(leaveTime)
		if answer = nil; !ask() || asked != 2 {
			t.Errorf("asked %d times after a while", asked)
		}
		if answer = errors.New("no such socket"); ask() || asked != 3 {
			t.Errorf("asked %d times", asked)
		}
		g.begin()
		if answer = nil; !ask() || asked != 4 || g.missed.Load() {
			t.Errorf("asked %d times after another beginning", asked)
		}
		answer = &api.Problem{Code: 400}
		if ask() || g.missed.Load() {
			t.Error("a question that is none counts as silence")
		}
		if answer = nil; !ask() {
			t.Error("and has the gateway left alone")
		}
	})
}

// seen is a report in which mail for a domain ends so.
func seen(reason policy.Reason) *check.Report {
	v := check.Verdict{Question: check.Opportunistic, Outcome: check.Deferred, Reason: reason}
	return &check.Report{Target: "a.test", Verdicts: []check.Verdict{v}}
}

// What the gateway knows and what domains say may differ, which is no change.
func TestReportsAreHeldAgainstThoseThatRestOnTheSame(t *testing.T) {
	var told bytes.Buffer
	w := watching{a: &cli.App{Stderr: &told}, gateway: &gateway{}}
	for i, step := range []struct {
		alone  bool
		reason policy.Reason
		known  bool
		before policy.Reason
		told   string
	}{
		{false, policy.CertExpired, false, "", ""},
		{false, policy.CertExpired, true, policy.CertExpired, ""},
		{true, policy.DANEMismatch, false, "", "does not answer"},
		{true, policy.CertRevoked, true, policy.DANEMismatch, ""},
		{false, policy.CertWeak, true, policy.CertExpired, "answers again"},
		{false, policy.CertWeak, true, policy.CertWeak, ""},
	} {
		told.Reset()
		w.gateway.missed.Store(step.alone)
		before, known, shown := w.take(seen(step.reason))
		if known != step.known || shown != (i > 0) || known && !strings.Contains(before[check.Opportunistic], string(step.before)) {
			t.Errorf("%d: %v, %v, %v", i, before, known, shown)
		}
		if said := told.String(); (said == "") != (step.told == "") || !strings.Contains(said, step.told) {
			t.Errorf("%d: told %q, want %q", i, said, step.told)
		}
	}
	alone := watching{a: &cli.App{Stderr: &told}, gateway: &gateway{}}
	alone.gateway.missed.Store(true)
	told.Reset()
	if alone.take(seen("")); told.Len() > 0 {
		t.Errorf("where there never was a gateway it is told that it does not answer: %s", told.String())
	}
}

// That signed DNS or a policy proves the name of a host does not say that somebody named it.
func TestWhoNamesTheHostsIsTold(t *testing.T) {
	for want, r := range map[string]check.Report{
		"the hosts are named in the configuration":  {Named: true},
		"no MX record: the domain itself is asked":  {Hosts: []check.Host{{Name: "a.test", Proven: true}}},
		"MX 10 mx.a.test, not proven by DNSSEC":     {DNS: &check.DNS{MX: []check.MX{{Host: "mx.a.test", Pref: 10}}}},
		"MX 10 mx.a.test, signed (DNSSEC), 0.7 ms ": {DNS: &check.DNS{Signed: true, TookMS: 0.7, MX: []check.MX{{Host: "mx.a.test", Pref: 10}}}},
	} {
		r.Domain = "a.test"
		if r.DNS == nil {
			r.DNS = &check.DNS{}
		}
		if r.Hosts == nil {
			r.Hosts = []check.Host{{Name: "mx.a.test", Addresses: []check.Address{{IP: netip.MustParseAddr("192.0.2.1")}}}}
		}
		var out bytes.Buffer
		v := checkView{a: &cli.App{Stdout: &out}}
		v.dns(&r)
		if said := strings.Join(strings.Fields(out.String()), " ") + " "; !strings.Contains(said, want) {
			t.Errorf("%q, want %q", said, want)
		}
	}
}
