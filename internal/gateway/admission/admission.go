package admission

import (
	"context"
	"crypto/x509"
	"slices"
	"strings"
	"time"

	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/policy/certcheck"
	"postern/internal/policy/rule"
	"postern/internal/policy/rules"
	"postern/internal/smtp"
)

// Revocation finds out whether certificates were revoked. *revoke.Checker is one.
type Revocation interface {
	Check(ctx context.Context, chains [][]*x509.Certificate, staple []byte) policy.RevocationAnswer
}

// Judge judges clients. It is safe for concurrent use.
type Judge struct {
	// Roots are the pools of trusts; one that cannot be read is missing, and proves nothing. nil has none.
	Roots func(trusts ...string) (map[string]*x509.CertPool, error)
	// Revocation finds out about revocation; nil never knows.
	Revocation Revocation
	// Wait is how long it may take (0: 10 s).
	Wait time.Duration
	// Contact is whom a client that is refused may ask; "" names nobody.
	Contact string
}

// Client is what a client shows.
type Client struct {
	// From is the envelope sender's domain; zero of the null sender.
	From mail.Domain
	// Name is the client as people know it: its address.
	Name string
	// TLS is nil without TLS, and Chain the certificates that it showed, leaf first.
	TLS   *mail.TLS
	Chain []*x509.Certificate
}

// Judgement is what the rules make of a client.
type Judgement struct {
	// Rules are those that are enforced and apply, and Requirement what they demand together.
	Rules       []string
	Requirement policy.Requirement
	// Evidence is what the session reached.
	Evidence policy.Evidence
	// Refusal is nil for a client that may go on.
	Refusal *Refusal
	// Trials are rules on trial that would have refused.
	Trials []Trial
}

// Refusal is why a client may not go on.
type Refusal struct {
	Rules      []string // of which it falls short
	Shortfalls []policy.Shortfall
	// Later says that the client may try again: 451 and not 550.
	Later bool
	Reply smtp.Reply
}

// Trial is what fell short of a rule on trial.
type Trial struct {
	Rule      string
	Shortfall policy.Shortfall // the first
}

// Judge judges a client by what the rules demand of it. slow is called before it may take its time; nil is not.
func (j *Judge) Judge(ctx context.Context, terms []rules.Term, c *Client, slow func()) Judgement {
	var out Judgement
	var enforced, all []policy.Requirement
	for i := range terms {
		all = append(all, terms[i].Requirement)
		if !terms[i].Test {
			enforced = append(enforced, terms[i].Requirement)
			out.Rules = append(out.Rules, terms[i].Rule)
		}
	}
	out.Requirement = policy.Combine(enforced...)
	in, demanded := j.input(c, policy.Combine(all...))
	out.Evidence = c.evidence(in, demanded)
	j.lookUp(ctx, out.Requirement, in, &out.Evidence, slow)
	for i := range terms {
		if t := &terms[i]; t.Test {
			if short := policy.Verdict(asked(t.Requirement, &out.Evidence), out.Evidence); len(short) > 0 {
				out.Trials = append(out.Trials, Trial{t.Rule, short[0]})
			}
		}
	}
	if short := policy.Verdict(out.Requirement, out.Evidence); len(short) > 0 {
		out.Refusal = j.refusal(terms, c, &out, short)
	}
	return out
}

// input is what the examination of the client's certificates depends on; demanded is false where no certificate is.
func (j *Judge) input(c *Client, r policy.Requirement) (in certcheck.Input, demanded bool) {
	in = certcheck.Input{Chain: c.Chain, Client: true, Domain: c.From, Now: time.Now()}
	if r.Channel < policy.Authenticated {
		return in, false
	}
	in.Demands = r.ChainDemands()
	var trusts []string
	for _, d := range in.Demands {
		trusts = append(trusts, d.Trust)
	}
	if j.Roots != nil {
		in.Roots, _ = j.Roots(trusts...) // what cannot be read is missing
	}
	return in, true
}

