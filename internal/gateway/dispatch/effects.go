package dispatch

import (
	"context"
	"errors"
	"io"
	"time"

	"postern/internal/event"
	"postern/internal/mail"
	"postern/internal/mail/dsn"
	"postern/internal/policy"
	"postern/internal/queue"
)

// What rules did with a delivery when it was accepted is carried out here, each by one settlement, so once:
//
//	rejected        failed with 5.7.1 and the rule's words, as soon as it is claimed, by its deadline or in any other way;
//	                it is never sent
//	in quarantine   ends by its deadline: failed with a notice, cancelled without one, or released
//	a receipt       is the notice of success, in the settlement of the delivery
//	header fields   go out above the stored header; a transaction has recipients with the same fields only
//
// Where redirected mail goes is its next hop (channel.go).

// refused ends those of a group that a rule rejected; nil where there are none.
func (r *run) refused(_ context.Context, group []queue.Work) *step {
	var s step
	for i := range group {
		if w := &group[i]; w.Rejected() != nil {
			s.fates = append(s.fates, r.d.endedByRule(w, w.Rejected()))
		} else {
			s.left = append(s.left, *w)
		}
	}
	if len(s.fates) == 0 {
		return nil
	}
	return &s
}

// endedByRule fails a delivery with what a rule tells its sender.
func (d *Dispatcher) endedByRule(w *queue.Work, e *policy.Effect) fate {
	f := newFate(w, queue.Failed, nil)
	if owed(w, mail.NotifyFailure) {
		f.notify(dsn.Failed, "5.7.1")
		f.notice.Text, f.notice.ByRule, f.notice.Attempt = e.Text, e.Rule, nil
		if f.notice.Text == "" {
			f.notice.Text = "the message was held for an administrator, and is returned"
		}
	}
	return f
}

// unlooked ends a quarantine whose time has come, as its rule says. A deadline before that is the horizon's.
func (d *Dispatcher) unlooked(w *queue.Work, e *policy.Effect, now time.Time) fate {
	if end := d.accepted(w).AddDate(0, 0, e.Days); now.Before(end) {
		f := d.untouched(w)
		if f.settlement.Deadline = end; end.After(now.Add(d.horizon)) {
			f.settlement.Deadline = now.Add(d.horizon)
		}
		return f
	}
	d.cfg.Sink.Emit(event.HoldEnded{Rule: e.Rule, Then: string(e.Then), Message: string(w.Message.ID),
		From: w.Message.Envelope.From, To: w.Recipient.Address})
	switch e.Then {
	case policy.ThenDelete:
		return newFate(w, queue.Cancelled, nil)
	case policy.ThenRelease:
		return d.released(w, now)
	}
	return d.endedByRule(w, e)
}

// released ends a quarantine as queue.Release does. It is judged again before it is sent, like all that waits.
func (d *Dispatcher) released(w *queue.Work, now time.Time) fate {
	expires := now.Add(w.ExpiresAt.Sub(w.AcceptedAt))
	f := newFate(w, queue.Queued, nil)
	f.settlement.Due, f.settlement.Deadline = now, expires
	f.settlement.Move = &queue.Move{NextHop: w.NextHop, Requirement: w.Requirement, Demands: w.Demands, Rules: w.Rules,
		Matched: w.Matched, ExpiresAt: expires, Judged: w.Judged}
	return f
}

// ErrNotHeld: nothing of what was named is in quarantine now.
var ErrNotHeld = errors.New("nothing of it is in quarantine, or it is being changed right now")

// Return ends the quarantine of some deliveries with a notice to their senders, and says how many. Whoever asks has it
// in the audit trail first. Those that are not in quarantine are left alone.
func (d *Dispatcher) Return(ctx context.Context, ids []queue.DeliveryID) (returned int, err error) {
	now := time.Now()
	works, err := d.cfg.Store.Claim(ctx,
		queue.Claim{IDs: ids, Worker: d.cfg.Worker, Now: now, Until: now.Add(d.cfg.Lease), Limit: len(ids)})
	if err != nil {
		return 0, err
	}
	for group := range byMessage(works) {
		n := 0
		fates := all(group, func(w *queue.Work) fate {
			if e := w.Quarantine(); e != nil && w.Was == queue.Held {
				n++
				return d.endedByRule(w, e)
			}
			return d.untouched(w)
		})
		if err := d.conclude(ctx, fates, nil); err != nil {
			return returned, err
		}
		returned += n
	}
	if returned == 0 {
		return 0, ErrNotHeld
	}
	return returned, nil
}

// receipted tells the sender that w was handed over, where he asked for that and the server does not do it (promised),
// or where a rule orders it and he did not ask for silence. It is one notice, protected like any about w.
func receipted(w *queue.Work, f *fate, promised bool) {
	ordered := w.Effects.Done(policy.EffectReceipt) != nil && w.Recipient.Notify&mail.NotifyNever == 0 &&
		w.Message.Kind == queue.Ordinary && !w.Message.Envelope.From.IsNull()
	switch {
	case ordered && promised:
		f.notify(dsn.Delivered, "")
	case ordered, w.Recipient.Notify.Wants(mail.NotifySuccess) && !promised:
		f.notify(dsn.Relayed, "")
	}
}

// headed is content with lines above it.
type headed struct {
	io.ReadSeeker
	head string
	at   int // of the head, read so far
}

func withHead(body io.ReadSeeker, head string) io.ReadSeeker {
	if head == "" {
		return body
	}
	return &headed{ReadSeeker: body, head: head}
}

// Read reads the head first.
func (h *headed) Read(p []byte) (int, error) {
	if h.at < len(h.head) {
		n := copy(p, h.head[h.at:])
		h.at += n
		return n, nil
	}
	return h.ReadSeeker.Read(p)
}

// Seek goes to an offset from the start, or to the end, which is all that is asked for.
func (h *headed) Seek(offset int64, whence int) (int64, error) {
	switch {
	case whence == io.SeekEnd && offset == 0:
		h.at = len(h.head)
		end, err := h.ReadSeeker.Seek(0, io.SeekEnd)
		return end + int64(len(h.head)), err
	case whence != io.SeekStart || offset < 0:
		return 0, errors.New("dispatch: content is sought from its start, or to its end")
	}
	h.at = int(min(offset, int64(len(h.head))))
	_, err := h.ReadSeeker.Seek(offset-int64(h.at), io.SeekStart)
	return offset, err
}

// alike reports whether two deliveries go in one transaction: of one message, with the same above its header.
func alike(a, b *queue.Work) bool {
	return a.Message.ID == b.Message.ID && (len(a.Effects) == 0 && len(b.Effects) == 0 ||
		a.Effects.Head() == b.Effects.Head())
}
