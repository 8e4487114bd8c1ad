package rules

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/policy/rule"
	"postern/internal/policy/rulematch"
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
	Somebody bool   // nobody knows which client: whatever rules ask of it counts as a match
	Listener string // its name in the configuration; rulematch.AnyListener where nobody knows it
	Now      time.Time
}

// Term is what one rule demands of the client that brings mail. It shares memory with the Set: treat it as read-only.
type Term struct {
	Rule        string
	Requirement policy.Requirement
	Refuse      rule.Refuse
	// Test says that the rule is on trial: what falls short is recorded, and the mail comes in.
	Test bool
}

// inboundRules are the rules about incoming mail, compiled.
type inboundRules struct {
	list  []compiled
	terms []Term // of list
	index rulematch.Index
}

func (in *inboundRules) add(r *rule.Rule, when rulematch.Conditions) {
	in.list = append(in.list, compiled{Rule: r, expires: r.Expires.At, when: when, position: int32(len(in.list))})
	in.terms = append(in.terms, Term{r.Name, r.RequireTLS.Requirement(), r.RequireTLS.Refuse, r.Mode == rule.Test})
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
	for i := range s.inbound.index.Find(m).All {
		if s.inbound.list[i].admits(m, a) {
			out = append(out, s.inbound.terms[i])
		}
	}
	return out
}

func (s *Set) arriving(a *Arrival) *rulematch.Message {
	return s.reader.Message(&rulematch.Facts{From: a.From, Recipients: a.To, Client: a.Client,
		Somebody: a.Somebody, Now: a.Now})
}

// admits reports whether the rule is about this arrival.
func (c *compiled) admits(m *rulematch.Message, a *Arrival) bool {
	return !c.over(a.Now) && c.when.Admits(m, a.Listener)
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
			e.Fields, e.Matched = c.when.ExplainArrival(m, a.Listener), c.admits(m, a)
		}
		if e.Matched {
			matched[c.Name] = true
			if c.Mode == rule.Enforce {
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
