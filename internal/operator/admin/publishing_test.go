package admin

import (
	"context"
	"strings"
	"testing"
	"time"

	"postern/internal/gateway/route"
	"postern/internal/gateway/stscache"
	"postern/internal/lab/testkit/zone"
	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/policy"
	"postern/internal/policy/sts"
)

// toldPolicies tells one policy of every domain.
type toldPolicies struct {
	found *stscache.Found
	note  stscache.Note
	err   error
}

func (p toldPolicies) Policy(context.Context, mail.Domain) (*stscache.Found, stscache.Note, error) {
	return p.found, p.note, p.err
}

func (p toldPolicies) Again(ctx context.Context, d mail.Domain) (*stscache.Found, stscache.Note, error) {
	return p.Policy(ctx, d)
}

func (p toldPolicies) Known(context.Context, mail.Domain) (*stscache.Found, error) {
	return p.found, p.err
}

func foundPolicy(t *testing.T, mode sts.Mode, mx ...string) *stscache.Found {
	at := time.Now().Add(-time.Hour)
	return &stscache.Found{Policy: policyOfHosts(t, mode, mx...), ID: "20261101", Fetched: at, Until: at.AddDate(0, 0, 7), Source: stscache.FromCache}
}

const oneException = clinicRules + `
[[exception]]
domain = "broken.test"
ignore = ["dane"]
reason = "ticket 4711"
expires = 2099-01-31
`

// publishingSituations are what the domain of a recipient publishes, and what explain says of it.
func publishingSituations(t *testing.T) map[string]struct {
	to, zone string
	policies toldPolicies
	want     []string // each in one line of what is said
	not      string
} {
	tlsa := "TLSA 3 1 1 " + strings.Repeat("ab", 32) + "\n"
	plain := "!clinic.test MX 10 mx.clinic.test\n!mx.clinic.test A 192.0.2.1\n"
	signed := "clinic.test MX 10 mx.clinic.test\nmx.clinic.test A 192.0.2.1\n_25._tcp.mx.clinic.test " + tlsa
	other := strings.ReplaceAll(plain, "clinic.test", "other.test")
	return map[string]struct {
		to, zone string
		policies toldPolicies
		want     []string
		not      string
	}{
		"nothing is published": {to: "x@clinic.test", zone: plain, want: []string{"mx.clinic.test publishes nothing and adds nothing"}},
		"DANE beside a rule": {to: "x@clinic.test", zone: signed,
			want: []string{"mx.clinic.test dane/enforce", "mx.clinic.test adds peer proven by a TLSA record of the mail host (DANE)"}, not: "channel"},
		"DANE without a rule": {to: "x@broken.test", zone: strings.ReplaceAll(signed, "clinic.test", "broken.test"),
			want: []string{"set aside an exception until 2099-01-31: ticket 4711", "mx.broken.test dane/exception", "and adds nothing"}},
		"an enforced policy without a rule": {to: "x@other.test", zone: other, policies: toldPolicies{found: foundPolicy(t, sts.Enforce, "mx.other.test")},
			want: []string{"mx.other.test sts/enforce 20261101", "adds channel authenticated, peer proven by trust public, name of the MX host"}},
		"an enforced policy that a rule demands as much as": {to: "x@clinic.test", zone: plain,
			policies: toldPolicies{found: foundPolicy(t, sts.Enforce, "mx.clinic.test")}, want: []string{"sts/enforce", "and adds nothing"}},
		"a policy under test": {to: "x@other.test", zone: other, policies: toldPolicies{found: foundPolicy(t, sts.Testing, "*.wrong.test")},
			want: []string{"sts/testing", "sts-mx-mismatch", "and adds nothing"}},
		"a host that the policy does not name": {to: "x@other.test", zone: other, policies: toldPolicies{found: foundPolicy(t, sts.Enforce, "*.wrong.test")},
			want: []string{"waits: sts-mx-mismatch", "mx.other.test is passed over: sts-mx-mismatch"}},
		"a policy that nobody can get": {to: "x@other.test", zone: other,
			policies: toldPolicies{note: stscache.Note{Kind: stscache.Certificate, Text: "it expired"}}, want: []string{"sts-policy-unavailable", "it expired", "adds nothing"}},
		"a store that does not answer": {to: "x@other.test", zone: other, policies: toldPolicies{err: context.DeadlineExceeded},
			want: []string{"waits: policy-unavailable"}},
		"DNS that does not answer": {to: "x@other.test", zone: "other.test servfail\n", want: []string{"waits: dns-servfail"}},
		"a TLSA record that nobody can look up": {to: "x@clinic.test", zone: "clinic.test MX 10 mx.clinic.test\nmx.clinic.test A 192.0.2.1\n_25._tcp.mx.clinic.test servfail\n",
			want: []string{"waits: dns-servfail", "passed over: dns-servfail"}},
	}
}

