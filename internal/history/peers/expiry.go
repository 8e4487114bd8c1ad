package peers

import (
	"fmt"
	"time"
)

// ruledFor is how long after the last forced mail a certificate is still watched.
const ruledFor = 45 * 24 * time.Hour

// Step is the warning that is due when a certificate has so long to live: 30, 14, 7 or 1 days, 0 for none yet. What has
// run out is past the last.
func Step(left time.Duration) (step int) {
	for _, days := range []int{30, 14, 7, 1} {
		if left <= time.Duration(days)*24*time.Hour {
			step = days
		}
	}
	return step
}

// Expiring says whether it is time to warn that the certificate at r runs out: at 30, 14, 7 and 1 days, each once, for
// partners under a rule only. It returns the record with the warning noted, and the change to tell.
func Expiring(r Record, now time.Time) (Record, Change, bool) {
	c := r.Certificate
	if c == nil || r.UnderRule.IsZero() || now.Sub(r.UnderRule) > ruledFor {
		return r, Change{}, false
	}
	left := c.NotAfter.Sub(now)
	step := Step(left)
	if step == 0 || r.Warned != 0 && r.Warned <= step {
		return r, Change{}, false
	}
	after := fmt.Sprintf("runs out in %d days", int(left.Hours()/24))
	switch {
	case left <= 0:
		after = "has run out"
	case left < 48*time.Hour:
		after = fmt.Sprintf("runs out in %d hours", int(left.Hours()))
	}
	change := Change{now.UTC().Round(0), RunsOut, c.line(), after}
	r.Warned = step
	r.Changes = Kept(r.Changes, change)
	return r, change, true
}
