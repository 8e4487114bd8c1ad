package nodes

import "time"

// State is how a node stands.
type State string

// The states. See the package comment.
const (
	Joining  State = "joining"
	Live     State = "live"
	Doubtful State = "doubtful"
	Gone     State = "gone"
)

// States lists them all.
func States() []State { return []State{Joining, Live, Doubtful, Gone} }

// stateAfter is the state of a gateway that knows that its last renewal began so long ago.
func stateAfter(passed, lease time.Duration) State {
	switch {
	case passed < 0: // nobody can say; unknown is never good
		return Gone
	case passed <= lease/2:
		return Live
	case passed < lease:
		return Doubtful
	}
	return Gone
}

// StateAt is the state of a node as others see it, at a time of the store.
func (e *Entry) StateAt(now time.Time) State {
	switch left := e.Until.Sub(now); {
	case left <= 0:
		return Gone
	case left < e.Lease/2:
		return Doubtful
	}
	return Live
}

// Lacking lists the nodes that a mark has to wait for: their lease runs, and they have not acknowledged it.
func (r *Roll) Lacking(m Mark) (out []Entry) {
	for _, e := range r.Nodes {
		if e.StateAt(r.Now) != Gone && !e.InForce.Reaches(m) {
			out = append(out, e)
		}
	}
	return out
}

// moment is a reading of both clocks.
type moment struct{ mono, wall time.Time }

func readClocks() moment {
	now := time.Now()
	return moment{now, now.Round(0)}
}

// since is how long ago m was: the longer of what both clocks say. The monotonic one stands still while the machine is
// suspended, the wall clock may be set back.
func (m moment) since() time.Duration {
	now := readClocks()
	return max(now.mono.Sub(m.mono), now.wall.Sub(m.wall))
}
