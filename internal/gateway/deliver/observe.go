package deliver

import (
	"slices"

	"postern/internal/policy"
)

// observe notes of a try what would have fallen short of what is published but not enforced. The list is the plan's: it
// is copied before something is written into it.
func (l *ladder) observe(index int) {
	try := &l.tries[index]
	if !slices.ContainsFunc(try.Published, observed) {
		return
	}
	try.Published = slices.Clone(try.Published)
	for i := range try.Published {
		p := &try.Published[i]
		switch {
		case !observed(*p):
		case try.Evidence != nil:
			p.Shortfalls = policy.Verdict(p.Demand, *try.Evidence)
		case try.Reason != "":
			p.Shortfalls = []policy.Shortfall{{Reason: try.Reason, Text: try.Text}}
		default:
			p.Shortfalls = policy.Verdict(p.Demand, policy.Evidence{})
		}
	}
}

// observed reports whether something is published that demands, and is not enforced.
func observed(p policy.Published) bool { return p.Mode != policy.Enforced && p.Demand.Forced() }
