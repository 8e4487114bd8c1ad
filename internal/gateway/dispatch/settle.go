package dispatch

import (
	"context"
	"errors"
	"strings"
	"time"

	"postern/internal/event"
	"postern/internal/gateway/fate"
	"postern/internal/gateway/submit"
	"postern/internal/platform/pause"
	"postern/internal/queue"
)

// Settling that failed is tried again after settlePause, then twice as long each time, up to maxSettlePause.
const (
	settlePause    = time.Second
	maxSettlePause = time.Minute
)

// conclude settles the fates of one message in one transaction with the notice they call for. While the store has no
// room it waits, with the leases kept, for what happened must not be forgotten: it would happen again. On an error the
// deliveries are looked at again when their leases have ended.
func (d *Dispatcher) conclude(ctx context.Context, fates []fate.Fate, sites map[queue.SiteKey]queue.SiteState) error {
	if len(fates) == 0 {
		return nil
	}
	began := time.Now()
	for wait := settlePause; ; wait = min(2*wait, maxSettlePause) {
		err := d.settleOnce(context.WithoutCancel(ctx), fates, sites) // recorded even while the gateway stops
		switch {
		case err == nil:
			return nil
		case errors.Is(err, queue.ErrStaleLease) && len(fates) > 1: // the others' outcomes still count
			return d.concludeEach(ctx, fates, sites)
		case errors.Is(err, queue.ErrStaleLease), errors.Is(err, queue.ErrBroken),
			!errors.Is(err, queue.ErrFull) && time.Since(began) > d.cfg.Lease, !pause.For(ctx, wait):
			d.lookLater(fates)
			return err
		}
	}
}

// concludeEach settles fates one by one and returns the first error.
func (d *Dispatcher) concludeEach(ctx context.Context, fates []fate.Fate,
	sites map[queue.SiteKey]queue.SiteState) error {
	var first error
	for i := range fates {
		if err := d.conclude(ctx, fates[i:i+1], sites); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// lookLater has the sites of fates that were not settled worked at when the leases have ended.
func (d *Dispatcher) lookLater(fates []fate.Fate) {
	for i := range fates {
		d.Wake(&fates[i].Work.Message, fates[i].Work.Site, time.Now().Add(d.cfg.Lease))
	}
}

// settleOnce tries once.
func (d *Dispatcher) settleOnce(ctx context.Context, fates []fate.Fate, sites map[queue.SiteKey]queue.SiteState) error {
	now := time.Now()
	notices, err := d.fates.Notices(ctx, fates, now)
	if err != nil {
		d.warn("notice", err, "free space in the data folder; what failed waits until its notice can be stored")
		for i := range fates {
			if fates[i].Notice != nil {
				fates[i] = d.fates.Untold(fates[i], now.Add(d.fates.Pause(1)))
			}
		}
	}
	batch := queue.Batch{New: notices, Sites: sites, Now: now}
	d.mu.Lock()
	for i := range fates {
		batch.Settlements = append(batch.Settlements, fates[i].Settlement)
		d.clock.plan(fates[i].Settlement.Due, now.Add(d.longest))
	}
	d.mu.Unlock()
	if err := d.cfg.Store.Settle(ctx, batch); err != nil {
		fate.Discard(notices)
		d.storeFailed(err, settleHint(err))
		return err
	}
	for i := range fates {
		fates[i].Settlement = batch.Settlements[i]
		d.emitSettled(&fates[i])
	}
	for _, s := range notices {
		submit.Announce(s, d.Wake, d.cfg.Sink)
	}
	return nil
}

func settleHint(err error) string {
	if errors.Is(err, queue.ErrStaleLease) {
		return "another worker took the delivery over after the lease had ended; its own result counts"
	}
	return "look at the data folder; " +
		"the outcome is kept and stored as soon as that works, and nothing more is sent there until then"
}

// emitSettled emits what was settled and lets the schedule know what waits.
func (d *Dispatcher) emitSettled(f *fate.Fate) {
	s, w := &f.Settlement, f.Work
	d.tellWay(f)
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

func siteAfter(f *fate.Fate) queue.SiteKey {
	if m := f.Settlement.Move; m != nil {
		return queue.NewSiteKey(m.NextHop, m.Requirement)
	}
	return f.Work.Site
}

func stateWord(s queue.State) string {
	if s == queue.Queued {
		return "deferred"
	}
	return s.String()
}

// tellWay emits that a delivery was put on another way.
func (d *Dispatcher) tellWay(f *fate.Fate) {
	if f.Settlement.Move == nil {
		return
	}
	if e := f.Settlement.Move.Effects.Way(); e != nil {
		d.cfg.Sink.Emit(event.RuleActed{Rule: e.Rule, Effect: string(e.Kind), Text: e.String(),
			Message: string(f.Work.Message.ID), From: f.Work.Message.Envelope.From, To: f.Work.Recipient.Address})
	}
}
