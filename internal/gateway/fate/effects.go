package fate

import (
	"time"

	"postern/internal/event"
	"postern/internal/mail"
	"postern/internal/mail/dsn"
	"postern/internal/policy"
	"postern/internal/queue"
)

// What rules did with a delivery when it was accepted is carried out by one settlement each, so once:
//
//	rejected        failed with 5.7.1 and the rule's words, as soon as it is claimed, by its deadline or in any other way
//	in quarantine   ends by its deadline: failed with a notice, cancelled without one, or released
//	a receipt       is the notice of success, in the settlement of the delivery

// EndedByRule fails a delivery with what a rule tells its sender.
func (d *Decider) EndedByRule(w *queue.Work, e *policy.Effect) Fate {
	f := New(w, queue.Failed, nil)
	if owed(w, mail.NotifyFailure) {
		f.notify(dsn.Failed, "5.7.1")
		f.Notice.Text, f.Notice.ByRule, f.Notice.Attempt = e.Text, e.Rule, nil
		if f.Notice.Text == "" {
			f.Notice.Text = "the message was held for an administrator, and is returned"
		}
	}
	return f
}

// unlooked ends a quarantine whose time has come, as its rule says. A deadline before that is the horizon's.
func (d *Decider) unlooked(w *queue.Work, e *policy.Effect, now time.Time) Fate {
	if end := d.cfg.Accepted(w).AddDate(0, 0, e.Days); now.Before(end) {
		f := d.Untouched(w)
		if f.Settlement.Deadline = end; end.After(now.Add(d.cfg.Horizon)) {
			f.Settlement.Deadline = now.Add(d.cfg.Horizon)
		}
		return f
	}
	d.cfg.Sink.Emit(event.HoldEnded{Rule: e.Rule, Then: string(e.Then), Message: string(w.Message.ID),
		From: w.Message.Envelope.From, To: w.Recipient.Address})
	switch e.Then {
	case policy.ThenDelete:
		return New(w, queue.Cancelled, nil)
	case policy.ThenRelease:
		return d.released(w, now)
	}
	return d.EndedByRule(w, e)
}

// released ends a quarantine as queue.Release does. It is judged again before it is sent, like all that waits.
func (d *Decider) released(w *queue.Work, now time.Time) Fate {
	expires := now.Add(w.ExpiresAt.Sub(w.AcceptedAt))
	f := New(w, queue.Queued, nil)
	f.Settlement.Due, f.Settlement.Deadline = now, expires
	f.Settlement.Move = &queue.Move{NextHop: w.NextHop, Requirement: w.Requirement, Demands: w.Demands, Rules: w.Rules,
		Matched: w.Matched, ExpiresAt: expires, Judged: w.Judged}
	return f
}

// Receipted tells the sender that w was handed over, where he asked for that and the server does not do it (promised),
// or where a rule orders it and he did not ask for silence. It is one notice, protected like any about w.
func Receipted(w *queue.Work, f *Fate, promised bool) {
	ordered := w.Effects.Done(policy.EffectReceipt) != nil && w.Recipient.Notify&mail.NotifyNever == 0 &&
		w.Message.Kind == queue.Ordinary && !w.Message.Envelope.From.IsNull()
	switch {
	case ordered && promised:
		f.notify(dsn.Delivered, "")
	case ordered, w.Recipient.Notify.Wants(mail.NotifySuccess) && !promised:
		f.notify(dsn.Relayed, "")
	}
}
