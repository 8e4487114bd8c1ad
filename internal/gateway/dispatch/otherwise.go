package dispatch

import (
	"time"

	"postern/internal/attempt"
	"postern/internal/event"
	"postern/internal/mail/dsn"
	"postern/internal/policy"
	"postern/internal/queue"
)

// A rule may order another way for mail that would be returned because what it demands could not be met (otherwise):
//
//	at its servers ── the window is over, or no TLS and without_tls = "reject" ──> at the route ── likewise ──> the next
//	                                                                                               none left: returned
//
// Each arrow is one settlement, which moves the delivery and records in its effects which way was taken, when and why;
// so it is taken once, whatever happens between. The delivery keeps its demands. Judged again it stays on its way, and
// only more can be demanded of it there (inforce.Judgements.Move). What its servers refuse, or put off over a channel
// that passed, is no matter of the demand and is returned as ever; so is mail to a domain that takes none.

// otherwise puts w on the next way instead of ending it; ok is false where it has none.
func (d *Dispatcher) otherwise(w *queue.Work, a, last *attempt.Attempt) (f fate, ok bool) {
	if !w.Requirement.Forced() || w.Effects.Done(policy.EffectOtherwise) == nil {
		return f, false
	}
	now, why := time.Now(), policy.ExpiredInQueue
	if last != nil && last.Reason != "" {
		why = last.Reason
	}
	move := d.cfg.InForce().Otherwise(&w.Delivery, w.NextHop, why, now, now.Sub(d.accepted(w)))
	if move == nil {
		return f, false
	}
	f = newFate(w, queue.Queued, a)
	f.settlement.Reason, f.settlement.Move, f.settlement.Due = why, move, now
	there := *w
	there.ExpiresAt = move.ExpiresAt
	f.settlement.Deadline = d.deadline(&there, nil, w.Noticed)
	return f, true
}

// nextWays are the ways that w takes one after the other from a time on, if none of them leads to anything.
func (d *Dispatcher) nextWays(w *queue.Work, last *attempt.Attempt, from time.Time) (out []dsn.Way) {
	if !w.Requirement.Forced() || refusedForNow(last) {
		return nil
	}
	at, hop, began := w.Delivery, w.NextHop, d.accepted(w)
	for {
		move := d.cfg.InForce().Otherwise(&at, hop, policy.ExpiredInQueue, from, from.Sub(began))
		if move == nil {
			return out
		}
		hop, at.Effects = move.NextHop, move.Effects
		way := at.Effects.Way()
		from = from.Add(time.Duration(way.WindowMS) * time.Millisecond)
		out = append(out, dsn.Way{By: way.Rule, Route: at.Effects.Route(), Until: from})
	}
}

// withoutTLS ends a group at once whose peer offers no TLS, where no rule orders another way.
func (r *run) withoutTLS(group []queue.Work) *step {
	return &step{fates: all(group, func(w *queue.Work) fate {
		if f, ok := r.d.otherwise(w, r.climb, r.climb); ok {
			return f
		}
		return r.d.failed(w, r.climb, "")
	})}
}

// givenUp ends a delivery whose time is over, or puts it on its next way.
func (d *Dispatcher) givenUp(w *queue.Work, last *attempt.Attempt) fate {
	if !refusedForNow(last) {
		if f, ok := d.otherwise(w, nil, last); ok {
			return f
		}
	}
	return d.expired(w, last)
}

// untried reports whether nobody tried a delivery yet on the way that it is on.
func untried(w *queue.Work, last *attempt.Attempt) bool {
	way := w.Effects.Way()
	return last == nil || way != nil && last.At.Before(way.At)
}

// tellWay emits that a delivery was put on another way.
func (d *Dispatcher) tellWay(f *fate) {
	if f.settlement.Move == nil {
		return
	}
	if e := f.settlement.Move.Effects.Way(); e != nil {
		d.cfg.Sink.Emit(event.RuleActed{Rule: e.Rule, Effect: string(e.Kind), Text: e.String(),
			Message: string(f.work.Message.ID), From: f.work.Message.Envelope.From, To: f.work.Recipient.Address})
	}
}
