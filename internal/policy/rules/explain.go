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
)

// Explanation is the answer of Explain.
type Explanation struct {
	Rules      []RuleExplanation      `json:"rules"`
	Recipients []RecipientExplanation `json:"recipients"`
}

// RuleExplanation says of one rule whether it matches and why.
type RuleExplanation struct {
	Rule    string             `json:"rule"`
	Line    int                `json:"line"`
	Mode    Mode               `json:"mode"`
	Matched bool               `json:"matched"`
	Skipped string             `json:"skipped,omitempty"` // why it was not looked at: disabled, expired
	Fields  []FieldExplanation `json:"fields,omitempty"`  // one for each condition of the rule
}

// FieldExplanation says of one condition whether it holds and why. Why may quote the message.
type FieldExplanation struct {
	Field   string `json:"field"` // the key, as in the rules file
	Matched bool   `json:"matched"`
	Why     string `json:"why"`
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
func (s *Set) Explain(f *Facts) Explanation {
	m := s.newMessage(f)
	var out Explanation
	var hits []hit
	live := 0
	for i := range s.rules {
		r := &s.rules[i]
		e := RuleExplanation{Rule: r.Name, Line: r.Line, Mode: r.Mode}
		switch {
		case r.Scope != Outbound:
			e.Skipped = "scope is " + string(r.Scope)
		case r.Expires.Over(f.Now):
			e.Skipped = "expired: " + r.Expires.String()
		}
		if r.Scope == Outbound {
			c := &s.live[live]
			live++
			if e.Skipped == "" {
				e.Fields = s.explainRule(c, m)
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
			r.Window = durationText(o.Window)
		}
		out.Recipients = append(out.Recipients, r)
	}
	return out
}

// explain judges the conditions of a rule one by one.
func (s *Set) explainRule(c *compiled, m *message) []FieldExplanation {
	out := s.explainConditions(c, m)
	if c.unless != nil {
		ok, why := s.explainException(c, m)
		out = append(out, FieldExplanation{"unless", ok, why})
	}
	return out
}

// explainConditions judges the keys of [rule.match] and domain.
func (s *Set) explainConditions(c *compiled, m *message) []FieldExplanation {
	var out []FieldExplanation
	say := func(field string, set, matched bool, why string) {
		if set {
			out = append(out, FieldExplanation{"match." + field, matched, why})
		}
	}
	match := &c.Match
	if c.domain != nil {
		out = append(out, FieldExplanation{"domain", c.domain.match(m), c.domain.explain(m)})
	}
	if c.sender != nil {
		which, ok := s.covering(match.Sender, match.Case, &m.from)
		why := because(m.From.String(), which, ok)
		if !ok {
			why += c.sender.NearMiss(&m.from.Address)
		}
		say("sender", true, ok, why)
	}
	named, why := s.explainRecipients(c, m)
	say("recipient", c.recipient != nil || !named, named, why)
	say("sender_ip", len(match.SenderIP) > 0, c.matchClient(m), c.explainClient(m))
	say("header", len(c.headers) > 0, c.matchHeader(m, c.headers), c.explainHeader(m, c.headers))
	say("subject", len(c.subjects) > 0, c.matchHeader(m, c.subjects), c.explainHeader(m, c.subjects))
	say("attachment", len(c.attachments) > 0, c.matchHeader(m, c.attachments), c.explainHeader(m, c.attachments))
	say("body", len(c.bodies) > 0, c.matchHeader(m, c.bodies), c.explainHeader(m, c.bodies))
	say("size_over", match.SizeOver > 0, c.matchSize(m),
		fmt.Sprintf("the message has %d bytes, the limit is %d", m.Size, match.SizeOver))
	say("recipients_over", match.RecipientsOver > 0, c.matchCount(m),
		fmt.Sprintf("the message has %d recipients, the limit is %d", len(m.recipients), match.RecipientsOver))
	return out
}

// because says whether a value, quoted, covers an address.
func because(what, value string, ok bool) string {
	if what == "" {
		what = "<>"
	}
	if !ok {
		return fmt.Sprintf("no value covers %s", what)
	}
	return value + " covers " + what
}

func (s *Set) explainRecipients(c *compiled, m *message) (ok bool, why string) {
	var covered, own, missed []string
	local := 0
	for i := range m.recipients {
		to := m.Recipients[i].String()
		value, fits := "", c.recipient == nil
		if !fits {
			value, fits = s.coveringValue(c, &m.recipients[i])
		}
		switch {
		case m.local(i):
			if local++; fits && c.recipient != nil {
				own = append(own, value+" covers "+to+", but its domain is our own, which outbound rules are not about")
			}
		case fits && c.recipient == nil:
			covered = append(covered, to)
		case fits:
			covered = append(covered, because(to, value, true))
		default:
			if near := c.recipient.NearMiss(&m.recipients[i].Address); near != "" {
				missed = append(missed, because(to, "", false)+near)
			}
		}
	}
	why = strings.Join(slices.Concat(covered, own, missed), "; ")
	switch {
	case len(covered) > 0:
		return true, why
	case len(m.recipients) == local:
		return false, strings.Join(append([]string{"no recipient is outside our own domains"}, own...), "; ")
	case why != "":
		return false, why
	}
	return false, "no value covers any recipient"
}

// coveringValue returns the first value of recipient that covers the address, or the key literals.
func (s *Set) coveringValue(c *compiled, p *party) (value string, ok bool) {
	if value, ok = s.covering(c.Match.Recipient, c.Match.Case, p); !ok && c.recipient.match(p) {
		return `"literals = true"`, true
	}
	return value, ok
}

func (c *compiled) explainClient(m *message) string {
	for _, network := range c.Match.SenderIP {
		if network.Contains(m.client) {
			return fmt.Sprintf("%s lies in %s", m.Client, network)
		}
	}
	if !m.Client.IsValid() {
		return "the client's address is not known"
	}
	return fmt.Sprintf("%s lies in none of the networks", m.Client)
}

func (c *compiled) explainHeader(m *message, conditions []headerCondition) string {
	if len(conditions) > 0 && m.cut(conditions[0].field) {
		return "the header is too large to be read in full, which counts as a match"
	}
	for i := range conditions {
		h := &conditions[i]
		switch v := m.fittingValue(h, c.Match.Case); {
		case v == nil:
		case h.exists:
			return "there is a field " + m.fields[h.field]
		case v.Doubt != "":
			return saidField(m.fields[h.field]) + " " + v.Doubt
		default:
			return fmt.Sprintf("%s: %s fits %s", strings.TrimPrefix(m.fields[h.field], ":"),
				tomlfile.Quote(tomlfile.Clip(v.Exact)), tomlfile.Quote(h.pattern.Source))
		}
	}
	return "no value fits"
}

// parts takes the joined requirement of recipient i apart again: every demand with the rules that make it. A demand
// another rule outbids, such as a longer window, is not listed.
func parts(hits []hit, to []mail.Address, i int) []Part {
	enforced := demands(hits, to, i, Enforce)
	return append(enforced, demands(hits, to, i, Test)...)
}

func demands(hits []hit, to []mail.Address, i int, mode Mode) []Part {
	var out []Part
	var own []hit
	var all []policy.Requirement
	var window time.Duration
	for _, h := range hits {
		if h.rule.Mode != mode || h.roles[i] == untouched || !h.rule.demands() {
			continue
		}
		own = append(own, h)
		all = append(all, h.rule.effect(h.roles[i]).requirement)
		if w := h.rule.ForceTLS.Defer; h.roles[i] != unforced && (window == 0 || w < window) {
			window = w
		}
	}
	total := policy.Combine(all...)
	add := func(demand string, by string) {
		n := slices.IndexFunc(out, func(p Part) bool { return p.Demand == demand })
		if n < 0 {
			out, n = append(out, Part{Demand: demand, Test: mode == Test}), len(out)
		}
		out[n].Rules = append(out[n].Rules, by)
	}
	for n, h := range own {
		for _, demand := range demandTexts(all[n], total) {
			add(demand, h.rule.Name)
		}
		if h.roles[i] != unforced && h.rule.ForceTLS.Defer == window {
			add("window "+durationText(window), h.rule.Name)
		}
		if h.roles[i] == tainted {
			add("because "+h.firstNamed(to)+" is named; with the box \""+Box+"\" ticked, this rule would not force it",
				h.rule.Name)
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
