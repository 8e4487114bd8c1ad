package fate

import (
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

// Overdue decides about one delivery whose deadline has come. began is when this gateway did.
func (d *Decider) Overdue(w *queue.Work, now, began time.Time) Fate {
	last := lastAttempt(w)
	end := d.expiry(w, last)
	switch hold := w.Quarantine(); {
	case w.Rejected() != nil:
		return d.EndedByRule(w, w.Rejected())
	case hold != nil && w.Was == queue.Held:
		return d.unlooked(w, hold, now)
	case now.Before(end) && !w.Noticed && now.Before(d.noticeDue(w)): // the deadline is of another clock
		return d.patient(w, last, false)
	case now.Before(end):
		return d.delayed(w, last)
	case untried(w, last) && (now.Before(end.Add(graceForFirstTry)) || now.Before(began.Add(graceForFirstTry))):
		f := d.Untouched(w)
		f.Settlement.Deadline = now.Add(graceForFirstTry)
		return f
	case w.Was == queue.Held && w.Due.IsZero(): // nobody released it
		return d.expired(w, last)
	case tells(&w.Message) && w.Requirement.Forced():
		return d.heldOn(w)
	}
	return d.givenUp(w, last)
}

// patient leaves w as it is and sets its next deadline.
func (d *Decider) patient(w *queue.Work, last *attempt.Attempt, noticed bool) Fate {
	f := d.Untouched(w)
	f.Settlement.Due, f.Settlement.Noticed, f.Settlement.Deadline = w.Due, noticed, d.deadline(w, last, noticed)
	return f
}

// delayed sends the one delay notice, if it is due and wanted.
func (d *Decider) delayed(w *queue.Work, last *attempt.Attempt) Fate {
	f := d.patient(w, last, true)
	if !w.Noticed && owed(w, mail.NotifyDelay) && last != nil {
		f.notify(dsn.Delayed, "")
		f.Notice.Reason = last.Reason
		f.Notice.WillRetryUntil = d.expiry(w, last)
		f.Notice.Next = d.nextWays(w, last, f.Notice.WillRetryUntil)
	}
	return f
}

// expired gives up: a forced delivery with the reason it could not be met, an ordinary one for its age.
func (d *Decider) expired(w *queue.Work, last *attempt.Attempt) Fate {
	f := New(w, queue.Failed, nil)
	f.Settlement.Reason = policy.ExpiredInQueue
	text := fmt.Sprintf("the message waited for %s and could not be delivered",
		time.Since(d.cfg.Accepted(w)).Round(time.Second))
	if last != nil {
		if w.Requirement.Forced() && shortfall(last) {
			f.Settlement.Reason, text = last.Reason, last.Text
		} else if last.Text != "" {
			text += "; the last reason was: " + last.Text
		}
	}
	if owed(w, mail.NotifyFailure) {
		f.notify(dsn.Failed, "")
		f.Notice.Text = text
	}
	return f
}

// heldOn keeps a notice that could not travel under its requirement within its window. It stays visible until an
// administrator acts or the site passes: it is still tried with its site, and told once.
func (d *Decider) heldOn(w *queue.Work) Fate {
	f := New(w, queue.Held, nil)
	f.Settlement.Reason = w.Reason
	f.Settlement.Noticed = true
	f.Settlement.Due = time.Now()
	what := "notice held"
	if w.Message.Kind == queue.Alert {
		what = "alert held" // nobody is written to about what we could not write
	}
	id := string(w.Message.ID)
	d.cfg.Sink.Emit(event.Warned{
		What: what,
		Text: "the notice " + id + " about message " + string(w.Message.About) +
			" cannot be delivered over a protected connection and is held",
		Hint: "postern queue show " + id + ", then repair the TLS of the sender's server; " +
			"to try at once: postern queue retry " + id,
	})
	return f
}