// saidOf is what an explanation says of a domain, in the words of the table.
func saidOf(p *Publishing) string {
	var out []string
	add := func(words ...string) { out = append(out, strings.Join(words, " ")) }
	if p.NotAsked != "" {
		add("not asked:", p.NotAsked)
	}
	if p.Reason != "" {
		add("waits:", string(p.Reason), p.Text)
	}
	for _, x := range p.Exceptions {
		add("set aside", x)
	}
	for _, h := range p.Hosts {
		if h.Reason != "" {
			add(h.Host, "is passed over:", string(h.Reason), h.Text)
		}
		published := "publishes nothing"
		for _, one := range h.Published {
			published = one.Kind + "/" + one.Mode + " " + one.ID
			for _, s := range one.Shortfalls {
				published += " " + string(s.Reason) + " " + s.Text
			}
			add(h.Host, published)
		}
		if len(h.Adds) == 0 {
			add(h.Host, published, "and adds nothing")
		} else {
			add(h.Host, "adds", strings.Join(h.Adds, ", "))
		}
	}
	return strings.Join(out, "\n")
}

func publishingService(t *testing.T, zoneText string, policies toldPolicies) *Service {
	t.Helper()
	s, _, _ := service(t)
	if _, err := s.For(access.Root("ann")).ApplyRules(t.Context(), ApplyRequest{Text: oneException}); err != nil {
		t.Fatal(err)
	}
	table, err := route.New(route.Config{Hostname: mail.MustDomain("gw.test"), HostsFile: "none", Resolver: zone.New(t, zoneText),
		DANE: policy.Enforced, STS: policy.Enforced, Policies: policies})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.cfg.Rules.SetTable(t.Context(), table, nil); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestExplainSaysWhatIsPublishedAndWhatItAdds(t *testing.T) {
	for name, c := range publishingSituations(t) {
		t.Run(name, func(t *testing.T) {
			s := publishingService(t, c.zone, c.policies)
			e, err := s.For(access.Root("ann")).Explain(t.Context(), ExplainRequest{From: "a@example.com", To: []string{c.to}})
			if err != nil {
				t.Fatal(err)
			}
			said := saidOf(e.Recipients[0].Publishing)
			for _, want := range c.want {
				if !strings.Contains(said, want) {
					t.Errorf("not said: %q in\n%s", want, said)
				}
			}
			if c.not != "" && strings.Contains(said, c.not) {
				t.Errorf("said: %q in\n%s", c.not, said)
			}
		})
	}
}

// Whoever may not have others asked, asks for more than is asked at once, or says so, is told that nobody was.
func TestExplainSaysWhatWasNotAsked(t *testing.T) {
	s := publishingService(t, "", toldPolicies{})
	reader := everywhere(access.Auditor)
	many := []string{}
	for _, c := range "abcdefghijkl" {
		many = append(many, "x@"+string(c)+".test")
	}
	for _, c := range []struct {
		name string
		d    *Desk
		r    ExplainRequest
		busy bool
		want string
		n    int
	}{
		{"offline", s.For(access.Root("ann")), ExplainRequest{To: []string{"x@clinic.test"}, Offline: true}, false, "the question said so", 1},
		{"a reader", s.For(reader), ExplainRequest{To: []string{"x@clinic.test"}}, false, "right to run checks", 1},
		{"busy", s.For(access.Root("ann")), ExplainRequest{To: []string{"x@clinic.test"}}, true, "as many checks", 1},
		{"twelve domains", s.For(access.Root("ann")), ExplainRequest{To: many}, false, "ten domains", 2},
	} {
		for i := 0; c.busy && i < cap(s.checks); i++ {
			s.checks <- struct{}{}
		}
		e, err := c.d.Explain(t.Context(), c.r)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		n := 0
		for _, r := range e.Recipients {
			if strings.Contains(r.Publishing.NotAsked, c.want) {
				n++
			}
		}
		if n != c.n {
			t.Errorf("%s: %d were not asked, want %d", c.name, n, c.n)
		}
		for i := 0; c.busy && i < cap(s.checks); i++ {
			<-s.checks
		}
	}
}
