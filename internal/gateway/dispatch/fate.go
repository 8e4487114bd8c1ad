package dispatch

import (
	"context"
	"errors"
	"strings"
	"time"

	"postern/internal/attempt"
	"postern/internal/event"
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
	if w.Message.Kind != queue.Ordinary && w.Requirement.Forced() && shortfall(a) {
		state = queue.Held
	}
	f := newFate(w, state, a)
	f.settlement.Due = due
	if state == queue.Queued || !w.Deadline.IsZero() {
		f.settlement.Deadline = d.deadline(w, a, w.Noticed)
	}
	return f
}

// shortfall reports whether the attempt ended before the peer was asked about the message.
func shortfall(a *attempt.Attempt) bool {
	return a != nil && a.Reason != policy.Remote4xx && a.Reason != policy.Remote5xx
}

// again gives w back untouched, due now; what an administrator holds stays held.
func (d *Dispatcher) again(w *queue.Work) fate {
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

// owed reports whether w's sender is to be told about condition c. Notices and the null sender get none (RFC 3461 §6.1).
func owed(w *queue.Work, c mail.Notify) bool {
	return w.Message.Kind == queue.Ordinary && !w.Message.Envelope.From.IsNull() && w.Recipient.Notify.Wants(c)
}

// expiry is when w is given up. Waiting for a channel ends with the window; what a peer itself put off over a channel
// that passed has the ordinary lifetime.
func (d *Dispatcher) expiry(w *queue.Work, last *attempt.Attempt) time.Time {
	window := w.ExpiresAt.Sub(w.AcceptedAt)
	if last != nil && last.Reason == policy.Remote4xx && last.Used() != nil {
		window = max(window, d.cfg.Lifetime)
	}
	return d.accepted(w).Add(window)
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

// Settling that failed is tried again after settlePause, then twice as long each time, up to maxSettlePause.
const (
	settlePause    = time.Second
	maxSettlePause = time.Minute
)

// conclude settles the fates of one message in one transaction with the notice they call for. While the store has no
// room it waits, with the leases kept, for what happened must not be forgotten: it would happen again. On an error the
// deliveries are looked at again when their leases have ended.
func (d *Dispatcher) conclude(ctx context.Context, fates []fate, sites map[queue.SiteKey]queue.SiteState) error {
	if len(fates) == 0 {
		return nil
	}
	began := time.Now()
	for pause := settlePause; ; pause = min(2*pause, maxSettlePause) {
		err := d.settle(context.WithoutCancel(ctx), fates, sites) // recorded even while the gateway stops
		switch {
		case err == nil:
			return nil
		case errors.Is(err, queue.ErrStaleLease) && len(fates) > 1: // the others' outcomes still count
			return d.concludeEach(ctx, fates, sites)
		case errors.Is(err, queue.ErrStaleLease), errors.Is(err, queue.ErrBroken),
			!errors.Is(err, queue.ErrFull) && time.Since(began) > d.cfg.Lease, !sleep(ctx, pause):
			d.lookLater(fates)
			return err
		}
	}
}

// concludeEach settles fates one by one and returns the first error.
func (d *Dispatcher) concludeEach(ctx context.Context, fates []fate, sites map[queue.SiteKey]queue.SiteState) error {
	var first error
	for i := range fates {
		if err := d.conclude(ctx, fates[i:i+1], sites); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// lookLater has the sites of fates that were not settled worked at when the leases have ended.
func (d *Dispatcher) lookLater(fates []fate) {
	for i := range fates {
		d.Wake(&fates[i].work.Message, fates[i].work.Site, time.Now().Add(d.cfg.Lease))
	}
}

// sleep waits; false means that ctx ended first.
func sleep(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// settle tries once.
func (d *Dispatcher) settle(ctx context.Context, fates []fate, sites map[queue.SiteKey]queue.SiteState) error {
	now := time.Now()
	notices, err := d.notices(ctx, fates, now)
	if err != nil {
		d.warn("notice", err, "free space in the data folder; what failed waits until its notice can be stored")
		for i := range fates {
			if fates[i].notice != nil {
				fates[i] = d.untold(fates[i], now.Add(d.step(1)))
			}
		}
	}
	batch := queue.Batch{New: notices, Sites: sites, Now: now}
	d.mu.Lock()
	for i := range fates {
		batch.Settlements = append(batch.Settlements, fates[i].settlement)
		d.clock.plan(fates[i].settlement.Due, now.Add(d.longest))
	}
	d.mu.Unlock()
	if err := d.cfg.Store.Settle(ctx, batch); err != nil {
		discard(notices)
		d.storeFailed(err, settleHint(err))
		return err
	}
	for i := range fates {
		fates[i].settlement = batch.Settlements[i]
		d.tell(&fates[i])
	}
	d.announce(notices)
	return nil
}

// untold is what becomes of f when the notice it owes cannot be stored. What was delivered stays so, without the notice:
// to send it again would be worse. Nothing else leaves the queue without its sender being told, and a notice that is only
// about a delay is tried again without touching the delivery.
func (d *Dispatcher) untold(f fate, again time.Time) fate {
	switch state := f.settlement.State; {
	case state == queue.Delivered:
		f.notice = nil
	case state.Waiting():
		f.notice = nil
		f.settlement.Noticed, f.settlement.Deadline = f.work.Noticed, again
	default:
		reason := f.settlement.Reason
		f = d.deferred(f.work, f.settlement.Attempt, again)
		f.settlement.Reason = reason
		if f.settlement.Deadline.Before(again) {
			f.settlement.Deadline = again
		}
	}
	return f
}

func settleHint(err error) string {
	if errors.Is(err, queue.ErrStaleLease) {
		return "another worker took the delivery over after the lease had ended; its own result counts"
	}
	return "look at the data folder; the outcome is kept and stored as soon as that works, and nothing more is sent there until then"
}

// tell emits what was settled and lets the schedule know what waits.
func (d *Dispatcher) tell(f *fate) {
	s, w := &f.settlement, f.work
	due := s.Due
	if s.Became != s.State { // as an administrator wished
		due = time.Time{}
		if s.Became == queue.Queued {
			due = time.Now()
		}
	}
	if !due.IsZero() {
		d.Wake(&w.Message, siteAfter(f), due)
	}
	e := event.Settled{
		Leg: d.cfg.InForce().Table.Leg(w.Recipient.Address.Domain), Message: string(w.Message.ID),
		From: w.Message.Envelope.From, To: w.Recipient.Address, State: stateWord(s.Became),
		Rule: strings.Join(w.Rules, ", "), Requires: w.Requirement.Channel, Reached: s.Reached,
		Attempt: s.Attempt, Reason: s.Reason, Delay: time.Since(d.accepted(w)), Next: due,
		Would: strings.Join(w.Tested, ", "),
	}
	if s.Wished != nil {
		e.Wished, e.WishedBy = string(s.Wished.Kind), s.Wished.By
		e.TooLate = s.Wished.Withdraws() && (s.Became == queue.Delivered || s.Became == queue.Failed)
	}
	if s.Attempt != nil {
		e.Text = s.Attempt.Text
	}
	d.cfg.Sink.Emit(e)
}

func siteAfter(f *fate) queue.SiteKey {
	if m := f.settlement.Move; m != nil {
		return queue.NewSiteKey(m.NextHop, m.Requirement)
	}
	return f.work.Site
}

func stateWord(s queue.State) string {
	if s == queue.Queued {
		return "deferred"
	}
	return s.String()
}

// step is the unjittered wait after the n-th failure of one delivery.
func (d *Dispatcher) step(n int) time.Duration {
	steps := d.cfg.Schedule.Retry
	return steps[min(max(n, 1), len(steps))-1]
}
