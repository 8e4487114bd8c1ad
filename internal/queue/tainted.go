package queue

import "slices"

// Tainted reports whether a delivery is protected although no rule names its recipient: a rule protects the whole
// message, because it names another one and its box "Enable Opportunistic TLS for unspecified recipients" is not
// ticked.
func (d *Delivery) Tainted() bool {
	return !d.Matched && len(d.Rules) > 0 && !d.IsCopy() && d.Requirement.Forced()
}

// Taints reports whether d's recipient is one because of whom another of the same message, who is under rules and named
// by none of them, is protected: one of d's rules names it, and all of them protect the other, so that this rule does.
// Where d is under more rules it cannot be told which of them names it, and the answer is no.
func (d *Delivery) Taints(rules []string) bool {
	return d.Matched && len(d.Rules) > 0 &&
		!slices.ContainsFunc(d.Rules, func(rule string) bool { return !slices.Contains(rules, rule) })
}
