package dispatch

import (
	"context"
	"fmt"
	"time"

	"postern/internal/attempt"
	"postern/internal/event"
	"postern/internal/gateway/inforce"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/queue"
)

// raisedGrace is the least time a delivery still has after its requirement was raised: its window counts from
// acceptance and may be over already.
const raisedGrace = time.Minute

// upToDate holds claimed deliveries of one message against what is in force. What must go elsewhere, or demands something
// else than it was claimed for, is moved; only the rest is returned. Nothing is ever lowered here.
func (r *run) upToDate(ctx context.Context, view *inforce.View, group []queue.Work) (keep []queue.Work) {
	if view.Err != nil {
		if r.told != view {
			r.d.warn("rules", view.Err, "postern rules show; nothing is sent while it is not known what is in force")
			r.told = view
		}
		r.unruled(ctx, group)
		return nil
	}
	moves, err := r.d.moves(ctx, view, group)
	if err != nil {
		r.d.warn("queue", err, "the message could not be held against what is in force; it waits")
		r.unruled(ctx, group)
		return nil
	}
	var fates []fate
	for i := range group {
		if moves[i] == nil {
			keep = append(keep, group[i])
			continue
		}
		fates = append(fates, r.d.moved(&group[i], moves[i]))
	}
	r.conclude(ctx, fates)
	return keep
}

// unruled puts off what cannot be judged: unknown is never good.
func (r *run) unruled(ctx context.Context, group []queue.Work) {
	a := &attempt.Attempt{At: time.Now(), Reason: policy.PolicyUnavailable, Text: "the rules could not be evaluated"}
	due := time.Now().Add(r.d.step(1))
	fates := make([]fate, len(group))
	for i := range group {
		fates[i] = r.d.deferred(&group[i], a, due)
	}
	r.conclude(ctx, fates)
}

// moved puts a delivery at another site, due at once. What an administrator holds stays held and without a deadline.
func (d *Dispatcher) moved(w *queue.Work, m *queue.Move) fate {
	f := d.again(w)
	f.settlement.Move = m
	if !w.Deadline.IsZero() && (w.Noticed || m.ExpiresAt.Before(w.Deadline)) {
		f.settlement.Deadline = m.ExpiresAt
	}
	return f
}

// moves returns for each delivery of one message where it belongs now, nil where it is right already.
func (d *Dispatcher) moves(ctx context.Context, view *inforce.View, group []queue.Work) ([]*queue.Move, error) {
	out := make([]*queue.Move, len(group))
	m := &group[0].Message
	var judged map[mail.Address]*inforce.Judged
	for i := range group {
		w := &group[i]
		if w.JudgedUnder(m) >= view.Number {
			continue
		}
		if judged == nil {
			var err error
			if judged, err = view.Stored(ctx, d.cfg.Store, m); err != nil {
				return nil, err
			}
		}
		out[i], _ = move(view, &w.Delivery, m.Kind, w.NextHop, judged[w.Recipient.Address])
	}
	return out, nil
}

// move says where a delivery belongs by what is in force, nil where it is right already, and whether it holds more than
// that because nobody said that it may have less.
func move(view *inforce.View, w *queue.Delivery, kind queue.Kind, nextHop string, j *inforce.Judged) (_ *queue.Move, more bool) {
	now := time.Now()
	want := view.Weigh(w, kind, j, now)
	m := &queue.Move{
		NextHop: view.Table.NextHop(w.Recipient.Address.Domain, want.Requirement), Requirement: want.Requirement,
		Demands: want.Demands, Rules: want.Rules(), Matched: w.Matched || j.Matched, ExpiresAt: w.ExpiresAt, Judged: view.Number,
	}
	if m.NextHop == nextHop && want.Requirement.Key() == w.Requirement.Key() && policy.SameDemands(want.Demands, view.Sourced(w, kind)) {
		return nil, want.More
	}
	if j.Window > 0 && !w.Requirement.AtLeast(want.Requirement) {
		end := w.AcceptedAt.Add(j.Window)
		if least := now.Add(raisedGrace); end.Before(least) {
			end = least
		}
		if end.Before(w.ExpiresAt) {
			m.ExpiresAt = end
		}
	}
	return m, want.More
}

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
		if err := d.hold(ctx, d.cfg.InForce()); err != nil && ctx.Err() == nil {
			d.warn("rules", err, "waiting mail is held against what is in force when it is next tried; until then it is not sent")
		}
	}
}

