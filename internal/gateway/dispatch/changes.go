package dispatch

import (
	"context"
	"fmt"
	"slices"
	"time"

	"postern/internal/attempt"
	"postern/internal/event"
	"postern/internal/gateway/inforce"
	"postern/internal/platform/pause"
	"postern/internal/policy"
	"postern/internal/queue"
)

// changeLoop holds what waits against what is in force whenever that changed.
func (d *Dispatcher) changeLoop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.changes:
		}
		if err := d.kickProtected(ctx); err != nil && ctx.Err() == nil {
			d.warn("queue", err, "waiting mail keeps its old schedule")
		}
		if err := d.moveStale(ctx, d.cfg.InForce()); err != nil && ctx.Err() == nil {
			d.warn("rules", err, "waiting mail is held against what is in force when it is next tried; "+
				"until then it is not sent")
		}
	}
}

// kickProtected has the sites of protected mail tried at once, whether a rule protects it or what is published.
func (d *Dispatcher) kickProtected(ctx context.Context) error {
	sites, err := d.cfg.Store.Sites(ctx)
	if err != nil {
		return err
	}
	var keys []queue.SiteKey
	for _, s := range sites {
		if s.Failures > 0 && (s.Requirement.Forced() || published(s.Last)) {
			keys = append(keys, s.Key)
		}
	}
	d.Kick(ctx, keys...)
	return nil
}

// published reports whether an attempt may have failed for what is published, or for what could not be found out of it.
func published(a *attempt.Attempt) bool {
	if a == nil {
		return false
	}
	switch a.Reason {
	case policy.DNSServfail, policy.DNSTimeout, policy.DNSSECBogus, policy.PolicyUnavailable, policy.STSMXMismatch:
		return true
	}
	enforced := func(p policy.Published) bool { return p.Mode == policy.Enforced }
	return slices.ContainsFunc(a.Tries, func(t attempt.Try) bool { return slices.ContainsFunc(t.Published, enforced) })
}

// walkStep is how many deliveries are looked at in one go.
const walkStep = 2000

// moveStale walks what waits, message by message, and moves what does not belong where it waits. It is only for people
// to see at once what misplaced would find out later, and to tell how much holds more than is in force; so it rests as
// long as it works, and leaves the machine to mail.
func (d *Dispatcher) moveStale(ctx context.Context, view *inforce.View) error {
	if view.Err != nil {
		return view.Err
	}
	moved, more := 0, 0
	after := queue.DeliveryID(0)
	for d.cfg.InForce() == view { // else the walk begins anew, for it was told of the change
		began := time.Now()
		recs, last, err := d.stale(ctx, view.Number, after)
		if err != nil || len(recs) == 0 {
			d.tellHeld(view, moved, more)
			return err
		}
		n, kept, err := d.moveSome(ctx, view, recs)
		if err != nil {
			return err
		}
		moved, more, after = moved+n, more+kept, last
		pause.For(ctx, time.Since(began))
	}
	return nil
}

func (d *Dispatcher) tellHeld(view *inforce.View, moved, more int) {
	if moved > 0 {
		d.cfg.Sink.Emit(event.Raised{Revision: view.Revision, Deliveries: moved})
	}
	if more > 0 {
		d.cfg.Sink.Emit(event.Warned{What: "waiting mail",
			Text: fmt.Sprintf("%d deliveries wait under more than is in force now", more),
			Hint: "what was accepted under a rule keeps its protection until you say otherwise: " +
				"postern queue release --rejudge"})
	}
}

// stale lists a step of waiting deliveries that were judged by something else than what is in force.
func (d *Dispatcher) stale(ctx context.Context, number int64, after queue.DeliveryID) (
	recs []queue.Record, last queue.DeliveryID, err error) {
	filter := queue.Filter{
		States: []queue.State{queue.Queued, queue.Held}, JudgedBelow: number, After: after, Limit: walkStep,
		Brief: true,
	}
	for rec, err := range d.cfg.Store.List(ctx, filter) {
		if err != nil {
			return nil, 0, err
		}
		recs, last = append(recs, rec), rec.ID
	}
	return recs, last, nil
}

// moveSome moves those of the records that do not belong where they wait, and counts those that hold more than is in
// force.
func (d *Dispatcher) moveSome(ctx context.Context, view *inforce.View, recs []queue.Record) (
	moved, more int, err error) {
	var ids []queue.DeliveryID
	judged := view.Judgements(d.cfg.Store)
	var messages []queue.ID
	for i := range recs {
		messages = append(messages, recs[i].Message.ID)
	}
	if err := judged.Read(ctx, slices.Compact(messages)...); err != nil {
		return 0, 0, err
	}
	for i := range recs {
		rec := &recs[i]
		m, keeps, err := judged.Move(ctx, &rec.Message, &rec.Delivery, rec.NextHop)
		if err != nil {
			return 0, 0, err
		}
		if keeps {
			more++
		}
		if m != nil {
			ids = append(ids, rec.ID)
		}
	}
	for portion := range slices.Chunk(ids, d.cfg.Batch) {
		done, err := d.moveThese(ctx, view, portion)
		if err != nil {
			return moved, more, err
		}
		moved += done
	}
	return moved, more, nil
}

// moveThese moves what it can lease of some deliveries; what is being sent is judged where it is sent.
func (d *Dispatcher) moveThese(ctx context.Context, view *inforce.View, ids []queue.DeliveryID) (int, error) {
	now := time.Now()
	works, err := d.cfg.Store.Claim(ctx, queue.Claim{
		IDs: ids, Worker: d.cfg.Worker, Now: now, Until: now.Add(d.cfg.Lease), Limit: len(ids),
	})
	if err != nil {
		return 0, err
	}
	for group := range byMessage(works) {
		fates, keep, err := d.sortOut(ctx, view.Judgements(d.cfg.Store), group)
		if err != nil {
			fates, keep = nil, group
		}
		if err := d.conclude(ctx, append(fates, all(keep, d.fates.Untouched)...), nil); err != nil {
			return 0, err
		}
	}
	return len(works), nil
}
