package fate

import (
	"time"

	"postern/internal/attempt"
	"postern/internal/event"
	"postern/internal/gateway/inforce"
	"postern/internal/gateway/submit"
	"postern/internal/mail"
	"postern/internal/mail/dsn"
	"postern/internal/queue"
)

// Mail is where notices are written and what they tell of is read; queue.Store is one.
type Mail interface {
	inforce.Mail
	submit.Drafts
}

// Config is what a Decider needs. All must be set, but for the limits of notices and Ours.
type Config struct {
	Mail Mail
	// InForce returns what is in force now.
	InForce func() *inforce.View
	Sink    event.Sink
	// Accepted is when a delivery was accepted, by the clock of now.
	Accepted func(w *queue.Work) time.Time

	Hostname   mail.Domain  // names the gateway in notices
	Postmaster mail.Address // writes them
	// Random supplies the random bits of queue ids.
	Random func() uint32

	// Lifetime is how long ordinary mail may wait, DelayNotice when the one notice is due (below 0: never).
	Lifetime, DelayNotice time.Duration
	// Horizon is how far ahead a deadline is set at most.
	Horizon time.Duration
	// Retry are the waits after each failure of one delivery; the last repeats.
	Retry []time.Duration

	// NoticesPerAddress and NoticesToStrangers bound the notices of an hour about mail from the world, to one address
	// and to all that are not served here; more are held. 0 is no bound. Ours reports whether a message came from our
	// own side, nil of none.
	NoticesPerAddress, NoticesToStrangers int
	Ours                                  func(*queue.Inbound) bool
}

// Decider decides. Safe for concurrent use.
type Decider struct {
	cfg         Config
	backscatter backscatter
}

// NewDecider returns a Decider.
func NewDecider(cfg Config) *Decider { return &Decider{cfg: cfg} }

// Deferred puts w off until due. A notice of ours that may not travel is held instead: visible, tried on at the pace of
// its site, and never sent in the clear (design.md §3). One whose window is over has no deadline any more.
func (d *Decider) Deferred(w *queue.Work, a *attempt.Attempt, due time.Time) Fate {
	state := queue.Queued
	if tells(&w.Message) && w.Requirement.Forced() && shortfall(a) {
		state = queue.Held
	}
	f := New(w, state, a)
	f.Settlement.Due = due
	if state == queue.Queued || !w.Deadline.IsZero() {
		f.Settlement.Deadline = d.deadline(w, a, w.Noticed)
	}
	return f
}

// DeferredBy puts off what one attempt and one time stand for.
func (d *Decider) DeferredBy(a *attempt.Attempt, due time.Time) func(*queue.Work) Fate {
	return func(w *queue.Work) Fate { return d.Deferred(w, a, due) }
}

// DeferredAlone puts off what an attempt says of the message and not of its site.
func (d *Decider) DeferredAlone(a *attempt.Attempt) func(*queue.Work) Fate {
	return func(w *queue.Work) Fate { return d.Deferred(w, a, d.Later(w)) }
}

// Untouched gives w back as it was, due now; what an administrator holds stays held.
func (d *Decider) Untouched(w *queue.Work) Fate {
	f := New(w, w.Was, nil)
	f.Settlement.Reason = w.Reason
	f.Settlement.Due, f.Settlement.Deadline = time.Now(), w.Deadline
	if w.Was == queue.Held && w.Due.IsZero() {
		f.Settlement.Due = time.Time{}
	}
	return f
}

// Failed ends w, and tells its sender if he wants to know and may.
func (d *Decider) Failed(w *queue.Work, a *attempt.Attempt, status string) Fate {
	f := New(w, queue.Failed, a)
	if owed(w, mail.NotifyFailure) {
		f.notify(dsn.Failed, status)
	}
	return f
}

// Untold is what becomes of f when the notice it owes cannot be stored. What was delivered stays so, without the
// notice: to send it again would be worse. Nothing else leaves the queue without its sender being told, and a notice
// that is only about a delay is tried again without touching the delivery.
func (d *Decider) Untold(f Fate, again time.Time) Fate {
	switch state := f.Settlement.State; {
	case state == queue.Delivered:
		f.Notice = nil
	case state.Waiting():
		f.Notice = nil
		f.Settlement.Noticed, f.Settlement.Deadline = f.Work.Noticed, again
	default:
		reason := f.Settlement.Reason
		f = d.Deferred(f.Work, f.Settlement.Attempt, again)
		f.Settlement.Reason = reason
		if f.Settlement.Deadline.Before(again) {
			f.Settlement.Deadline = again
		}
	}
	return f
}

// expiry is when w is given up. Waiting for a channel ends with the window; what a peer itself put off over a channel
// that passed has the ordinary lifetime.
func (d *Decider) expiry(w *queue.Work, last *attempt.Attempt) time.Time {
	window := w.ExpiresAt.Sub(w.AcceptedAt)
	if refusedForNow(last) {
		window = max(window, d.cfg.Lifetime)
	}
	return d.cfg.Accepted(w).Add(window)
}

// deadline is when the sweep looks at w next: at the delay notice or the expiry, and not beyond the horizon.
func (d *Decider) deadline(w *queue.Work, last *attempt.Attempt, noticed bool) time.Time {
	next := d.expiry(w, last)
	if notice := d.noticeDue(w); !noticed && d.cfg.DelayNotice > 0 && notice.Before(next) {
		next = notice
	}
	if farthest := time.Now().Add(d.cfg.Horizon); next.After(farthest) {
		return farthest
	}
	return next
}

// noticeDue is when w's sender is told of the delay, if at all.
func (d *Decider) noticeDue(w *queue.Work) time.Time { return d.cfg.Accepted(w).Add(d.cfg.DelayNotice) }

// Pause is the unjittered wait after the n-th failure of one delivery.
func (d *Decider) Pause(n int) time.Duration {
	steps := d.cfg.Retry
	return steps[min(max(n, 1), len(steps))-1]
}

// Later is when w is tried again that is put off for itself.
func (d *Decider) Later(w *queue.Work) time.Time { return time.Now().Add(d.Pause(w.Attempts + 1)) }
