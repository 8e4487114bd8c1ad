package waiting

import (
	"context"
	"maps"
	"slices"
	"time"

	"postern/internal/operator/access"
	"postern/internal/operator/trace"
	"postern/internal/queue"
)

// Act changes waiting mail. ActRequest.By is ignored: the principal acts. Where the scope is not everything, only
// messages are touched of which all that waits is within it.
func (d QueueDesk) Act(ctx context.Context, r ActRequest) (ActResult, error) {
	if err := d.who.Need(access.ActOnQueue); err != nil {
		return ActResult{}, err
	}
	if r.Lower || r.Rejudge {
		if err := d.who.Need(access.Lower); err != nil {
			return ActResult{}, err
		}
	}
	by, err := d.who.Author()
	if err != nil {
		return ActResult{}, err
	}
	if err := r.check(); err != nil {
		return ActResult{}, err
	}
	if d.who.Scope.All {
		return d.actOnKnown(ctx, &r, by)
	}
	chosen, err := d.within(ctx, &r)
	if err != nil {
		return ActResult{}, err
	}
	unknown := chosen.lacks(&r)
	if len(chosen) == 0 {
		return ActResult{}, access.NotFound("%s", SayUnknown(r.Kind, orAnything(unknown)))
	}
	out, err := d.s.act(ctx, d.who, ActRequest{Kind: r.Kind, Messages: chosen.messages(), Lower: r.Lower,
		Rejudge: r.Rejudge, Wait: r.Wait}, by)
	out.Unknown = unknown
	return out, err
}

// ActOn changes what waits and fits a search; at most 5000 messages at a time, each with all that waits of it.
func (d QueueDesk) ActOn(ctx context.Context, q trace.Query, kind queue.ActionKind) (ActResult, error) {
	if err := d.who.Need(access.ActOnQueue); err != nil {
		return ActResult{}, err
	}
	if len(q.States) == 0 {
		q.States = trace.WaitingStates()
	}
	q.States = slices.DeleteFunc(slices.Clone(q.States),
		func(s string) bool { return !slices.Contains(trace.WaitingStates(), s) })
	if len(q.States) == 0 {
		return ActResult{}, access.BadRequest("only what waits can be acted on")
	}
	f, err := q.Filter()
	if err != nil {
		return ActResult{}, err
	}
	chosen := map[string]bool{}
	stop, err := d.who.SearchFor(ctx, f, chosenMost, actTime, func(r *queue.Record) bool {
		t := d.who.Trace(r)
		if !d.who.Keeps(&q, &t) {
			return false
		}
		chosen[t.Message] = true
		return true
	})
	switch {
	case err != nil:
		return ActResult{}, err
	case stop != nil:
		return ActResult{}, access.BadRequest("that is more than can be chosen at once; narrow the search, or act " +
			"on a domain")
	case len(chosen) == 0:
		return ActResult{}, access.ErrNotFound
	}
	by, err := d.who.Author()
	if err != nil {
		return ActResult{}, err
	}
	r := ActRequest{Kind: kind, Messages: slices.Sorted(maps.Keys(chosen))}
	if d.who.Scope.All {
		return d.s.act(ctx, d.who, r, by) // all of them waited a moment ago
	}
	return d.Act(ctx, r)
}

// chosenMost bounds the waiting deliveries that an action chooses among.
const chosenMost = 5000

// actTime is how long what an action is about is looked for.
const actTime = 5 * time.Second

// within finds the messages r chooses of which everything that waits may be seen.
func (d QueueDesk) within(ctx context.Context, r *ActRequest) (chosenMail, error) {
	var filters []queue.Filter
	for _, domain := range r.Domains {
		f := queue.AllWaiting()
		f.Domain = domain
		filters = append(filters, f)
	}
	if r.All || len(r.Messages) > 0 {
		f := queue.AllWaiting()
		for _, id := range r.Messages {
			f.IDs = append(f.IDs, queue.ID(id))
		}
		filters = append(filters, f)
	}
	chosen := chosenMail{}
	for _, f := range filters {
		f.Brief = true
		stop, err := d.who.Search(ctx, f, chosenMost, func(rec *queue.Record) { chosen.add(rec) })
		if err == nil && stop != nil {
			err = access.BadRequest("that is more than can be chosen at once; name the messages")
		}
		if err != nil {
			return nil, err
		}
	}
	whole := queue.AllWaiting()
	whole.Brief = true
	for id := range chosen {
		whole.IDs = append(whole.IDs, id)
	}
	if len(whole.IDs) == 0 {
		return nil, nil
	}
	for rec, err := range d.s.cfg.Store.List(ctx, whole) {
		if err != nil {
			return nil, err
		}
		if !d.who.Sees(&rec) {
			delete(chosen, rec.Message.ID)
		}
	}
	return chosen, nil
}
