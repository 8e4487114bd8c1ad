package rules

import "postern/internal/policy"

// Requirement is what the rule demands for a recipient it names, whatever its scope, mode and expiry say.
func (r *Rule) Requirement() policy.Requirement { return r.requirement(named) }
