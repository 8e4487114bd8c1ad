package rule

import (
	"slices"
	"strings"

	"postern/internal/policy"
	"postern/internal/policy/rulevalue"
)

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
	return moreNames(before.ForceTLS.Names, after.ForceTLS.Names)
}

func moreNames(b, a policy.Names) bool {
	return a.MX && !b.MX || a.Domain && !b.Domain || !subset(a.List, b.List)
}

// hasExpression reports whether a condition is an "re:" expression: a negated class of letters can match less when case
// no longer matters.
func hasExpression(r *Rule) bool {
	isExpression := func(value string) bool { return strings.HasPrefix(value, ExpressionWord) }
	return slices.ContainsFunc(r.Match.Sender, isExpression) || slices.ContainsFunc(r.Match.Recipient, isExpression) ||
		slices.ContainsFunc(r.Match.Subject, isExpression) || slices.ContainsFunc(r.Match.Attachment, isExpression) ||
		slices.ContainsFunc(r.Match.Body, isExpression) ||
		slices.ContainsFunc(r.Match.Header, func(h rulevalue.HeaderMatch) bool { return isExpression(h.Value) })
}

// Effective reports whether the rule protects anything, as long as it has not expired.
func (r *Rule) Effective() bool { return r.protects() && r.Scope != Disabled && r.Mode == Enforce }
