package queue

import (
	"time"

	"postern/internal/policy"
)

// What rules did with a delivery shows in its state. Held has four meanings, told apart by what is stored anyway:
//
//	                     Due    Deadline        Effects
//	by an administrator  none   none
//	in quarantine        none   end of hold     hold
//	rejected             none   at once         reject; the dispatcher ends it with its notice, nothing ever sends it
//	a notice of ours     of the next try, or over a limit of notices
//
// Held mail is not claimed by its site, only by its deadline. Release ends a quarantine, with the whole window of the
// delivery from then on: it did not wait for its recipient's servers. Released mail has its effects still, as the
// record; it is not in quarantine again when an administrator holds it, for then it has no deadline.

// Quarantine is the hold that a rule put on the delivery and that nobody has ended; nil where there is none. Of a
// delivery under a lease it says what stands when that ends.
func (d *Delivery) Quarantine() *policy.Effect {
	if d.State != Held && d.State != Sending || !d.Due.IsZero() || d.Deadline.IsZero() || d.Rejected() != nil {
		return nil
	}
	return d.Effects.Done(policy.EffectHold)
}

// Affect puts a new delivery in the state that rules want it in, by its Effects and AcceptedAt. Of mail that waits for
// a person no delay is told.
func (d *NewDelivery) Affect() {
	if d.Rejected() != nil {
		d.State, d.Due, d.Deadline, d.Noticed = Held, time.Time{}, d.AcceptedAt, true
	} else if hold := d.Effects.Done(policy.EffectHold); hold != nil {
		d.State, d.Due, d.Noticed = Held, time.Time{}, true
		d.Deadline = d.AcceptedAt.AddDate(0, 0, hold.Days)
	}
}

// Rejected is the rule's word that the delivery goes nowhere; nil where there is none.
func (d *Delivery) Rejected() *policy.Effect { return d.Effects.Done(policy.EffectReject) }

// IsCopy reports whether the delivery is a copy that a rule ordered, to somebody whom the sender did not name.
func (d *Delivery) IsCopy() bool { return d.Effects.Done(policy.EffectCopy) != nil }
