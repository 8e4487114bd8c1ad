package rules

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"time"

	"postern/internal/mail"
	"postern/internal/platform/tomlfile"
	"postern/internal/policy"
	"postern/internal/policy/pattern"
	"postern/internal/policy/rule"
)

// minVersion is the oldest that is not broken.
const minVersion = tls.VersionTLS12

// Warning is something an administrator should know about a rule that is valid.
type Warning struct {
	Rule string `json:"rule"`
	Line int    `json:"line"`
	Text string `json:"text"`
	Hint string `json:"hint,omitempty"`
	// Narrow is Hint for an account that is limited to domains, "" where it may do what Hint says.
	Narrow string `json:"-"`
}

// Only is the set as if it had no other rules than these; lists and exceptions stay out.
func (s *Set) Only(these func(r *rule.Rule) bool) *Set {
	var own []rule.Rule
	for i := range s.rules {
		if these(&s.rules[i]) {
			own = append(own, s.rules[i])
		}
	}
	return compile(own, s.lists...)
}

// warnBefore is how long before a rule expires its warning begins.
const warnBefore = 30 * 24 * time.Hour

// Warnings lists what is worth a second look, in the order of the file: protection that has ended or ends within 30
// days, conditions that cover more or less than they seem to, and choices that prove little. own are the domains of our
// own servers, which outbound rules are not about.
func (s *Set) Warnings(now time.Time, own ...mail.Domain) []Warning {
	var out []Warning
	o := pattern.NewOwnDomains(own)
	for i := range s.live {
		c := &s.live[i]
		for _, w := range slices.Concat(expiryWarnings(c.Rule, now), warnings(c.Rule), unlessWarnings(c.Rule),
			s.senderWarnings(c), c.ownWarnings(o)) {
			w.Rule, w.Line = c.Name, c.Line
			out = append(out, w)
		}
	}
	for i := range s.inbound.list {
		c := &s.inbound.list[i]
		for _, w := range slices.Concat(expiryWarnings(c.Rule, now), c.inboundWarnings(), valueWarnings(c.Rule)) {
			w.Rule, w.Line = c.Name, c.Line
			out = append(out, w)
		}
	}
	return slices.Concat(out, s.literalWarnings(), s.listWarnings(), s.exceptionWarnings(now))
}

func expiryWarnings(r *rule.Rule, now time.Time) []Warning {
	switch e := r.Expires; {
	case e.Over(now):
		return []Warning{{Text: fmt.Sprintf("expired (%s): it protects nothing any more", e),
			Hint: "give it a later date, or remove it"}}
	case !e.IsZero() && e.At.Sub(now) <= warnBefore && r.Mode == rule.Enforce:
		return []Warning{{Text: fmt.Sprintf("expires (%s): its protection ends then", e),
			Hint: "give it a later date, or none"}}
	}
	return nil
}

func warnings(r *rule.Rule) []Warning {
	var out []Warning
	add := func(text, hint string) { out = append(out, Warning{Text: text, Hint: hint}) }
	m, f := r.Match, r.ForceTLS
	if len(r.Conditions()) == 0 && len(r.Domain) == 0 {
		what := "is about"
		if r.Demands() {
			what = "forces TLS for"
		}
		add("has no condition: it "+what+" all outbound mail", "add [rule.match] where that is not meant")
	}
	if f.Unspecified == rule.UnspecifiedOpportunistic && len(m.Recipient) == 0 {
		add("unspecified_recipients has no effect: without recipient the rule names every recipient",
			"add recipient, or leave it out")
	}
	if r.Below && len(r.Domain) == 0 {
		add("below has no effect: without domain the rule is about everybody's mail",
			"add domain, or leave it out")
	}
	if m.Literals && len(m.Recipient) == 0 {
		add("literals has no effect: without recipient the rule names every recipient",
			"add recipient, or leave it out")
	}
	if len(r.Ways()) > 0 && (f.Names.Domain || f.Proof == policy.ByTLSA) {
		add("otherwise sends mail to a route under the same demands, and few servers but the recipient's own can meet "+
			"these",
			"see that the route's server can, or write names = \"mx\" and proof = \"certificate\"")
	}
	if f.MinTLS < minVersion {
		add("min_tls below 1.2 accepts connections that can be broken",
			"write min_tls = \"1.2\" as soon as the other side can do it")
	}
	return append(out, valueWarnings(r)...)
}

// valueWarnings are about values of sender and recipient that cover others than they seem to.
func valueWarnings(r *rule.Rule) []Warning {
	var out []Warning
	add := func(text, hint string) { out = append(out, Warning{Text: text, Hint: hint}) }
	for _, value := range slices.Concat(r.Match.Sender, r.Match.Recipient, r.Unless.Sender, r.Unless.Recipient) {
		if !strings.ContainsAny(value, ".@:*?<[\u3002\uff0e\uff61") {
			add(fmt.Sprintf("%s is a domain without a dot, and no person", tomlfile.Quote(value)),
				fmt.Sprintf("write %s to mean a person", tomlfile.Quote(value+"@example.com")))
		}
		if expr, ok := strings.CutPrefix(value, "re:"); ok && !strings.HasPrefix(expr, "^") {
			add(fmt.Sprintf("%s is searched anywhere in the address", tomlfile.Quote(value)),
				"begin with ^ and end with $ to mean the whole address")
		}
		if strings.HasPrefix(value, "*") && strings.Contains(value, ".") && !strings.HasPrefix(value, "*.") &&
			!strings.Contains(value, "@") {
			add(fmt.Sprintf("%s also covers other domains that end so", tomlfile.Quote(value)),
				fmt.Sprintf("write %s and %s",
					tomlfile.Quote(strings.TrimLeft(value, "*")), tomlfile.Quote("*."+strings.TrimLeft(value, "*"))))
		}
	}
	return out
}

// unlessWarnings are about exceptions that a user or a stranger can bring about by what he writes.
func unlessWarnings(r *rule.Rule) []Warning {
	if !r.Excepts() {
		return nil
	}
	for _, set := range r.ConditionsIn(rule.ExceptionWord) {
		switch strings.TrimPrefix(set.Key, rule.ExceptionWord) {
		case "header", "subject", "attachment", "body", "size_over", "recipients_over":
		default:
			return nil
		}
	}
	return []Warning{{
		Text: "an exception asks for nothing but what stands in the message: whoever writes it can take the rule away",
		Hint: "add sender, sender_ip or recipient to [rule.unless], or leave it out",
	}}
}
