package dispatch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"postern/internal/attempt"
	"postern/internal/event"
	"postern/internal/mail"
	"postern/internal/mail/dsn"
	"postern/internal/policy"
	"postern/internal/queue"
)

// graceForFirstTry is how long a delivery whose window ended before anybody could try it still gets, from the end of
// its window or from our start, if we were down when it ended.
const graceForFirstTry = time.Minute

func (d *Dispatcher) sweepLoop(ctx context.Context) {
	tick := time.NewTicker(d.cfg.Sweep)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			d.sweep(ctx)
		}
	}
}

// sweep handles every delivery whose deadline has come.
func (d *Dispatcher) sweep(ctx context.Context) {
	const limit = 200
	for ctx.Err() == nil && d.live() {
		d.tellJump()
		now := time.Now()
		works, err := d.cfg.Store.Claim(ctx, queue.Claim{
			Overdue: true, Worker: d.cfg.Worker, Now: now, Until: now.Add(d.cfg.Lease), Beyond: now.Add(d.horizon),
			Limit: limit,
		})
		if err != nil {
			if ctx.Err() == nil {
				d.storeFailed(err, "look at the data folder: the store could not be read")
			}
			return
		}
		for group := range byMessage(works) {
			fates := all(group, func(w *queue.Work) fate { return d.overdue(w, now) })
			if err := d.conclude(ctx, fates, nil); err != nil && !errors.Is(err, queue.ErrStaleLease) {
				return // warned there; the leases end by themselves
			}
		}
		if len(works) < limit {
			return
		}
	}
}

// overdue decides about one delivery whose deadline has come.
func (d *Dispatcher) overdue(w *queue.Work, now time.Time) fate {
	last := lastAttempt(w)
	end := d.expiry(w, last)
	switch hold := w.Quarantine(); {
	case w.Rejected() != nil:
		return d.endedByRule(w, w.Rejected())
	case hold != nil && w.Was == queue.Held:
		return d.unlooked(w, hold, now)
	case now.Before(end) && !w.Noticed && now.Before(d.noticeDue(w)): // the deadline is of another clock
		return d.patient(w, last, false)
	case now.Before(end):
		return d.delayed(w, last)
	case untried(w, last) && (now.Before(end.Add(graceForFirstTry)) || now.Before(d.began.Add(graceForFirstTry))):
		f := d.untouched(w)
		f.settlement.Deadline = now.Add(graceForFirstTry)
		return f
	case w.Was == queue.Held && w.Due.IsZero(): // nobody released it
		return d.expired(w, last)
	case tells(&w.Message) && w.Requirement.Forced():
		return d.heldOn(w)
	}
	return d.givenUp(w, last)
}

// patient leaves w as it is and sets its next deadline.
func (d *Dispatcher) patient(w *queue.Work, last *attempt.Attempt, noticed bool) fate {
	f := d.untouched(w)
	f.settlement.Due, f.settlement.Noticed, f.settlement.Deadline = w.Due, noticed, d.deadline(w, last, noticed)
	return f
}

// delayed sends the one delay notice, if it is due and wanted.
func (d *Dispatcher) delayed(w *queue.Work, last *attempt.Attempt) fate {
	f := d.patient(w, last, true)
	if !w.Noticed && owed(w, mail.NotifyDelay) && last != nil {
		f.notify(dsn.Delayed, "")
		f.notice.Reason = last.Reason
		f.notice.WillRetryUntil = d.expiry(w, last)
		f.notice.Next = d.nextWays(w, last, f.notice.WillRetryUntil)
	}
	return f
}

// expired gives up: a forced delivery with the reason it could not be met, an ordinary one for its age.
func (d *Dispatcher) expired(w *queue.Work, last *attempt.Attempt) fate {
	f := newFate(w, queue.Failed, nil)
	f.settlement.Reason = policy.ExpiredInQueue
	text := fmt.Sprintf("the message waited for %s and could not be delivered",
		time.Since(d.accepted(w)).Round(time.Second))
	if last != nil {
		if w.Requirement.Forced() && shortfall(last) {
			f.settlement.Reason, text = last.Reason, last.Text
		} else if last.Text != "" {
			text += "; the last reason was: " + last.Text
		}
	}
	if owed(w, mail.NotifyFailure) {
		f.notify(dsn.Failed, "")
		f.notice.Text = text
	}
	return f
}

// heldOn keeps a notice that could not travel under its requirement within its window. It stays visible until an
// administrator acts or the site passes: it is still tried with its site, and told once.
func (d *Dispatcher) heldOn(w *queue.Work) fate {
	f := newFate(w, queue.Held, nil)
	f.settlement.Reason = w.Reason
	f.settlement.Noticed = true
	f.settlement.Due = time.Now()
	what := "notice held"
	if w.Message.Kind == queue.Alert {
		what = "alert held" // nobody is written to about what we could not write
	}
	d.cfg.Sink.Emit(event.Warned{
		What: what, Text: "the notice " + string(w.Message.ID) + " about message " + string(w.Message.About) +
			" cannot be delivered over a protected connection and is held",
		Hint: "postern queue show " + string(w.Message.ID) + ", then repair the TLS of the sender's server; to try " +
			"at once: postern queue retry " +
			string(w.Message.ID),
	})
	return f
}
