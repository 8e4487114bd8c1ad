package fate

import (
	"postern/internal/attempt"
	"postern/internal/mail"
	"postern/internal/mail/dsn"
	"postern/internal/policy"
	"postern/internal/queue"
)

// Fate is what becomes of one claimed delivery: its settlement, and what its sender is told.
type Fate struct {
	Work       *queue.Work
	Settlement queue.Settlement
	// Notice is the recipient's part of a notice, nil when none is owed.
	Notice *dsn.Recipient
}

// New ends a lease in a state, with the attempt recorded when there was one.
func New(w *queue.Work, s queue.State, a *attempt.Attempt) Fate {
	f := Fate{Work: w, Settlement: queue.Settlement{Lease: w.Lease, State: s, Attempt: a, Noticed: w.Noticed}}
	if a != nil {
		f.Settlement.Reason = a.Reason
	}
	return f
}

// notify adds the recipient to the message's notice.
func (f *Fate) notify(action dsn.Action, status string) {
	w := f.Work
	a := f.Settlement.Attempt
	if a == nil {
		a = lastAttempt(w)
	}
	f.Notice = &dsn.Recipient{
		Address: w.Recipient.Address, ORCPT: w.Recipient.ORCPT, Action: action, Status: status,
		Reason: f.Settlement.Reason, Attempt: a, Rules: w.Rules, Requires: w.Requirement.Channel,
		Asker: w.Asker(), Reached: f.Settlement.Reached, Tried: w.Attempts,
	}
	if way := w.Effects.Way(); way != nil {
		f.Notice.Way = "by the rule \"" + way.Rule + "\" it was " + way.String()
	}
	if a != nil {
		f.Notice.LastAttempt, f.Notice.Text = a.At, a.Text
	}
	if f.Settlement.Attempt != nil {
		f.Notice.Tried++
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

// tells reports whether a message of ours speaks of mail, so that it is kept until it may travel. A report about TLS is
// sums of a day, which nobody needs much later.
func tells(m *queue.Message) bool { return m.Kind != queue.Ordinary && m.Kind != queue.Report }

// shortfall reports whether the attempt ended before the peer was asked about the message.
func shortfall(a *attempt.Attempt) bool {
	return a != nil && a.Reason != policy.Remote4xx && a.Reason != policy.Remote5xx
}

// owed reports whether w's sender is to be told about condition c. Notices and the null sender get none (RFC 3461
// §6.1).
func owed(w *queue.Work, c mail.Notify) bool {
	return w.Message.Kind == queue.Ordinary && !w.Message.Envelope.From.IsNull() && w.Recipient.Notify.Wants(c)
}

// refusedForNow reports whether an attempt ended with what a peer itself put off, over a channel that passed.
func refusedForNow(last *attempt.Attempt) bool {
	return last != nil && last.Reason == policy.Remote4xx && last.Used() != nil
}
