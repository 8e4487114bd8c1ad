package rules

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"time"

	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/policy/rule"
	"postern/internal/policy/rulematch"
	"postern/internal/policy/rulevalue"
)

// Explanation is the answer of Explain.
type Explanation struct {
	Rules      []RuleExplanation      `json:"rules"`
	Recipients []RecipientExplanation `json:"recipients"`
}

// RuleExplanation says of one rule whether it matches and why.
type RuleExplanation struct {
	Rule    string                       `json:"rule"`
	Line    int                          `json:"line"`
	Mode    rule.Mode                    `json:"mode"`
	Matched bool                         `json:"matched"`
	Skipped string                       `json:"skipped,omitempty"` // why it was not looked at: disabled, expired
	Fields  []rulematch.FieldExplanation `json:"fields,omitempty"`  // one for each condition of the rule
}

// RecipientExplanation says what one recipient's requirement is and which rules ask for each part of it.
type RecipientExplanation struct {
	Recipient string `json:"recipient"`
	Outcome
	Window string `json:"window,omitempty"` // Outcome.Window as in a rules file
	Parts  []Part `json:"parts,omitempty"`
	// Does is what rules do with the mail, in words, and what they would do and do not.
	Does []Step `json:"does,omitempty"`
}

// Part is one demand and the rules that make it, by name. Test marks demands of rules under test.
type Part struct {
	Demand string   `json:"demand"`
	Rules  []string `json:"rules"`
	Test   bool     `json:"test,omitempty"`
}

// Explain says which rules match a message and why, and what each recipient's requirement is and which rule asks for
// it. It decides as Evaluate does, but looks at every rule.
func (s *Set) Explain(f *rulematch.Facts) Explanation {
	m := s.reader.Message(f)
	var out Explanation
	var hits []hit
	live := 0
	for i := range s.rules {
		r := &s.rules[i]
		e := RuleExplanation{Rule: r.Name, Line: r.Line, Mode: r.Mode}
		switch {
		case r.Scope != rule.Outbound:
			e.Skipped = "scope is " + string(r.Scope)
		case r.Expires.Over(f.Now):
			e.Skipped = "expired: " + r.Expires.String()
		}
		if r.Scope == rule.Outbound {
			c := &s.live[live]
			live++
			if e.Skipped == "" {
				e.Fields = c.when.Explain(m)
				h, ok := c.match(m)
				if e.Matched = ok; ok {
					hits = append(hits, h)
				}
			}
		}
		out.Rules = append(out.Rules, e)
	}
	for i, o := range s.evaluate(m).Recipients {
		r := RecipientExplanation{Recipient: f.Recipients[i].String(), Outcome: o, Parts: parts(hits, f.Recipients, i),
			Does: steps(hits, i)}
		if o.Window > 0 {
			r.Window = rulevalue.DurationText(o.Window)
		}
		out.Recipients = append(out.Recipients, r)
	}
	return out
}

// parts takes the joined requirement of recipient i apart again: every demand with the rules that make it. A demand
// another rule outbids, such as a longer window, is not listed.
func parts(hits []hit, to []mail.Address, i int) []Part {
	enforced := demands(hits, to, i, rule.Enforce)
	return append(enforced, demands(hits, to, i, rule.Test)...)
}

func demands(hits []hit, to []mail.Address, i int, mode rule.Mode) []Part {
	var out []Part
	var own []hit
	var all []policy.Requirement
	var window time.Duration
	for _, h := range hits {
		if h.rule.Mode != mode || h.roles[i] == rule.Untouched || !h.rule.Demands() {
			continue
		}
		own = append(own, h)
		all = append(all, h.rule.effect(h.roles[i]).requirement)
		if w := h.rule.ForceTLS.Defer; h.roles[i] != rule.Unforced && (window == 0 || w < window) {
			window = w
		}
	}
	total := policy.Combine(all...)
	add := func(demand string, by string) {
		n := slices.IndexFunc(out, func(p Part) bool { return p.Demand == demand })
		if n < 0 {
			out, n = append(out, Part{Demand: demand, Test: mode == rule.Test}), len(out)
		}
		out[n].Rules = append(out[n].Rules, by)
	}
	for n, h := range own {
		for _, demand := range demandTexts(all[n], total) {
			add(demand, h.rule.Name)
		}
		if h.roles[i] != rule.Unforced && h.rule.ForceTLS.Defer == window {
			add("window "+rulevalue.DurationText(window), h.rule.Name)
		}
		if h.roles[i] == rule.Tainted {
			add(fmt.Sprintf("because %s is named; with the box \"%s\" ticked, this rule would not force it",
				h.firstNamed(to), rule.Box), h.rule.Name)
		}
	}
	return out
}

// demandTexts lists what r adds to total: on an ordered axis only where it is as high.
func demandTexts(r, total policy.Requirement) []string {
	var out []string
	if r.Channel == policy.Plaintext {
		if total.Channel == policy.Plaintext {
			out = append(out, "ladder from authenticated TLS down, nothing forced")
		}
		return out
	}
	out = append(out, "channel "+r.Channel.String())
	for _, d := range r.Peer {
		out = append(out, "peer proven by "+demandText(d))
	}
	if text := mxText(r); r.MX == total.MX && text != "" {
		out = append(out, text)
	}
	if r.MinTLS == total.MinTLS {
		out = append(out, versionText(r.MinTLS))
	}
	out = append(out, strengthTexts(r)...)
	if r.WithoutTLS == total.WithoutTLS {
		out = append(out, "without TLS "+map[policy.WithoutTLS]string{policy.WithoutTLSDefer: "defer",
			policy.WithoutTLSReject: "reject"}[r.WithoutTLS])
	}
	return out
}

func versionText(floor uint16) string {
	return "TLS " + strings.TrimPrefix(tls.VersionName(floor), "TLS ") + " or later"
}

// Adds lists what a mail host's own demand on a channel adds to what is demanded anyway; nothing where that is as much.
func Adds(anyway, host policy.Requirement) (out []string) {
	both := anyway.With(host)
	if both.Channel > anyway.Channel {
		out = append(out, "channel "+both.Channel.String())
	}
	for _, d := range host.Peer {
		if !slices.ContainsFunc(anyway.Peer,
			func(has policy.PeerDemand) bool { return demandText(has) == demandText(d) }) ||
			anyway.Channel < policy.Authenticated {
			out = append(out, "peer proven by "+demandText(d))
		}
	}
	return out
}

// mxText says what r asks of the name of the mail host, "" when nothing.
func mxText(r policy.Requirement) string {
	switch {
	case !r.TrustsMXName():
	case r.MX == policy.MXPinned:
		return "name of the MX host known since the first use, or proven"
	case r.MX == policy.MXProven:
		return "name of the MX host proven"
	}
	return ""
}

func demandText(d policy.PeerDemand) string {
	if !d.OnChain() {
		return "a TLSA record of the mail host (DANE)"
	}
	text := "trust " + d.Trust
	switch {
	case d.Names.MX:
		text += ", name of the MX host"
	case d.Names.Domain:
		text += ", name of the recipient domain"
	default:
		text += ", name " + strings.Join(d.Names.List, " or ")
	}
	if len(d.Pins) > 0 {
		text += ", pin " + strings.Join(d.Pins, " or ")
	}
	if d.By == policy.ByEither {
		text += "; or by a TLSA record of the mail host (DANE)"
	}
	return text
}
