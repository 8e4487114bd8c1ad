package stored

import (
	"maps"
	"slices"

	"postern/internal/queue"
)

// Step is how many deliveries one transaction changes of the many that an action, or the end of leases, concerns: an
// action on a million is not to hold up mail.
const Step = 500

// Act carries out an action step by step on the deliveries that it may concern. Do is one step, in a transaction of its
// own.
func Act(ids []queue.DeliveryID, do func(step []queue.DeliveryID) (Acted, error)) (out queue.Acted, err error) {
	touched := map[queue.SiteKey]bool{}
	for step := range slices.Chunk(ids, Step) {
		done, err := do(step)
		if err != nil {
			return out, err
		}
		out.Changed += done.Changed
		out.Pending = append(out.Pending, done.Pending...)
		maps.Copy(touched, done.Keys)
	}
	out.Sites = slices.Sorted(maps.Keys(touched))
	return out, nil
}

// Acted is what one transaction of an action did. Use NewActed.
type Acted struct {
	Changed int
	Pending []queue.Pending
	Sites   map[int64]bool // rows of the touched sites
	Keys    map[queue.SiteKey]bool
}

// NewActed is nothing yet.
func NewActed() Acted { return Acted{Sites: map[int64]bool{}, Keys: map[queue.SiteKey]bool{}} }

// Ask notes an action on a delivery under a lease, at the row of a site, and reports whether something else is wished
// of it now.
func (done *Acted) Ask(a *queue.Action, d *queue.Delivery, site int64) (wishes bool) {
	before := d.Wish
	switch a.Ask(d) {
	case queue.AskedPending:
		done.Pending = append(done.Pending, queue.Pending{Delivery: d.ID, Message: d.Message})
	case queue.AskedUndone:
		done.Changed++
		done.Sites[site] = true
	}
	if a.Kind == queue.Retry {
		done.Sites[site] = true
	}
	return d.Wish != before
}

// Apply carries an action out on a delivery that nobody has leased. applied is false where the action leaves it alone,
// moved where its row stays as it is.
func (done *Acted) Apply(a *queue.Action, d *queue.Delivery, site int64) (applied, moved bool) {
	was, due := d.State, d.Due
	if !a.Apply(d) {
		return false, false
	}
	done.Changed++
	done.Sites[site] = true
	return true, d.State != was || !d.Due.Equal(due)
}