// evidence is what the session reached.
func (c *Client) evidence(in certcheck.Input, demanded bool) policy.Evidence {
	if c.TLS == nil {
		return policy.Evidence{}
	}
	var e policy.Evidence
	switch {
	case demanded && c.TLS.Client == nil && len(c.Chain) == 0:
		e.Peers = map[string]policy.Proof{}
		for _, d := range in.Demands {
			e.Peers[d.Key()] = policy.Proof{Shortfalls: []policy.Shortfall{{Reason: policy.PolicyUnavailable,
				Text: "this connection began before a certificate was asked for; connect again"}}}
		}
	case demanded:
		e = certcheck.Examine(in)
	}
	e.TLS, e.TLSVersion = c.TLS, smtp.TLSVersion(c.TLS.Version)
	return e
}

// lookUp asks whether the certificates that prove what is enforced were revoked.
func (j *Judge) lookUp(ctx context.Context, r policy.Requirement, in certcheck.Input, e *policy.Evidence, slow func()) {
	rest := r
	rest.Revocation = policy.RevocationOff
	if r.Channel < policy.Authenticated || r.Revocation == policy.RevocationOff || len(policy.Verdict(rest, *e)) > 0 {
		return
	}
	if j.Revocation == nil {
		e.SetRevocation(policy.RevocationAnswer{Status: policy.RevocationNotSaid, Detail: "nobody can be asked"},
			in.Now)
		return
	}
	if slow != nil {
		slow()
	}
	wait := j.Wait
	if wait == 0 {
		wait = 10 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	var said policy.RevocationAnswer
	for _, d := range r.ChainDemands() {
		said = said.And(j.Revocation.Check(ctx, certcheck.Chains(in, d), nil))
	}
	e.SetRevocation(said, in.Now)
}

// asked is r without what nobody asked about.
func asked(r policy.Requirement, e *policy.Evidence) policy.Requirement {
	if e.Revocation == "" {
		r.Revocation = policy.RevocationOff
	}
	return r
}

// refusal is what becomes of a client that falls short of what is demanded together.
func (j *Judge) refusal(terms []rules.Term, c *Client, g *Judgement, short []policy.Shortfall) *Refusal {
	out := &Refusal{Shortfalls: short, Later: slices.ContainsFunc(short, undecided)}
	for i := range terms {
		t := &terms[i]
		if t.Test || len(policy.Verdict(t.Requirement, g.Evidence)) == 0 {
			continue
		}
		out.Rules = append(out.Rules, t.Rule)
		out.Later = out.Later || t.Refuse != rule.RefuseReject
	}
	if len(out.Rules) == 0 { // none alone, all together
		out.Rules, out.Later = g.Rules, true
	}
	out.Reply = j.reply(c, g.Requirement, out)
	return out
}

// undecided reports whether something fell short because it could not be found out.
func undecided(s policy.Shortfall) bool {
	return s.Reason == policy.PolicyUnavailable || s.Reason == policy.RevocationUnknown
}

// encryptionNeeded is the status of a client without TLS (X.7.10 of the registry of enhanced status codes).
const encryptionNeeded = "7.10"

// reply tells the other side what was missing, what it showed and whom to ask. The names of rules are ours.
func (j *Judge) reply(c *Client, r policy.Requirement, f *Refusal) smtp.Reply {
	reason := f.Shortfalls[0].Reason
	status := reason.Info().Status
	if reason == policy.StartTLSNotOffered {
		status = encryptionNeeded
	}
	code, class := 550, "5."
	if f.Later {
		code, class = 451, "4."
	}
	var short []string
	for _, s := range f.Shortfalls[:min(len(f.Shortfalls), 3)] {
		short = append(short, s.Text)
	}
	if c.TLS == nil {
		short = []string{"say STARTTLS before MAIL"}
	}
	ask := "the reason is " + string(reason)
	if j.Contact != "" {
		ask = "ask " + j.Contact + "; " + ask
	}
	return smtp.Reply{Code: code, Status: class + status, Lines: []string{
		line(sender(c) + " is taken only over " + Wanted(r, c.From)),
		line("this connection has " + Shown(c) + ": " + strings.Join(short, "; ")),
		line(ask),
	}}
}

func sender(c *Client) string {
	if c.From.IsZero() {
		return "mail of the null sender from " + c.Name
	}
	return "mail from " + c.From.String()
}

// line is a text as a line of a reply.
func line(s string) string { return smtp.PrintableASCII(s, 400) }
