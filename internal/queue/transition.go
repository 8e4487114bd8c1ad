package queue

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Kept returns a time as stores keep it: UTC, cut to the microsecond, zero stays zero.
func Kept(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return time.UnixMicro(t.UnixMicro()).UTC()
}

// Check refuses a settlement whose next state is none.
func (s *Settlement) Check() error {
	if s.State < Queued || s.State > Cancelled || s.State == Sending {
		return fmt.Errorf("queue: a delivery cannot be settled as %s", s.State)
	}
	return nil
}

// Apply carries out what a settlement says on the delivery it is about, except for its History and the Move to another
// Site, which are the store's, and then what an administrator wished meanwhile. It notes both in s. The caller has
// checked the lease.
func (s *Settlement) Apply(d *Delivery, now time.Time) {
	d.State, d.Due, d.Deadline = s.State, Kept(s.Due), Kept(s.Deadline)
	d.Reached, d.Reason = s.Reached, s.Reason
	d.Noticed = d.Noticed || s.Noticed
	if s.Attempt != nil {
		d.Attempts++
	}
	if s.Move != nil {
		d.Rules, d.Matched, d.Demands = s.Move.Rules, s.Move.Matched, s.Move.Demands
		d.Judged = max(d.Judged, s.Move.Judged)
		if s.Move.Effects != nil {
			d.Effects = s.Move.Effects
		}
		if !s.Move.ExpiresAt.IsZero() {
			d.ExpiresAt = Kept(s.Move.ExpiresAt)
		}
	}
	if !s.State.Waiting() {
		d.finish(now)
	}
	s.Wished = d.Wish
	d.CarryOut(now)
	s.Became = d.State
}

func (d *Delivery) finish(now time.Time) {
	d.Due, d.Deadline, d.FinishedAt = time.Time{}, time.Time{}, Kept(now)
}

// HistorySlot says where in History the n-th attempt (counted from 0) stands while it is kept: the first keeps slot 0,
// the newest take turns in the others.
func HistorySlot(n int) int {
	if n == 0 {
		return 0
	}
	return 1 + (n-1)%(HistoryKept-1)
}

// Check refuses an action of an unknown kind.
func (a *Action) Check() error {
	switch a.Kind {
	case Retry, Hold, Release, Cancel:
		return nil
	}
	return fmt.Errorf("queue: unknown action %q", a.Kind)
}

// releaseGrace is the least time that released mail still has, when its window ended while it was held.
const releaseGrace = time.Minute

// Apply carries out an administrator's action on a delivery that waits and is not under a lease, and reports whether
// the action concerns it. A held delivery without a planned try is not woken by Retry. What is held has no deadline;
// released, it ends at ExpiresAt, but is tried first: not before releaseGrace.
func (a *Action) Apply(d *Delivery) bool {
	now := Kept(a.Now)
	switch a.Kind {
	case Retry:
		if d.State == Held && d.Due.IsZero() {
			return false
		}
		if d.Due.IsZero() || d.Due.After(now) {
			d.Due = now
		}
		return true
	case Hold:
		if d.State == Held && d.Due.IsZero() {
			return false
		}
		d.State, d.Due, d.Deadline = Held, time.Time{}, time.Time{}
		return true
	case Release:
		if d.State != Held || d.Rejected() != nil {
			return false
		}
		if d.Quarantine() != nil {
			d.ExpiresAt = now.Add(d.ExpiresAt.Sub(d.AcceptedAt))
			d.Deadline = d.ExpiresAt
		}
		d.State, d.Due = Queued, now
		if d.Deadline.IsZero() {
			d.Deadline = d.ExpiresAt
			if least := now.Add(releaseGrace); d.Deadline.Before(least) {
				d.Deadline = least
			}
		}
		return true
	case Cancel:
		d.State = Cancelled
		d.finish(now)
		return true
	}
	return false
}

// Check refuses a claim that does not select in exactly one way, and fills in its limit.
func (c *Claim) Check() error {
	ways := 0
	for _, set := range []bool{c.Site != "", c.Overdue, len(c.IDs) > 0} {
		if set {
			ways++
		}
	}
	if ways != 1 {
		return errors.New("queue: a claim selects by exactly one of site, deadline and IDs")
	}
	if c.Limit <= 0 {
		c.Limit = 100
	}
	return nil
}

// Takes reports whether a claim by site or deadline takes what is planned for t: what is due at Now, and what is later
// than Beyond. Zero is not planned.
func (c *Claim) Takes(t time.Time) bool {
	return !t.IsZero() && (!t.After(c.Now) || !c.Beyond.IsZero() && t.After(c.Beyond))
}

// Selects reports whether a claim may take a delivery that waits, as far as that is told by what is planned for it.
func (c *Claim) Selects(d *Delivery) bool {
	switch {
	case c.Overdue:
		return c.Takes(d.Deadline)
	case c.Site != "":
		return c.Site == d.Site && c.Takes(d.Due)
	}
	return slices.Contains(c.IDs, d.ID)
}

// Compare is the order of a claim: by what it selects by, and then by number.
func (c *Claim) Compare(a, b *Work) int {
	first := 0
	switch {
	case c.Overdue:
		first = a.Deadline.Compare(b.Deadline)
	case c.Site != "":
		first = a.Due.Compare(b.Due)
	}
	return cmp.Or(first, cmp.Compare(a.ID, b.ID))
}

// AllHeld answers ErrStaleLease unless each lease is held and named once (G4).
func AllHeld(leases []Lease, held func(l Lease) bool) error {
	seen := make(map[DeliveryID]bool, len(leases))
	for _, l := range leases {
		if seen[l.Delivery] || !held(l) {
			return ErrStaleLease
		}
		seen[l.Delivery] = true
	}
	return nil
}

// Hasten lets the next probe go at now, if it would wait longer.
func (s *SiteState) Hasten(now time.Time) {
	if s.RetryAt.After(now) {
		s.RetryAt = Kept(now)
	}
}
