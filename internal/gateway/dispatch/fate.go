package dispatch

import (
	"time"

	"postern/internal/attempt"
	"postern/internal/mail"
	"postern/internal/mail/dsn"
	"postern/internal/policy"
	"postern/internal/queue"
)

// fate is what becomes of one claimed delivery: its settlement, and what its sender is told.
type fate struct {
	work       *queue.Work
	settlement queue.Settlement
	// notice is the recipient's part of a notice, nil when none is owed.
	notice *dsn.Recipient
}

// newFate ends a lease in a state, with the attempt recorded when there was one.
func newFate(w *queue.Work, s queue.State, a *attempt.Attempt) fate {
	f := fate{work: w, settlement: queue.Settlement{Lease: w.Lease, State: s, Attempt: a, Noticed: w.Noticed}}
	if a != nil {
		f.settlement.Reason = a.Reason
	}
	return f
}

// notify adds the recipient to the message's notice.
func (f *fate) notify(action dsn.Action, status string) {
	w := f.work
	a := f.settlement.Attempt
	if a == nil {
		a = lastAttempt(w)
	}
	f.notice = &dsn.Recipient{
		Address: w.Recipient.Address, ORCPT: w.Recipient.ORCPT, Action: action, Status: status,
		Reason: f.settlement.Reason, Attempt: a, Rules: w.Rules, Requires: w.Requirement.Channel,
		Reached: f.settlement.Reached, Tried: w.Attempts,
	}
	if way := w.Effects.Way(); way != nil {
		f.notice.Way = "by the rule \"" + way.Rule + "\" it was " + way.String()
	}
	if a != nil {
		f.notice.LastAttempt, f.notice.Text = a.At, a.Text
	}
	if f.settlement.Attempt != nil {
		f.notice.Tried++
	}
}

// lastAttempt is the newest attempt that concerns w: its own, or its site's where that is newer.
func lastAttempt(w *queue.Work) *attempt.Attempt {
	last := w.SiteState.Last
	if n := len(w.History); n > 0 && (last == nil || w.History[n-1].At.After(last.At)) {
		return &w.History[n-1]
	}
	return last
}

// deferred puts w off until due. A notice of ours that may not travel is held instead: visible, tried on at the pace of
// its site, and never sent in the clear (design.md §3). One whose window is over has no deadline any more.
func (d *Dispatcher) deferred(w *queue.Work, a *attempt.Attempt, due time.Time) fate {
	state := queue.Queued
	if tells(&w.Message) && w.Requirement.Forced() && shortfall(a) {
		state = queue.Held
	}
	f := newFate(w, state, a)
	f.settlement.Due = due
	if state == queue.Queued || !w.Deadline.IsZero() {
		f.settlement.Deadline = d.deadline(w, a, w.Noticed)
	}
	return f
}

// tells reports whether a message of ours speaks of mail, so that it is kept until it may travel. A report about TLS is
// sums of a day, which nobody needs much later.
func tells(m *queue.Message) bool { return m.Kind != queue.Ordinary && m.Kind != queue.Report }

// shortfall reports whether the attempt ended before the peer was asked about the message.
func shortfall(a *attempt.Attempt) bool {
	return a != nil && a.Reason != policy.Remote4xx && a.Reason != policy.Remote5xx
}

// deferredBy puts off what one attempt and one time stand for.
func (d *Dispatcher) deferredBy(a *attempt.Attempt, due time.Time) func(*queue.Work) fate {
	return func(w *queue.Work) fate { return d.deferred(w, a, due) }
}

// deferredAlone puts off what an attempt says of the message and not of its site.
func (d *Dispatcher) deferredAlone(a *attempt.Attempt) func(*queue.Work) fate {
	return func(w *queue.Work) fate { return d.deferred(w, a, d.later(w)) }
}

// untouched gives w back as it was, due now; what an administrator holds stays held.
func (d *Dispatcher) untouched(w *queue.Work) fate {
	f := newFate(w, w.Was, nil)
	f.settlement.Reason = w.Reason
	f.settlement.Due, f.settlement.Deadline = time.Now(), w.Deadline
	if w.Was == queue.Held && w.Due.IsZero() {
		f.settlement.Due = time.Time{}
	}
	return f
}

// failed ends w, and tells its sender if he wants to know and may.
func (d *Dispatcher) failed(w *queue.Work, a *attempt.Attempt, status string) fate {
	f := newFate(w, queue.Failed, a)
	if owed(w, mail.NotifyFailure) {
		f.notify(dsn.Failed, status)
	}
	return f
}

// owed reports whether w's sender is to be told about condition c. Notices and the null sender get none (RFC 3461
// §6.1).
func owed(w *queue.Work, c mail.Notify) bool {
	return w.Message.Kind == queue.Ordinary && !w.Message.Envelope.From.IsNull() && w.Recipient.Notify.Wants(c)
}

// expiry is when w is given up. Waiting for a channel ends with the window; what a peer itself put off over a channel
// that passed has the ordinary lifetime.
func (d *Dispatcher) expiry(w *queue.Work, last *attempt.Attempt) time.Time {
	window := w.ExpiresAt.Sub(w.AcceptedAt)
	if refusedForNow(last) {
		window = max(window, d.cfg.Lifetime)
	}
	return d.accepted(w).Add(window)
}

// refusedForNow reports whether an attempt ended with what a peer itself put off, over a channel that passed.
func refusedForNow(last *attempt.Attempt) bool {
	return last != nil && last.Reason == policy.Remote4xx && last.Used() != nil
}

// deadline is when the sweep looks at w next: at the delay notice or the expiry, and not beyond the horizon.
func (d *Dispatcher) deadline(w *queue.Work, last *attempt.Attempt, noticed bool) time.Time {
	next := d.expiry(w, last)
	if notice := d.noticeDue(w); !noticed && d.cfg.DelayNotice > 0 && notice.Before(next) {
		next = notice
	}
	if farthest := time.Now().Add(d.horizon); next.After(farthest) {
		return farthest
	}
	return next
}

// noticeDue is when w's sender is told of the delay, if at all.
func (d *Dispatcher) noticeDue(w *queue.Work) time.Time { return d.accepted(w).Add(d.cfg.DelayNotice) }

// pause is the unjittered wait after the n-th failure of one delivery.
func (d *Dispatcher) pause(n int) time.Duration {
	steps := d.cfg.Schedule.Retry
	return steps[min(max(n, 1), len(steps))-1]
}

// later is when w is tried again that is put off for itself.
func (d *Dispatcher) later(w *queue.Work) time.Time { return time.Now().Add(d.pause(w.Attempts + 1)) }
