package fate

import (
	"time"

	"postern/internal/attempt"
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
func (d *Decider) otherwise(w *queue.Work, a, last *attempt.Attempt) (f Fate, ok bool) {
	if !w.Requirement.Forced() || w.Effects.Done(policy.EffectOtherwise) == nil {
		return f, false
	}
	now, why := time.Now(), policy.ExpiredInQueue
	if last != nil && last.Reason != "" {
		why = last.Reason
	}
	move := d.cfg.InForce().Otherwise(&w.Delivery, w.NextHop, why, now, now.Sub(d.cfg.Accepted(w)))
	if move == nil {
		return f, false
	}
	f = New(w, queue.Queued, a)
	f.Settlement.Reason, f.Settlement.Move, f.Settlement.Due = why, move, now
	there := *w
	there.ExpiresAt = move.ExpiresAt
	f.Settlement.Deadline = d.deadline(&there, nil, w.Noticed)
	return f, true
}

// nextWays are the ways that w takes one after the other from a time on, if none of them leads to anything.
func (d *Decider) nextWays(w *queue.Work, last *attempt.Attempt, from time.Time) (out []dsn.Way) {
	if !w.Requirement.Forced() || refusedForNow(last) {
		return nil
	}
	at, hop, began := w.Delivery, w.NextHop, d.cfg.Accepted(w)
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

// WithoutTLS ends w at once, whose peer offers no TLS, where no rule orders another way.
func (d *Decider) WithoutTLS(w *queue.Work, a *attempt.Attempt) Fate {
	if f, ok := d.otherwise(w, a, a); ok {
		return f
	}
	return d.Failed(w, a, "")
}

// givenUp ends a delivery whose time is over, or puts it on its next way.
func (d *Decider) givenUp(w *queue.Work, last *attempt.Attempt) Fate {
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
