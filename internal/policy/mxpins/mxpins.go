// Package mxpins knows which names of mail hosts deserve trust for a recipient domain, where DNS, which nobody signed,
// chooses them (design.md §3): the registrable domains of a destination's mail hosts are remembered at the first use
// under a rule that asks for it, and a name below another is a change that somebody must vouch for.
//
// What is remembered belongs to one rule and one recipient domain. The first use writes it, before a word of mail is
// said; proof and an administrator add to it, and nothing else does: a try that fell short teaches nothing.
//
// A first use is one connection to one host, and only the name of that host is trusted by it. The other names that the
// same unsigned answer held are written down as seen: they are shown and told of, and no mail goes there because of it.
// Whoever forges one answer could add a host of his own to it and wait until the good one is down; so a seen name is
// one question to the administrator like any other that is not known.
//
// Book keeps it.
package mxpins

import (
	"slices"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"

	"postern/internal/mail"
	"postern/internal/policy"
)

// Pin is one remembered name: for mail to Domain under Rule, mail hosts below Name are known.
type Pin struct {
	Domain string    `json:"domain"` // the recipient domain, an A-label
	Rule   string    `json:"rule"`
	Name   string    `json:"name"` // a registrable domain, see Registrable
	Since  time.Time `json:"since"`
	// By is what taught it: policy.MXByFirstUse, policy.MXBySignedDNS, "administrator NAME", or Seen, which is no
	// trust.
	By string `json:"by"`
}

// Seen is the By of a name that stood beside the one used first and was never used.
const Seen = "seen"

// Trusted reports whether mail may go to hosts below the name.
func (p Pin) Trusted() bool { return p.By != Seen }

// Registrable returns the name below a public suffix (com, co.uk, github.io) to which host belongs: what one party
// registers as a whole. A host that is itself a public suffix is its own.
func Registrable(host mail.Domain) string {
	name, err := publicsuffix.EffectiveTLDPlusOne(host.String())
	if err != nil {
		return host.String()
	}
	return name
}

// Below reports whether host is name or lies below it.
func Below(host mail.Domain, name string) bool {
	h := host.String()
	return h != "" && (h == name || strings.HasSuffix(h, "."+name))
}

// Opinion is what pins make of the name of one mail host.
type Opinion struct {
	// By is policy.MXByPin or policy.MXByFirstUse where every rule asked accepts the name, else "".
	By string
	// Proofs has one proof per rule asked, for policy.Evidence.
	Proofs map[string]policy.Proof
	// New are the rules asked that remember nothing yet, Changed those that remember other names.
	New, Changed []string
	// Known are the names that the rules of Changed remember, sorted.
	Known []string
	// Seen is when a rule of Changed first saw the name beside the one it used first; zero when none did.
	Seen time.Time
}

// Judge asks each of the rules what it makes of host, a mail host of a domain. Pins are those of that domain; more do
// not matter. A host without a name is known to nobody.
func Judge(pins []Pin, domain string, rules []string, host mail.Domain) Opinion {
	out := Opinion{Proofs: make(map[string]policy.Proof, len(rules))}
	for _, rule := range rules {
		if rule == policy.Nobody {
			continue
		}
		names := namesOf(pins, domain, rule)
		switch {
		case slices.ContainsFunc(names, func(name string) bool { return Below(host, name) }):
			out.Proofs[rule] = policy.Proof{}
		case len(names) == 0 && !host.IsZero():
			out.New = append(out.New, rule)
			out.Proofs[rule] = policy.Proof{}
		default:
			seen := seenAt(pins, domain, rule, host)
			if out.Seen.IsZero() {
				out.Seen = seen
			}
			out.Changed, out.Known = append(out.Changed, rule), append(out.Known, names...)
			out.Proofs[rule] = policy.Proof{Shortfalls: []policy.Shortfall{{Reason: policy.MXChanged,
				Text: changedText(domain, rule, host, names, seen)}}}
		}
	}
	slices.Sort(out.Known)
	out.Known = slices.Compact(out.Known)
	switch {
	case len(out.Changed) > 0 || len(out.Proofs) == 0:
	case len(out.New) > 0:
		out.By = policy.MXByFirstUse
	default:
		out.By = policy.MXByPin
	}
	return out
}

// seenAt is when a rule saw the name of host at its first use; zero when it did not.
func seenAt(pins []Pin, domain, rule string, host mail.Domain) time.Time {
	for _, p := range pins {
		if p.Domain == domain && p.Rule == rule && !p.Trusted() && Below(host, p.Name) {
			return p.Since
		}
	}
	return time.Time{}
}

// namesOf returns the names a rule trusts of a domain.
func namesOf(pins []Pin, domain, rule string) (out []string) {
	for _, p := range pins {
		if p.Domain == domain && p.Rule == rule && p.Trusted() {
			out = append(out, p.Name)
		}
	}
	return out
}

func changedText(domain, rule string, host mail.Domain, names []string, seen time.Time) string {
	known := "no mail host of " + domain + " has a name"
	if len(names) > 0 {
		known = "the mail hosts of " + domain + " known to rule " + rule + " lie below " + strings.Join(names, ", ")
	}
	if host.IsZero() {
		return "the mail host has no name; " + known
	}
	text := "the mail host " + host.String() + " lies below " + Registrable(host) + "; " + known
	if !seen.IsZero() {
		text += "; it was seen beside them at the first use on " + seen.UTC().Format(time.DateOnly) +
			", and no mail ever went there"
	}
	return text
}

// FirstUse makes the pins of a first use of used: its name is trusted, those of the other hosts are seen.
func FirstUse(domain string, rules []string, used mail.Domain, others []mail.Domain, at time.Time) []Pin {
	out := New(domain, rules, []mail.Domain{used}, at, policy.MXByFirstUse)
	for _, p := range New(domain, rules, others, at, Seen) {
		if p.Name != Registrable(used) {
			out = append(out, p)
		}
	}
	return out
}

// New makes the pins that rules would remember of mail hosts of a domain, each name once. Hosts without a name give
// none.
func New(domain string, rules []string, hosts []mail.Domain, at time.Time, by string) []Pin {
	var names []string
	for _, host := range hosts {
		if !host.IsZero() {
			names = append(names, Registrable(host))
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	var out []Pin
	for _, rule := range rules {
		if rule == policy.Nobody {
			continue
		}
		for _, name := range names {
			out = append(out, Pin{Domain: domain, Rule: rule, Name: name, Since: at, By: by})
		}
	}
	return out
}

// Joined is what a book holds that had pins and to which more are added: each name of a rule once, trusted before seen.
func Joined(pins, more []Pin) []Pin {
	out := slices.Clone(pins)
	for _, p := range more {
		at := slices.IndexFunc(out, func(q Pin) bool { return Compare(p, q) == 0 })
		switch {
		case at < 0:
			out = append(out, p)
		case p.Trusted() && !out[at].Trusted():
			out[at] = p
		}
	}
	slices.SortFunc(out, Compare)
	return out
}

// Compare orders pins by domain, rule and name.
func Compare(a, b Pin) int {
	if c := strings.Compare(a.Domain, b.Domain); c != 0 {
		return c
	}
	if c := strings.Compare(a.Rule, b.Rule); c != 0 {
		return c
	}
	return strings.Compare(a.Name, b.Name)
}
