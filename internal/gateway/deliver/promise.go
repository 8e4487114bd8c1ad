package deliver

import (
	"postern/internal/gateway/route"
)

// unpromised reports whether at every host that has addresses a connection passed all but REQUIRETLS, and none fell
// short of anything else: whatever answers otherwise, or not at all, may offer it later. A host that could not be
// looked up may too.
func (l *ladder) unpromised() bool {
	for i := range l.plan.Hops {
		if p := l.plan.Hops[i].Problem; p != nil && unknown(p.Reason) {
			return false
		}
	}
	passed := map[*route.Hop]bool{}
	for _, t := range l.targets {
		if t.answered && !t.unpromised {
			return false
		}
		passed[t.hop] = passed[t.hop] || t.unpromised
	}
	for _, ok := range passed {
		if !ok {
			return false
		}
	}
	return len(passed) > 0
}
