package queue

import (
	"slices"
	"strings"
	"time"

	"postern/internal/operator/audit"
)

// Wish is an administrator's action on a delivery that was under a lease when it came. It stays with the delivery until
// the lease ends, and is as durable as the answer of Act that promised it: see the package comment. Once the delivery
// waits without a lease again it has none. One that ended keeps its last, which says: cancelled as wished, or, with
// state Delivered or Failed, that the wish was too late. A Wish is not changed after it was made.
type Wish struct {
	Kind ActionKind // Hold, Release or Cancel
	By   string
	At   time.Time
}

// TooLate reports whether the delivery ended otherwise than an administrator wished while it was being sent.
func (d *Delivery) TooLate() bool {
	return d.Wish != nil && (d.State == Delivered || d.State == Failed)
}

// Withdraws reports whether the wish is that the delivery is not sent. A nil Wish is none.
func (w *Wish) Withdraws() bool { return w != nil && (w.Kind == Hold || w.Kind == Cancel) }

// Asked is what an action comes to on a delivery under a lease.
type Asked uint8

// The answers: the action does not concern it; it undid what was wished; it is wished and comes when the lease ends.
const (
	AskedNothing Asked = iota
	AskedUndone
	AskedPending
)

// Ask is Apply on a delivery under a lease, whose State is the stored one, Queued or Held. A cancellation that is
// wished is not taken back. Release and Retry undo a Hold that is wished, Retry not with KeepHolds; a held delivery
// that is being tried is released when its try ends. Retry wishes nothing: the try is under way.
func (a *Action) Ask(d *Delivery) Asked {
	wished := ActionKind("")
	if d.Wish != nil {
		wished = d.Wish.Kind
	}
	switch {
	case wished == a.Kind:
		return AskedPending // the first who asked keeps the name
	case wished == Cancel:
		return AskedNothing
	case a.Kind == Cancel, a.Kind == Hold, a.Kind == Release && d.State == Held:
		d.Wish = &Wish{Kind: a.Kind, By: a.By, At: Kept(a.Now)}
		return AskedPending
	case wished == Hold && !(a.Kind == Retry && a.KeepHolds): // by Release or Retry
		d.Wish = nil
		return AskedUndone
	}
	return AskedNothing
}

// CarryOut does what is wished of a delivery whose lease has ended, if it waits. For one that ended, the wish is too
// late.
func (d *Delivery) CarryOut(now time.Time) {
	if d.Wish == nil {
		return
	}
	if d.State.Waiting() {
		a := Action{Kind: d.Wish.Kind, Now: now}
		a.Apply(d)
	}
	if d.State.Waiting() || d.Wish.Kind == Release {
		d.Wish = nil
	}
}

// WishEnds gathers how wishes ended in one transaction, for its entries in the audit trail: one for each message, wish
// and end. The zero WishEnds is empty.
type WishEnds struct{ entries []audit.Entry }

// Add notes that the lease on d ended and what was wished of it then; d is as it stands afterwards. A release of what
// ended needs no entry.
func (e *WishEnds) Add(w *Wish, d *Delivery, now time.Time) {
	if w.Kind == Release && !d.State.Waiting() {
		return
	}
	end := d.State.String() + " as asked, when its try ended"
	if d.TooLate() {
		end = "too late: " + d.State.String()
	}
	entry := audit.Entry{At: now, By: w.By, Action: "queue " + string(w.Kind), Target: string(d.Message), After: end,
		Count: 1}
	same := func(o audit.Entry) bool {
		return o.By == entry.By && o.Action == entry.Action && o.Target == entry.Target && o.After == entry.After
	}
	if i := slices.IndexFunc(e.entries, same); i >= 0 {
		e.entries[i].Count++
		return
	}
	e.entries = append(e.entries, entry)
}

// Entries returns what was gathered, in one order whatever that of Add.
func (e *WishEnds) Entries() []audit.Entry {
	slices.SortFunc(e.entries, func(a, b audit.Entry) int {
		return strings.Compare(a.Target+" "+a.Action+a.By+a.After, b.Target+" "+b.Action+b.By+b.After)
	})
	return e.entries
}
