package scope

import (
	"context"
	"slices"
	"strings"

	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/policy/rule"
)

// Owns reports whether a rule is about nothing but the scope.
func (a *Asker) Owns(r *rule.Rule) bool { return len(a.Beyond(r)) == 0 }

// Beyond says at which fields a rule is about more than the scope: it must name senders, and each must be a plain
// address or domain in the scope. That a message is the mail of a domain is not enough: it is that by its header too,
// whoever sends it, and by a header that nobody can read.
func (a *Asker) Beyond(r *rule.Rule) (out []access.Fault) {
	if a.Scope.All {
		return nil
	}
	only := "your account may write rules for senders within " + a.domains() + " only"
	what := a.SenderAdvice()
	switch outside := slices.IndexFunc(r.Match.Sender, func(value string) bool { return !a.within(value) }); {
	case outside >= 0:
		return []access.Fault{{Field: "match.sender", What: only + ", and " + r.Match.Sender[outside] + " is not: " +
			notWithin(r.Match.Sender[outside]), Hint: what}}
	case len(r.Match.Sender) == 0 && len(r.Domain) > 0:
		return []access.Fault{{Field: "domain", What: "a message is the mail of a domain by its header too, whoever " +
			"sends it, so that this would be about mail of others; " + only,
			Hint: "name senders within " + a.domains() + " besides: then both must hold"}}
	case len(r.Match.Sender) == 0:
		return []access.Fault{{Field: "match.sender", What: only, Hint: what}}
	}
	return nil
}

// SenderAdvice says what an account that is limited to domains may write as a sender.
func (a *Asker) SenderAdvice() string {
	return "write addresses in " + a.domains() + ", or a domain as it stands here"
}

// domains are those of the scope, for people.
func (a *Asker) domains() string {
	var names []string
	for _, d := range a.Scope.Domains {
		names = append(names, d.String())
	}
	return mail.AtMost(names, 5, ", ")
}

// within reports whether a value of sender covers nobody outside the scope: an address, or a pattern of addresses in
// one domain, or a domain.
func (a *Asker) within(value string) bool {
	if strings.HasPrefix(value, rule.ExpressionWord) || strings.HasPrefix(value, rule.ListWord) {
		return false
	}
	if at := strings.LastIndexByte(value, '@'); at >= 0 {
		value = value[at+1:]
	}
	return !strings.ContainsAny(value, "*?:") && a.CoversName(value)
}

// notWithin says why a value of sender is outside any scope.
func notWithin(value string) string {
	switch {
	case value == "<>":
		return "everybody's bounces come from there"
	case strings.HasPrefix(value, rule.ExpressionWord), strings.HasPrefix(value, rule.ListWord):
		return "it may cover anybody"
	case strings.HasPrefix(value, "*."):
		return "what lies below a domain is not in it"
	}
	return "it covers others"
}

// Hears reports whether the principal is told of a rule: it is about nothing but the scope, or about the mail of
// domains that are all in the scope, whoever sends it.
func (a *Asker) Hears(r *rule.Rule) bool {
	outside := func(d mail.Domain) bool { return !a.Scope.Covers(d) }
	return a.Owns(r) || len(r.Match.Sender) == 0 && len(r.Domain) > 0 && !r.Below &&
		!slices.ContainsFunc(r.Domain, outside)
}

// RuleList lists the rules in force that the principal is told of, in the order of the file.
func (a *Asker) RuleList(context.Context) ([]rule.Rule, error) {
	if err := a.Need(access.ReadRules); err != nil {
		return nil, err
	}
	return a.rules()
}

// RuleNames are the names of the rules that the principal is told of.
func (a *Asker) RuleNames() (map[string]bool, error) {
	names := map[string]bool{}
	list, err := a.rules()
	for i := range list {
		names[list[i].Name] = true
	}
	return names, err
}

func (a *Asker) rules() (out []rule.Rule, err error) {
	set, _, err := a.cfg.Rules.Current()
	if err != nil {
		return nil, err
	}
	for _, r := range set.Rules() {
		if a.Hears(&r) {
			out = append(out, r)
		}
	}
	return out, nil
}
