package rules

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"postern/internal/mail"
	"postern/internal/policy"
)

// What follows are the rules about mail that others bring for domains of our own. They are judged before the content:
// by the envelope sender, the client's address and the listener at MAIL, and with the recipient at RCPT. What a message
// says of itself (header From) is not looked at, for it comes later and anybody may write it.
//
// Demands of several rules are joined, as those on outgoing mail are; the order of the file decides nothing.

// Arrival is what is known of mail while it comes in.
type Arrival struct {
	From mail.Address // envelope sender, the zero Address for "<>"
	// To are the recipients in question; none at MAIL, where rules with a recipient condition cannot hold yet.
	To       []mail.Address
	Client   netip.Addr
	Listener string // its name in the configuration
	Now      time.Time
}

// Term is what one rule demands of the client that brings mail. It shares memory with the Set: treat it as read-only.
type Term struct {
	Rule        string
	Requirement policy.Requirement
	Refuse      Refuse
	// Test says that the rule is on trial: what falls short is recorded, and the mail comes in.
	Test bool
}

// inboundRules are the rules about incoming mail, compiled.
type inboundRules struct {
	list  []compiled
	terms []Term // of list
	index index
}

func (c *compiler) inbound(rules []Rule) inboundRules {
	var out inboundRules
	for i := range rules {
		r := &rules[i]
		if r.Scope != Inbound {
			continue
		}
		out.list = append(out.list, compiled{Rule: r, expires: r.Expires.At, networks: r.Match.SenderIP,
			position:  int32(len(out.list)),
			sender:    c.addresses(r.Match.Sender, r.Match.Case),
			recipient: c.addresses(r.Match.Recipient, r.Match.Case), unless: c.exception(r)})
		out.terms = append(out.terms, Term{r.Name, r.RequireTLS.requirement(), r.RequireTLS.Refuse, r.Mode == Test})
	}
	out.index = newIndex(out.list, 0)
	return out
}

// AsksClients reports whether a rule in force, or on trial, wants to see certificates of clients.
func (s *Set) AsksClients() bool {
	return s != nil && slices.ContainsFunc(s.inbound.terms,
		func(t Term) bool { return t.Requirement.Channel >= policy.Authenticated })
}

// HasInbound reports whether there are rules about incoming mail.
func (s *Set) HasInbound() bool { return s != nil && len(s.inbound.list) > 0 }

// Terms returns what the rules demand of a client that brings mail, in the order of the file. It is safe for concurrent
// use.
func (s *Set) Terms(a *Arrival) (out []Term) {
	if !s.HasInbound() {
		return nil
	}
	m := s.arriving(a)
	for i := range s.inbound.index.find(m).All {
		if s.inbound.list[i].admits(m, a.Listener) {
			out = append(out, s.inbound.terms[i])
		}
	}
	return out
}

func (s *Set) arriving(a *Arrival) *message {
	return s.newMessage(&Facts{From: a.From, Recipients: a.To, Client: a.Client, Now: a.Now})
}

// admits reports whether the rule is about this arrival.
func (c *compiled) admits(m *message, listener string) bool {
	return (c.expires.IsZero() || m.Now.Before(c.expires)) && c.matchClient(m) && c.matchListener(listener) &&
		(c.sender == nil || c.sender.match(&m.from)) && (c.recipient == nil || c.matchAnyRecipient(m)) &&
		!c.leavesOut(m, listener)
}

// leavesOut reports whether the exceptions of the rule surely hold for this arrival, and for all recipients that are
// known of it.
func (c *compiled) leavesOut(m *message, listener string) bool {
	if c.unless == nil || !c.excepted(m) || !c.unless.matchListener(listener) {
		return false
	}
	for i := range m.recipients {
		if !c.leaves(&m.recipients[i]) {
			return false
		}
	}
	return true
}

func (c *compiled) matchListener(listener string) bool {
	return len(c.Match.Listener) == 0 || slices.Contains(c.Match.Listener, listener)
}

func (c *compiled) matchAnyRecipient(m *message) bool {
	for i := range m.recipients {
		if c.recipient.match(&m.recipients[i]) {
			return true
		}
	}
	return false
}

// ArrivalExplanation is the answer of ExplainArrival.
type ArrivalExplanation struct {
	Rules []RuleExplanation `json:"rules"`
	// Requirement is what the rules that match and are enforced demand together, Demands the same in words.
	Requirement policy.Requirement `json:"requirement"`
	Demands     []Part             `json:"demands,omitempty"`
}

