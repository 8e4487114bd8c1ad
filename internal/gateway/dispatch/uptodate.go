package dispatch

import (
	"context"
	"time"

	"postern/internal/attempt"
	"postern/internal/gateway/fate"
	"postern/internal/gateway/inforce"
	"postern/internal/policy"
	"postern/internal/queue"
)

// misplaced holds claimed deliveries of one message against what is in force, and moves what must go elsewhere or
// demands something else than it was claimed for; nil when all belong here. Nothing is ever lowered here.
func (r *run) misplaced(ctx context.Context, group []queue.Work) *step {
	if r.view.Err != nil {
		if r.warned != r.view {
			r.d.warn("rules", r.view.Err, "postern rules show; nothing is sent while it is not known what is in force")
			r.warned = r.view
		}
		return r.unjudged(group)
	}
	move, keep, err := r.d.sortOut(ctx, r.judged, group)
	if err != nil {
		r.d.warn("queue", err, "the message could not be held against what is in force; it waits")
		return r.unjudged(group)
	}
	if len(move) == 0 {
		return nil
	}
	return &step{fates: move, left: keep}
}

// unjudged puts off what cannot be judged: unknown is never good.
func (r *run) unjudged(group []queue.Work) *step {
	now := time.Now()
	a := &attempt.Attempt{At: now, Reason: policy.PolicyUnavailable, Text: "the rules could not be evaluated"}
	return &step{fates: all(group, r.d.fates.DeferredBy(a, now.Add(r.d.fates.Pause(1))))}
}

// sortOut parts the deliveries of one message in those that belong elsewhere now, and those that are right where they
// are.
func (d *Dispatcher) sortOut(ctx context.Context, judged *inforce.Judgements, group []queue.Work) (
	move []fate.Fate, keep []queue.Work, err error) {
	for i := range group {
		w := &group[i]
		to, _, err := judged.Move(ctx, &w.Message, &w.Delivery, w.NextHop)
		switch {
		case err != nil:
			return nil, nil, err
		case to != nil:
			move = append(move, d.moved(w, to))
		default:
			keep = append(keep, *w)
		}
	}
	return move, keep, nil
}

// moved puts a delivery at another site, due at once. What an administrator holds stays held and without a deadline.
func (d *Dispatcher) moved(w *queue.Work, m *queue.Move) fate.Fate {
	f := d.fates.Untouched(w)
	f.Settlement.Move = m
	if w.Was == queue.Held && (w.Quarantine() != nil || w.Rejected() != nil) {
		return f // the deadline is the rule's
	}
	if !w.Deadline.IsZero() && (w.Noticed || m.ExpiresAt.Before(w.Deadline)) {
		f.Settlement.Deadline = m.ExpiresAt
	}
	return f
}
