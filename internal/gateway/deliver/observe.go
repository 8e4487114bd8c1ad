package deliver

import (
	"slices"

	"postern/internal/attempt"
	"postern/internal/policy"
)

// observe notes of a try what fell short of each thing that is published, or would have if it were enforced: so it is
// known later whose demand it was. The list is the plan's: it is copied before something is written into it.
func (l *ladder) observe(index int) {
	try := &l.tries[index]
	copied := false
	for i := range try.Published {
		if !try.Published[i].Demand.Forced() {
			continue
		}
		short := fellShort(try, &try.Published[i])
		if len(short) == 0 {
			continue
		}
		if !copied {
			try.Published, copied = slices.Clone(try.Published), true
		}
		try.Published[i].Shortfalls = short
	}
}

// fellShort is what a try lacks of what is published.
func fellShort(try *attempt.Try, p *policy.Published) []policy.Shortfall {
	switch {
	case try.Evidence != nil:
		return policy.Verdict(p.Demand, *try.Evidence)
	case p.Mode == policy.Enforced && !try.Reason.Class().AboutProtection():
		return nil // nobody came so far
	case try.Reason != "":
		return []policy.Shortfall{{Reason: try.Reason, Text: try.Text}}
	}
	return policy.Verdict(p.Demand, policy.Evidence{})
}
