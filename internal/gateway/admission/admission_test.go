package admission_test

import (
	"context"
	"crypto/x509"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/gateway/admission"
	"postern/internal/lab/pki"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/policy/certcheck"
	"postern/internal/policy/rule"
	"postern/internal/policy/rules"
)

// asked answers about revocation and counts how often it is asked.
type asked struct {
	status string
	times  int
}

func (a *asked) Check(context.Context, [][]*x509.Certificate, []byte) policy.RevocationAnswer {
	a.times++
	return policy.RevocationAnswer{Status: a.status}
}

// TestLawsOfAdmission: over random rules and clients, what is said in the package comment.
func TestLawsOfAdmission(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	d := rand.New(rand.NewPCG(seed, 1))
	public, private := pki.New(time.Now(), "Public"), pki.New(time.Now(), "Private")
	issue := func(ca *pki.CA, o pki.Options) []*x509.Certificate { return ca.Issue(o).Chain }
	chains := [][]*x509.Certificate{
		nil,
		issue(public, pki.Options{Names: []string{"mail.partner.test"}}),
		issue(public, pki.Options{Names: []string{"mail.partner.test"}, EKU: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, Intermediates: []pki.Intermediate{{}}}),
		issue(public, pki.Options{Names: []string{"other.test"}}),
		issue(private, pki.Options{Names: []string{"mail.partner.test", "other.test"}}),
		issue(private, pki.Options{Names: []string{"mail.partner.test"}, NotAfter: time.Now().Add(-time.Hour)}),
	}
	sessions := []*mail.TLS{nil,
		{Version: "TLSv1.1", Cipher: "ECDHE-RSA-AES128-SHA", Bits: 128},
		{Version: "TLSv1.2", Cipher: "ECDHE-RSA-AES256-GCM-SHA384", Bits: 256, Group: "X25519"},
		{Version: "TLSv1.3", Cipher: "TLS_AES_128_GCM_SHA256", Bits: 128, Group: "X25519MLKEM768"},
		{Version: "TLSv1.3", Cipher: "TLS_AES_256_GCM_SHA384", Bits: 256, Group: "X25519MLKEM768"},
	}
	any := func(list ...string) string { return list[d.IntN(len(list))] }
	refused, let, later := 0, 0, 0
	for range 5000 {
		var text strings.Builder
		for i := range 1 + d.IntN(3) {
			text.WriteString("[[rule]]\nname = \"" + string(rune('a'+i)) + "\"\nscope = \"inbound\"\naction = \"require-tls\"\nmode = \"" + any("enforce", "enforce", "test") + "\"\n[rule.require_tls]\n")
			text.WriteString("min_tls = \"" + any("1.0", "1.2", "1.2", "1.3") + "\"\nrefuse = \"" + any("defer", "reject") + "\"\n" +
				any("", "", "", "min_bits = 256\n") + any("", "", "", "key_exchange = \"hybrid\"\n"))
			if d.IntN(2) == 0 {
				text.WriteString("level = \"authenticated\"\nnames = " + any(`"domain"`, `["other.test"]`) + "\ntrust = \"" + any("public", "public", "./private.pem", "./gone.pem") +
					"\"\nrevocation = \"" + any("off", "check", "require") + "\"\n")
			}
		}
		set, err := rules.Parse("r", []byte(text.String()))
		if err != nil {
			t.Fatal(err)
		}
		terms := set.Terms(&rules.Arrival{Client: netip.MustParseAddr("192.0.2.1"), Now: time.Now()})
		c := &admission.Client{From: mail.MustDomain("partner.test"), Name: "192.0.2.1"}
		if session := sessions[d.IntN(len(sessions))]; session != nil {
			facts := *session
			c.TLS = &facts
			if d.IntN(5) > 0 {
				c.Chain = chains[d.IntN(len(chains))]
				c.TLS.Client = &mail.ClientCertificate{Presented: len(c.Chain) > 0}
			}
		}
		pools := map[string]*x509.CertPool{policy.PublicTrust: public.Pool(), "./private.pem": private.Pool()}
		who := &asked{status: any(policy.NotRevoked, policy.NotRevoked, policy.Revoked, policy.RevocationNotSaid)}
		j := &admission.Judge{Roots: func(...string) (map[string]*x509.CertPool, error) { return pools, nil }, Revocation: who}
		got := j.Judge(t.Context(), terms, c, nil)

		var falls, says []string // of rules that are enforced: fall short alone, and of these those that say reject
		needsAnswer := false
		for _, term := range terms {
			r := term.Requirement
			e := policy.Evidence{}
			if c.TLS != nil {
				e = certcheck.Examine(certcheck.Input{Chain: c.Chain, Client: true, Domain: c.From, Demands: r.ChainDemands(), Roots: pools, Now: time.Now()})
				e.TLS, e.TLSVersion = c.TLS, map[string]uint16{"TLSv1.1": 0x302, "TLSv1.2": 0x303, "TLSv1.3": 0x304}[c.TLS.Version]
			}
			e.SetRevocation(policy.RevocationAnswer{Status: who.status}, time.Now())
			if r.Revocation > policy.RevocationOff && !term.Test {
				needsAnswer = true
			}
			if !term.Test && len(policy.Verdict(r, e)) > 0 {
				falls = append(falls, term.Rule)
				if term.Refuse == rule.RefuseReject {
					says = append(says, term.Rule)
				}
			}
		}
		if (got.Refusal != nil) != (len(falls) > 0) {
			t.Fatalf("falls short of %q, and the refusal is %+v\n%s%+v", falls, got.Refusal, text.String(), c.TLS)
		}
		if who.times > 0 && !needsAnswer {
			t.Fatalf("somebody was asked for nothing\n%s", text.String())
		}
		if got.Refusal == nil {
			let++
			continue
		}
		refused++
		f := got.Refusal
		undecided := slices.ContainsFunc(f.Shortfalls, func(s policy.Shortfall) bool {
			return s.Reason == policy.PolicyUnavailable || s.Reason == policy.RevocationUnknown
		})
		if want := len(says) < len(f.Rules) || undecided; f.Later != want && slices.Equal(f.Rules, falls) {
			t.Fatalf("later %v, of %q %q say reject: %+v\n%s", f.Later, falls, says, f.Shortfalls, text.String())
		}
		if f.Later {
			later++
		}
		if (f.Reply.Code == 451) != f.Later || f.Reply.Status == "" || len(f.Reply.Lines) != 3 {
			t.Fatalf("%+v", f.Reply)
		}
	}
	if refused < 500 || let < 500 || later == refused {
		t.Errorf("%d refused, %d for now, %d let in: the laws were hardly tried", refused, later, let)
	}
}
