package queue

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"postern/internal/mail"
	"postern/internal/policy"
)

// Matches reports whether a record is one that f asks for. After and Limit are not looked at. Every store answers List
// as if it asked this of each record; an engine narrows the search by its indexes first.
func (f *Filter) Matches(r *Record) bool {
	switch {
	case len(f.IDs) > 0 && !slices.Contains(f.IDs, r.Delivery.Message),
		len(f.States) > 0 && !slices.Contains(f.States, r.State),
		f.Sender != "" && !MatchAddress(f.Sender, r.Message.Envelope.From),
		f.Recipient != "" && !MatchAddress(f.Recipient, r.Recipient.Address),
		f.Domain != "" && foldDomain(f.Domain) != r.Recipient.Address.Domain.String(),
		f.MessageID != "" && TrimMessageID(f.MessageID) != TrimMessageID(r.Message.MessageID),
		f.Reason != "" && f.Reason != r.Why(),
		f.Rule != "" && !slices.Contains(r.Rules, f.Rule) && !slices.Contains(r.Tested, f.Rule) &&
			!r.Effects.Names(f.Rule), f.Site != "" && f.Site != r.Site,
		f.Scope != nil && !slices.Contains(f.Scope, r.Message.Envelope.From.Domain) &&
			!slices.Contains(f.Scope, r.Recipient.Address.Domain), !f.Since.IsZero() && r.AcceptedAt.Before(f.Since),
		!f.Until.IsZero() && !r.AcceptedAt.Before(f.Until),
		f.JudgedBelow > 0 && r.JudgedUnder(&r.Message) >= f.JudgedBelow:
		return false
	}
	return true
}

// Why returns the reason a person should be told: the delivery's own, or, while it waits without one, its site's.
func (r *Record) Why() policy.Reason {
	if r.Reason == "" && r.State.Waiting() && r.SiteState.Last != nil {
		return r.SiteState.Last.Reason
	}
	return r.Reason
}

// MatchAddress matches an address with a Filter's text: "<>" is the null sender, a text with "@", "*" or "?" is a
// pattern on the canonical address, anything else is a domain. Case does not matter.
func MatchAddress(pattern string, a mail.Address) bool {
	switch {
	case pattern == "<>":
		return a.IsNull()
	case strings.ContainsAny(pattern, "@*?"):
		return matchPattern(strings.ToLower(foldAddress(pattern)), strings.ToLower(a.Canonical()))
	}
	return foldDomain(pattern) == a.Domain.String()
}

// foldAddress brings a person's spelling of an address to the canonical one; what is none, or a pattern, stays as it
// is.
func foldAddress(s string) string {
	a, err := mail.ParseAddress(s)
	if err != nil || strings.ContainsAny(s, "*?") {
		return s
	}
	return a.Canonical()
}

// foldDomain brings a person's spelling of a domain to the canonical one; what is no domain stays as it is.
func foldDomain(s string) string {
	d, err := mail.ParseDomain(s)
	if err != nil {
		return s
	}
	return d.String()
}

// TrimMessageID removes blanks and angle brackets around a Message-ID.
func TrimMessageID(s string) string { return strings.Trim(s, "<> \t") }

// MatchText reports whether a text, without regard to case, fits a pattern with * and ?.
func MatchText(pattern, s string) bool {
	return matchPattern(strings.ToLower(pattern), strings.ToLower(s))
}

// matchPattern matches all of s with a pattern in which "*" is any run and "?" any one character. It takes time
// proportional to the product of the lengths at worst.
func matchPattern(pattern, s string) bool {
	p, t := []rune(pattern), []rune(s)
	i, j, star, mark := 0, 0, -1, 0
	for j < len(t) {
		switch {
		case i < len(p) && p[i] == '*':
			star, mark = i, j
			i++
		case i < len(p) && (p[i] == '?' || p[i] == t[j]):
			i, j = i+1, j+1
		case star >= 0:
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	for i < len(p) && p[i] == '*' {
		i++
	}
	return i == len(p)
}

// Selects reports whether a chooses a delivery: any of its selectors names it, or there are none.
func (a *Action) Selects(d *Delivery) bool {
	if len(a.Domains)+len(a.Messages)+len(a.Sites) == 0 {
		return true
	}
	named := func(domain string) bool { return foldDomain(domain) == d.Recipient.Address.Domain.String() }
	return slices.Contains(a.Messages, d.Message) || slices.Contains(a.Sites, d.Site) ||
		slices.ContainsFunc(a.Domains, named)
}

// Check refuses a submission that no store can keep: without an ID, a body or a recipient, or born in a state that has
// no meaning for new mail.
func (s *Submission) Check() error {
	switch {
	case s.Message.ID == "":
		return errors.New("queue: a message needs an ID")
	case s.Body == nil:
		return fmt.Errorf("queue: message %s has no body", s.Message.ID)
	case len(s.Deliveries) == 0 || len(s.Deliveries) > MaxDeliveries:
		return fmt.Errorf("queue: message %s has %d deliveries, want 1 to %d", s.Message.ID, len(s.Deliveries),
			MaxDeliveries)
	}
	for i := range s.Deliveries {
		if st := s.Deliveries[i].State; st != 0 && st != Queued && st != Held {
			return fmt.Errorf("queue: message %s: a new delivery cannot be %s", s.Message.ID, st)
		}
	}
	return nil
}

// MaxDeliveries bounds the deliveries of one message.
const MaxDeliveries = 1 << 20
