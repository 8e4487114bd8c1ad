package rules

import (
	"slices"
	"strings"

	"postern/internal/policy"
)

// key is one key of a rule: how it is read, how it is printed, and when a change of it may take protection away. The
// table below is the grammar of the rules file; reading, printing and Diff follow it. Times (defer, without_tls) take no
// protection away: mail waits longer or shorter, but never travels weaker.
type key struct {
	name string // "match.sender" stands in [rule.match]
	read func(p *problems, r *Rule, e entry)
	// text is the value as TOML, "" when it is unset.
	text func(r *Rule) string
	// weaker reports whether the change from before to after may leave some message with less protection. It is asked
	// only when the texts differ; nil means never.
	weaker func(before, after *Rule) bool
}

func (k key) section() string {
	section, _, ok := strings.Cut(k.name, ".")
	if !ok {
		return ""
	}
	return section
}

func (k key) short() string { return k.name[strings.IndexByte(k.name, '.')+1:] }

// sections are the tables inside a rule.
var sections = []string{"match", "force_tls"}

// keys is the table, in the order of printing.
var keys = []key{
	{"name", readName, func(r *Rule) string { return quote(r.Name) }, nil},
	{"description", readDescription, func(r *Rule) string { return quoteSet(r.Description) }, nil},
	{"scope", readScope, func(r *Rule) string { return quote(string(r.Scope)) },
		func(_, after *Rule) bool { return after.Scope == Disabled }},
	{"mode", readMode, func(r *Rule) string { return quote(string(r.Mode)) },
		func(_, after *Rule) bool { return after.Mode == Test }},
	{"expires", readExpires, func(r *Rule) string { return r.Expires.String() }, expiresWeaker},
	{"action", readAction, func(r *Rule) string { return quote(string(r.Action)) }, nil},

	{"match.sender", readSender, func(r *Rule) string { return quoteList(r.Match.Sender) },
		func(b, a *Rule) bool { return narrower(b.Match.Sender, a.Match.Sender) }},
	{"match.recipient", readRecipient, func(r *Rule) string { return quoteList(r.Match.Recipient) },
		func(b, a *Rule) bool { return narrower(b.Match.Recipient, a.Match.Recipient) }},
	{"match.literals", readLiterals, func(r *Rule) string { return boolText(r.Match.Literals) },
		func(b, a *Rule) bool { return len(a.Match.Recipient) > 0 && !a.Match.Literals }},
	{"match.sender_ip", readSenderIP, senderIPText,
		func(b, a *Rule) bool { return narrower(b.Match.SenderIP, a.Match.SenderIP) }},
	{"match.header", readHeader, headerText,
		func(b, a *Rule) bool { return narrower(b.Match.Header, a.Match.Header) }},
	{"match.subject", readSubject, func(r *Rule) string { return quoteList(r.Match.Subject) },
		func(b, a *Rule) bool { return narrower(b.Match.Subject, a.Match.Subject) }},
	{"match.size_over", readSizeOver, func(r *Rule) string { return sizeText(r.Match.SizeOver) },
		func(b, a *Rule) bool { return a.Match.SizeOver > b.Match.SizeOver }},
	{"match.recipients_over", readRecipientsOver, func(r *Rule) string { return intText(r.Match.RecipientsOver) },
		func(b, a *Rule) bool { return a.Match.RecipientsOver > b.Match.RecipientsOver }},
	{"match.case", readCase, func(r *Rule) string { return boolText(r.Match.Case) },
		func(b, a *Rule) bool { return a.Match.Case || hasExpression(b) }},

	{"force_tls.unspecified_recipients", readUnspecified,
		func(r *Rule) string { return quote(string(r.ForceTLS.Unspecified)) },
		func(_, a *Rule) bool { return a.ForceTLS.Unspecified == UnspecifiedOpportunistic }},
	{"force_tls.names", readNames, namesText, namesWeaker},
	{"force_tls.mx", readMX, func(r *Rule) string { return quote(mxWords[r.ForceTLS.MX]) },
		func(b, a *Rule) bool { return a.ForceTLS.MX < b.ForceTLS.MX }},
	{"force_tls.trust", readTrust, func(r *Rule) string { return quote(r.ForceTLS.Trust) },
		func(_, _ *Rule) bool { return true }}, // what another file trusts is not known here
	{"force_tls.pins", readPins, func(r *Rule) string { return quoteList(r.ForceTLS.Pins) },
		func(b, a *Rule) bool { return wider(b.ForceTLS.Pins, a.ForceTLS.Pins) }},
	{"force_tls.revocation", readRevocation, func(r *Rule) string { return quote(revocationWords[r.ForceTLS.Revocation]) },
		func(b, a *Rule) bool { return a.ForceTLS.Revocation < b.ForceTLS.Revocation }},
	{"force_tls.min_tls", readMinTLS, minTLSText,
		func(b, a *Rule) bool { return a.ForceTLS.MinTLS < b.ForceTLS.MinTLS }},
	{"force_tls.defer", readDefer, func(r *Rule) string { return quote(durationText(r.ForceTLS.Defer)) }, nil},
	{"force_tls.without_tls", readWithoutTLS, func(r *Rule) string { return quoteSet(string(r.ForceTLS.WithoutTLS)) }, nil},
}

// narrower reports whether the condition after may hold for less than before: an empty list holds for everything, and
// in a list any value will do.
func narrower[T comparable](before, after []T) bool {
	if len(after) == 0 {
		return false
	}
	return len(before) == 0 || !subset(before, after)
}

// wider reports whether after accepts a pin that before did not: no pins accept every key.
func wider(before, after []string) bool {
	if len(before) == 0 {
		return false
	}
	return len(after) == 0 || !subset(after, before)
}

func subset[T comparable](small, large []T) bool {
	for _, v := range small {
		if !slices.Contains(large, v) {
			return false
		}
	}
	return true
}

func expiresWeaker(before, after *Rule) bool {
	if after.Expires.IsZero() {
		return false
	}
	return before.Expires.IsZero() || after.Expires.At.Before(before.Expires.At)
}

// namesWeaker reports whether after accepts a certificate name that before did not.
func namesWeaker(before, after *Rule) bool {
	b, a := before.ForceTLS.Names, after.ForceTLS.Names
	return a.MX && !b.MX || a.Domain && !b.Domain || !subset(a.List, b.List)
}

// withoutTLS is what becomes of a recipient whose server offers no TLS, by whether the rule names it (design.md §3).
func (r *Rule) withoutTLS(named bool) policy.WithoutTLS {
	switch {
	case r.ForceTLS.WithoutTLS == WithoutTLSReject, r.ForceTLS.WithoutTLS == WithoutTLSUnsaid && !named:
		return policy.WithoutTLSReject
	}
	return policy.WithoutTLSDefer
}

// hasExpression reports whether a condition is an "re:" expression: a negated class of letters can match less when case
// no longer matters.
func hasExpression(r *Rule) bool {
	isExpression := func(value string) bool { return strings.HasPrefix(value, "re:") }
	return slices.ContainsFunc(r.Match.Sender, isExpression) || slices.ContainsFunc(r.Match.Recipient, isExpression) ||
		slices.ContainsFunc(r.Match.Subject, isExpression) ||
		slices.ContainsFunc(r.Match.Header, func(h HeaderMatch) bool { return isExpression(h.Value) })
}