// kickProtected has the sites of protected mail tried at once.
func (d *Dispatcher) kickProtected(ctx context.Context) error {
	sites, err := d.cfg.Store.Sites(ctx)
	if err != nil {
		return err
	}
	var keys []queue.SiteKey
	for _, s := range sites {
		if s.Requirement.Forced() && s.Failures > 0 {
			keys = append(keys, s.Key)
		}
	}
	d.Kick(ctx, keys...)
	return nil
}

// walkStep is how many deliveries are looked at in one go.
const walkStep = 2000

// hold walks what waits, message by message, and moves what does not belong where it waits. It is only for people to see
// at once what upToDate would find out later, and to tell how much holds more than is in force.
func (d *Dispatcher) hold(ctx context.Context, view *inforce.View) error {
	if view.Err != nil {
		return view.Err
	}
	moved, more := 0, 0
	after := queue.DeliveryID(0)
	for d.cfg.InForce() == view { // else the walk begins anew, for it was told of the change
		recs, last, err := d.stale(ctx, view.Number, after)
		if err != nil || len(recs) == 0 {
			d.tellHeld(view, moved, more)
			return err
		}
		n, kept, err := d.holdSome(ctx, view, recs)
		if err != nil {
			return err
		}
		moved, more, after = moved+n, more+kept, last
	}
	return nil
}

func (d *Dispatcher) tellHeld(view *inforce.View, moved, more int) {
	if moved > 0 {
		d.cfg.Sink.Emit(event.Raised{Revision: view.Revision, Deliveries: moved})
	}
	if more > 0 {
		d.cfg.Sink.Emit(event.Warned{What: "waiting mail", Text: fmt.Sprintf("%d deliveries wait under more than is in force now", more),
			Hint: "what was accepted under a rule keeps its protection until you say otherwise: postern queue release --rejudge"})
	}
}

// stale lists a step of waiting deliveries that were judged by something else than what is in force.
func (d *Dispatcher) stale(ctx context.Context, number int64, after queue.DeliveryID) (recs []queue.Record, last queue.DeliveryID, err error) {
	filter := queue.Filter{
		States: []queue.State{queue.Queued, queue.Held}, JudgedBelow: number, After: after, Limit: walkStep,
	}
	for rec, err := range d.cfg.Store.List(ctx, filter) {
		if err != nil {
			return nil, 0, err
		}
		recs, last = append(recs, rec), rec.ID
	}
	return recs, last, nil
}

// holdSome moves those of the records that do not belong where they wait.
func (d *Dispatcher) holdSome(ctx context.Context, view *inforce.View, recs []queue.Record) (moved, more int, err error) {
	var ids []queue.DeliveryID
	judged := map[queue.ID]map[mail.Address]*inforce.Judged{}
	for i := range recs {
		rec := &recs[i]
		outcomes, ok := judged[rec.Message.ID]
		if !ok {
			if outcomes, err = view.Stored(ctx, d.cfg.Store, &rec.Message); err != nil {
				return 0, 0, err
			}
			judged[rec.Message.ID] = outcomes
		}
		m, keeps := move(view, &rec.Delivery, rec.Message.Kind, rec.NextHop, outcomes[rec.Recipient.Address])
		if keeps {
			more++
		}
		if m != nil {
			ids = append(ids, rec.ID)
		}
	}
	for len(ids) > 0 {
		n := min(len(ids), d.cfg.Batch)
		done, err := d.moveThese(ctx, view, ids[:n])
		if err != nil {
			return moved, more, err
		}
		moved, ids = moved+done, ids[n:]
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
		moves, err := d.moves(ctx, view, group)
		var fates []fate
		for i := range group {
			if err != nil || moves[i] == nil {
				fates = append(fates, d.again(&group[i]))
				continue
			}
			fates = append(fates, d.moved(&group[i], moves[i]))
		}
		if err := d.conclude(ctx, fates, nil); err != nil {
			return 0, err
		}
	}
	return len(works), nil
}
