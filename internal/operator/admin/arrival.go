package admin

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/pem"
	"net/netip"
	"slices"
	"strings"

	"postern/internal/gateway/admission"
	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/policy"
	"postern/internal/policy/rulematch"
	"postern/internal/policy/rules"
)

// Arrival is what a client would come with, of mail for domains of ours; the zero value says nothing of it.
type Arrival struct {
	Listener string `json:"listener,omitempty"` // its name in the configuration
	// TLS is the version, "1.3" and its like, "none" without; "" does not say, and nothing is judged.
	TLS string `json:"tls,omitempty"`
	// Bits is the strength of the cipher (0: 128), Group the key exchange ("": X25519).
	Bits  int    `json:"bits,omitempty"`
	Group string `json:"group,omitempty"`
	// Certificate is the chain that the client shows, PEM, its own first; "" shows none.
	Certificate string `json:"certificate,omitempty"`
}

// ExplainedArrival says what rules about incoming mail make of it, where others bring it. Our own clients, those who
// may relay, are none of their business.
type ExplainedArrival struct {
	Rules    []rules.RuleExplanation `json:"rules"`
	Requires policy.Level            `json:"requires"`
	Demands  []rules.Part            `json:"demands,omitempty"`
	// Relays says that the client that was named may relay: they are not asked about it.
	Relays bool `json:"relays,omitempty"`
	// Judged says that the request had a channel, and Refused what became of it; Reply is what the client would hear.
	Judged  bool            `json:"judged"`
	Refused bool            `json:"refused"`
	Reply   string          `json:"reply,omitempty"`
	Reasons []policy.Reason `json:"reasons,omitempty"`
	// Trials are rules on trial that would refuse it.
	Trials []string `json:"trials,omitempty"`
}

// versions are the names that mail.TLS has.
var versions = map[string]string{"1.0": "TLSv1", "1.1": "TLSv1.1", "1.2": "TLSv1.2", "1.3": "TLSv1.3"}

// roots finds the pools of trusts.
type roots func(trusts ...string) (map[string]*x509.CertPool, error)

// explainArrival answers for the recipients in domains of ours; nil where there are none, or no such rules. roots may
// be nil. relays says that the client may.
func explainArrival(set *rules.Set, r *ExplainRequest, f *rulematch.Facts, roots roots, relays bool) (
	*ExplainedArrival, error) {
	a := rules.Arrival{From: f.From, Client: f.Client, Somebody: f.Somebody,
		Listener: cmp.Or(r.Arrival.Listener, rulematch.AnyListener), Now: f.Now}
	for i, to := range f.Recipients {
		if i < len(f.Local) && f.Local[i] {
			a.To = append(a.To, to)
		}
	}
	client, err := r.Arrival.client(f.From.Domain, f.Client)
	if err != nil || len(a.To) == 0 || !set.HasInbound() {
		return nil, err
	}
	if relays {
		return &ExplainedArrival{Rules: []rules.RuleExplanation{}, Relays: true}, nil
	}
	e := set.ExplainArrival(&a)
	out := &ExplainedArrival{Rules: e.Rules, Requires: e.Requirement.Channel, Demands: e.Demands,
		Judged: r.Arrival.TLS != ""}
	if !out.Judged {
		return out, nil
	}
	judge := admission.Judge{Roots: roots, Revocation: unasked{}}
	got := judge.Judge(context.Background(), set.Terms(&a), client, nil)
	for _, t := range got.Trials {
		out.Trials = append(out.Trials, t.Rule)
	}
	if got.Refusal != nil {
		out.Refused, out.Reply = true, got.Refusal.Reply.String()
		for _, s := range got.Refusal.Shortfalls {
			if !slices.Contains(out.Reasons, s.Reason) {
				out.Reasons = append(out.Reasons, s.Reason)
			}
		}
	}
	return out, nil
}

// unasked is a look-up of revocation that asks nobody.
type unasked struct{}

func (unasked) Check(context.Context, [][]*x509.Certificate, []byte) policy.RevocationAnswer {
	return policy.RevocationAnswer{Status: policy.RevocationNotSaid, Detail: "nobody is asked to explain a rule"}
}

// client is what is shown.
func (a *Arrival) client(from mail.Domain, address netip.Addr) (*admission.Client, error) {
	c := &admission.Client{From: from, Name: address.String()}
	if a.TLS == "" || a.TLS == "none" {
		return c, nil
	}
	version, ok := versions[a.TLS]
	if !ok {
		return nil, access.BadRequest("TLS is none, 1.0, 1.1, 1.2 or 1.3")
	}
	c.TLS = &mail.TLS{Version: version, Cipher: "the cipher given", Bits: a.Bits, Group: a.Group,
		Client: &mail.ClientCertificate{}}
	if a.Bits == 0 {
		c.TLS.Bits = 128
	}
	if a.Group == "" {
		c.TLS.Group = "X25519"
	}
	for rest := []byte(a.Certificate); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, access.BadRequest("the certificate cannot be read")
		}
		c.Chain = append(c.Chain, cert)
	}
	if strings.TrimSpace(a.Certificate) != "" && len(c.Chain) == 0 {
		return nil, access.BadRequest("the certificate is no PEM")
	}
	if len(c.Chain) > 0 {
		*c.TLS.Client = mail.ClientCertificate{Presented: true, Subject: c.Chain[0].Subject.String()}
	}
	return c, nil
}
