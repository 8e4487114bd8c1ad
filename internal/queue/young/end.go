package young

import (
	"time"

	"postern/internal/queue"
	"postern/internal/queue/stored"
)

// Settle reserves deliveries whose end is to be written to the journal; ok is false where one is not here any more, or
// somebody is at it, and then none is reserved.
func (y *Mail) Settle(leases []queue.Lease) (ended []*Delivery, ok bool) {
	for _, l := range leases {
		d := y.Find(l.Delivery)
		if d == nil || d.Of.moving || d.settling {
			return nil, false
		}
		ended = append(ended, d)
	}
	for _, d := range ended {
		d.settling = true
		d.Of.settling++
	}
	return ended, true
}

// Retract takes back what Settle did.
func (y *Mail) Retract(ended []*Delivery) {
	for _, d := range ended {
		d.settling = false
		d.Of.settling--
	}
}

// Delivered ends a reserved delivery as the journal has it. It returns the file of a body that nobody needs any more.
func (y *Mail) Delivered(d *Delivery, st *stored.Settlement, now time.Time) (file string) {
	was := d.State
	d.Deliver(st, now)
	d.settling = false
	d.Of.settling--
	y.finish(d, was)
	if d.Of.left == 0 {
		return d.Of.Body.File
	}
	return ""
}

func (y *Mail) finish(d *Delivery, was queue.State) {
	y.states.Move(was, d.State)
	y.unqueue(d)
	if d.Of.left--; d.Of.left > 0 {
		return
	}
	y.finished++
	y.bodyBytes -= d.Of.Size
	y.bytes -= int64(cap(d.Of.Body.Data))
	d.Of.Body.Data = nil
}
