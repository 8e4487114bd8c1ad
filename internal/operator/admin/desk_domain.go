package admin

import (
	"context"
	"slices"
	"strings"

	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/policy"
)

// DomainRules says which rules are about mail of a domain, by whose mail it is, and what they leave out.
type DomainRules struct {
	Domain string
	// Rules are the names of those that are about some of Mail, in the order of the file, disabled ones not.
	Rules []string
	Mail  []DomainMail
}

// DomainMail is one way in which mail is a domain's, and what becomes of it where no rule names its recipient and it
// has nothing else that rules look at.
type DomainMail struct {
	What     string
	Requires policy.Level
	Rules    []string // that demand it
}

// aDomain reads what somebody wrote for a domain; no address literal is one.
func aDomain(text string) (mail.Domain, bool) {
	domain, err := mail.ParseDomain(strings.TrimSpace(text))
	_, literal := domain.Literal()
	return domain, err == nil && !literal
}

// RulesOf asks, as Explain does, what the rules in force say of mail of a domain. It is for who sees all rules.
func (d *Desk) RulesOf(ctx context.Context, name string) (DomainRules, error) {
	domain, ok := aDomain(name)
	if !ok {
		return DomainRules{}, access.BadRequest("%q is no domain", name)
	}
	at := "@" + domain.String()
	from := func(who string) []byte { return []byte("From: " + who + "\r\nSubject: mail\r\n\r\n") }
	asked := []struct {
		what string
		ExplainRequest
	}{
		{"from an address in it", ExplainRequest{From: "somebody" + at, Header: from("somebody" + at)}},
		{"from an address below it", ExplainRequest{From: "somebody@below." + domain.String(),
			Header: from("somebody@below." + domain.String())}},
		{"with its address in the header, from another sender", ExplainRequest{From: "list@elsewhere.invalid",
			Header: from("somebody" + at)}},
		{"reports without a sender (<>) by its own servers and users", ExplainRequest{From: "<>", Header: from(
			"postmaster" + at), User: "somebody" + at, Bound: []string{domain.String()}}},
	}
	out := DomainRules{Domain: domain.String()}
	about := map[string]bool{}
	var order []string
	for _, a := range asked {
		a.To, a.Offline = []string{"somebody@elsewhere.invalid"}, true
		e, err := d.Explain(ctx, a.ExplainRequest)
		if err != nil {
			return out, err
		}
		order = order[:0]
		for _, r := range e.Rules {
			order = append(order, r.Rule)
			others := false // it is not about such mail
			for _, f := range r.Fields {
				others = others || !f.Matched && slices.Contains([]string{"domain", "match.sender"}, f.Field)
			}
			about[r.Rule] = about[r.Rule] || r.Skipped == "" && !others
		}
		for _, to := range e.Recipients {
			out.Mail = append(out.Mail, DomainMail{a.what, to.Requires, to.Rules})
		}
	}
	for _, name := range order {
		if about[name] {
			out.Rules = append(out.Rules, name)
		}
	}
	return out, nil
}
