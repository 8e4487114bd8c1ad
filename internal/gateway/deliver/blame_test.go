package deliver_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"postern/internal/lab/partner"
	"postern/internal/lab/pki"
	"postern/internal/policy"
)

// enforce gives the last hop an MTA-STS policy that names it.
func (w *world) enforce(mode string) {
	hop := &w.plan.Hops[len(w.plan.Hops)-1]
	hop.Proven, hop.By = true, policy.MXByPolicy
	hop.Published = append(hop.Published, policy.Published{Kind: policy.PublishedSTS, Mode: mode, Demand: policy.DomainDemand(),
		Hosts: []string{hop.Host.String()}})
}

// The policy that is named is the one that fell short, and what whoever must act can do fits who demands it.
func TestWhoseDemandFellShort(t *testing.T) {
	selfSigned, good := pki.Options{SelfSigned: true}, pki.Options{}
	const ruled = "trust this one in the rule"
	for _, c := range []struct {
		name    string
		cert    pki.Options
		fault   partner.Fault
		tlsa    uint8 // the usage of a record, 0 for none
		matches bool
		sts     string // the mode of a policy, "" for none
		require policy.Requirement
		reason  policy.Reason
		by      string // the kind
		hint    string
	}{
		{"the record matches, and the policy wants a certificate", selfSigned, partner.Sound, 3, true, policy.Enforced, policy.Requirement{},
			policy.CertSelfSigned, policy.PublishedSTS, `of a public CA; until then an [[exception]] in the rules, with ignore = ["sts"]`},
		{"unusable records ask for TLS alone", selfSigned, partner.Sound, 1, false, policy.Enforced, policy.Requirement{},
			policy.CertSelfSigned, policy.PublishedSTS, `ignore = ["sts"]`},
		{"the certificate passes, and no record matches", good, partner.Sound, 3, false, policy.Enforced, policy.Requirement{},
			policy.DANEMismatch, policy.PublishedDANE, `ignore = ["dane"]`},
		{"both want TLS", good, partner.NoTLS, 3, true, policy.Enforced, policy.Requirement{}, policy.StartTLSNotOffered, policy.PublishedDANE, "enable STARTTLS"},
		{"unusable records, and no TLS", good, partner.NoTLS, 1, false, "", policy.Requirement{}, policy.StartTLSNotOffered, policy.PublishedDANE, "enable STARTTLS"},
		{"the record matches, and a rule wants a certificate", selfSigned, partner.Sound, 3, true, "", forced, policy.CertSelfSigned, "", ruled},
		{"a rule alone", selfSigned, partner.Sound, 0, false, "", forced, policy.CertSelfSigned, "", ruled},
		{"a rule, and a policy under test", selfSigned, partner.Sound, 0, false, policy.Testing, forced, policy.CertSelfSigned, "", ruled},
		{"a rule and the policy", selfSigned, partner.Sound, 0, false, policy.Enforced, forced, policy.CertSelfSigned, policy.PublishedSTS, "The host needs a certificate of a public CA."},
		{"a rule and the records", good, partner.Sound, 3, false, "", forced, policy.DANEMismatch, policy.PublishedDANE, "put the old certificate back."},
		{"nobody came so far", good, partner.Busy, 3, true, policy.Enforced, policy.Requirement{}, policy.GreetingRefused, "", "in the trace"},
		{"REQUIRETLS, and no record matches", good, partner.Sound, 3, false, "", policy.RequireTLSDemand(), policy.DANEMismatch, policy.PublishedDANE, "put the old certificate back."},
		{"REQUIRETLS alone", selfSigned, partner.Sound, 0, false, "", policy.RequireTLSDemand(), policy.CertSelfSigned, "", "of a public CA; or send the message again without REQUIRETLS."},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				defer w.close()
				b := partner.Behaviour{TLS: w.cert(c.cert), Fault: c.fault, Inside: promise}
				w.mx("mx1.clinic.test", b)
				w.plan.Hops[0].Proven = true
				switch {
				case c.matches:
					w.publish(policy.Enforced, of(t, b, c.tlsa))
				case c.tlsa > 0:
					w.publish(policy.Enforced, stranger(c.tlsa))
				}
				if c.sts != "" {
					w.enforce(c.sts)
				}
				a := w.send(w.deliverer(), c.require).Attempt
				kind := ""
				if p := a.KeptBy(); p != nil {
					kind = p.Kind
				}
				if a.Reason != c.reason || kind != c.by || a.Used() != nil {
					t.Errorf("%s, by %q, want %s by %q\n%+v", a.Reason, kind, c.reason, c.by, a.Tries)
				}
				if hint := a.Hint(c.require.Asker()); !strings.Contains(hint, c.hint) {
					t.Errorf("%q, want %q", hint, c.hint)
				}
				for _, p := range w.plan.Hops[0].Published {
					if len(p.Shortfalls) > 0 {
						t.Errorf("the plan was written into: %+v", p)
					}
				}
			})
		})
	}
}