// ExplainArrival says which rules about incoming mail match and why, and what they demand. It decides as Terms does.
func (s *Set) ExplainArrival(a *Arrival) ArrivalExplanation {
	m := s.arriving(a)
	var out ArrivalExplanation
	var enforced []policy.Requirement
	matched := map[string]bool{}
	for i := range s.inbound.list {
		c := &s.inbound.list[i]
		e := RuleExplanation{Rule: c.Name, Line: c.Line, Mode: c.Mode}
		if c.Expires.Over(a.Now) {
			e.Skipped = "expired: " + c.Expires.String()
		} else {
			e.Fields, e.Matched = s.explainArrival(c, m, a), c.admits(m, a.Listener)
		}
		if e.Matched {
			matched[c.Name] = true
			if c.Mode == Enforce {
				enforced = append(enforced, s.inbound.terms[i].Requirement)
			}
		}
		out.Rules = append(out.Rules, e)
	}
	out.Requirement = policy.Combine(enforced...)
	for i := range s.inbound.terms {
		t := &s.inbound.terms[i]
		if !matched[t.Rule] {
			continue
		}
		for _, text := range arrivalTexts(t) {
			n := slices.IndexFunc(out.Demands, func(p Part) bool { return p.Demand == text && p.Test == t.Test })
			if n < 0 {
				out.Demands, n = append(out.Demands, Part{Demand: text, Test: t.Test}), len(out.Demands)
			}
			out.Demands[n].Rules = append(out.Demands[n].Rules, t.Rule)
		}
	}
	return out
}

// explainArrival judges the conditions of a rule one by one.
func (s *Set) explainArrival(c *compiled, m *message, a *Arrival) (out []FieldExplanation) {
	say := func(field string, matched bool, why string) {
		out = append(out, FieldExplanation{"match." + field, matched, why})
	}
	if c.sender != nil {
		which, ok := s.covering(c.Match.Sender, c.Match.Case, &m.from)
		why := because(m.From.String(), which, ok)
		if !ok {
			why += c.sender.NearMiss(&m.from.Address)
		}
		say("sender", ok, why+"; the header is not looked at")
	}
	if len(c.Match.SenderIP) > 0 {
		say("sender_ip", c.matchClient(m), c.explainClient(m))
	}
	if len(c.Match.Listener) > 0 {
		ok := c.matchListener(a.Listener)
		why := "the client came to " + a.Listener
		if a.Listener == "" {
			why = "which listener the client came to is not known"
		}
		say("listener", ok, why)
	}
	if c.recipient != nil {
		ok, why := c.matchAnyRecipient(m), "no value covers any recipient"
		for i := range m.recipients {
			if value, fits := s.covering(c.Match.Recipient, c.Match.Case, &m.recipients[i]); fits {
				why = because(m.Recipients[i].String(), value, true)
				break
			}
		}
		say("recipient", ok, why)
	}
	if c.unless != nil {
		left, why := c.leavesOut(m, a.Listener), "no exception holds"
		if left {
			why = "an exception takes the rule away"
		}
		out = append(out, FieldExplanation{"unless", !left, why})
	}
	return out
}

// arrivalTexts says what a term demands.
func arrivalTexts(t *Term) []string {
	r := t.Requirement
	out := []string{"channel " + r.Channel.String()}
	for _, d := range r.Peer {
		out = append(out, "client proven by "+clientText(d))
	}
	if floor := r.VersionFloor(); floor > 0 {
		out = append(out, versionText(floor))
	}
	out = append(out, strengthTexts(r)...)
	return append(out, "refused: "+string(t.Refuse))
}

func clientText(d policy.PeerDemand) string {
	text := "trust " + d.Trust + ", name "
	if d.Names.Domain {
		text += "of the sender's domain"
	} else {
		text += strings.Join(d.Names.List, " or ")
	}
	if len(d.Pins) > 0 {
		text += ", pin " + strings.Join(d.Pins, " or ")
	}
	return text
}

// strengthTexts says what a requirement asks of key exchange and cipher.
func strengthTexts(r policy.Requirement) (out []string) {
	if r.KeyExchange == policy.HybridExchange {
		out = append(out, "hybrid key exchange")
	}
	if r.MinBits > 0 {
		out = append(out, fmt.Sprintf("a cipher of %d bits", r.MinBits))
	}
	return out
}

// inboundWarnings are about one rule that is about incoming mail.
func (c *compiled) inboundWarnings() (out []Warning) {
	add := func(text, hint string) { out = append(out, Warning{Text: text, Hint: hint}) }
	f := c.RequireTLS
	if len(c.conditions()) == 0 {
		add("has no condition: mail of everybody must come so", "add [rule.match] where that is not meant")
	}
	byName := f.Level == policy.Authenticated && f.Names.Domain
	if byName && (c.sender == nil || c.sender.Null) {
		add("refuses the null sender of bounces: it has no domain that a certificate could name",
			"write names = [...] with the names of the partner's certificates")
	}
	if byName && c.sender == nil && len(c.networks) > 0 {
		add("mail that these clients forward for others is refused: their certificate does not name its sender's "+
			"domain", "write names = [...] with the names of their certificates")
	}
	if f.MinTLS < minVersion {
		add("min_tls below 1.2 accepts connections that can be broken",
			"write min_tls = \"1.2\" as soon as the other side can do it")
	}
	if f.MinBits > 128 {
		add("min_bits = 256 refuses most clients with TLS 1.3: of the ciphers that a client offers this gateway "+
			"takes AES of 128 bits", "write min_bits = 128, or key_exchange = \"hybrid\" where quantum computers are "+
			"meant")
	}
	if c.sender != nil && len(c.sender.Domains) > 0 && !c.sender.Null {
		add("sender leaves out the null sender of bounces, which anybody may use",
			"match the partner's clients by sender_ip, with sender = [\"<>\"], in another rule")
	}
	return out
}
