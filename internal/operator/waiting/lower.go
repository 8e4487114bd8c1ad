package waiting

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"postern/internal/event"
	"postern/internal/gateway/inforce"
	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/operator/audit"
	"postern/internal/policy"
	"postern/internal/policy/rules"
	"postern/internal/queue"
)

// LowerPortion is how many deliveries are lowered in one transaction.
const LowerPortion = 100

// leaseTime is how long a portion may take before its leases lapse.
const leaseTime = time.Minute

// Surplus is how much of what waits holds more than some rules demand.
type Surplus struct {
	Deliveries int `json:"deliveries"`
	// Partial says that not all that waits was looked at, for there is too much of it: there may be more.
	Partial bool `json:"partial,omitempty"`
}

// Bounds of what is looked at for a Surplus.
const (
	surplusMost = 20_000
	surplusTime = 10 * time.Second
)

// fate says what one claimed delivery is to demand from now on; ok is false where it stays as it is.
type fate func(view *inforce.View, w *queue.Work, j *inforce.Judged) (to inforce.Weighed, ok bool)

// Surplus counts what waits under more than set demands, with the tables in force; only what only chooses, where it is
// not nil.
func (s *Service) Surplus(ctx context.Context, set *rules.Set, only func(*queue.Record) bool) (out Surplus, err error) {
	view := *s.cfg.Rules.Now()
	if view.Rules, view.Err = set, nil; view.Table == nil {
		return out, nil
	}
	filters, err := s.protected(ctx)
	if err != nil {
		return out, err
	}
	looked, ends := 0, time.Now().Add(surplusTime)
	for _, f := range filters {
		err := s.chunks(ctx, f, func(recs []queue.Record) (more bool, err error) {
			if looked += len(recs); looked > surplusMost || time.Now().After(ends) {
				out.Partial = true
				return false, nil
			}
			if only != nil {
				recs = slices.DeleteFunc(recs, func(r queue.Record) bool { return !only(&r) })
			}
			n, err := s.count(ctx, &view, recs)
			out.Deliveries += n
			return true, err
		})
		if err != nil || out.Partial {
			return out, err
		}
	}
	return out, nil
}

// count says how many of the records hold more than is in force in view.
func (s *Service) count(ctx context.Context, view *inforce.View, recs []queue.Record) (n int, err error) {
	judged := view.Judgements(s.cfg.Store)
	for i := range recs {
		rec := &recs[i]
		outcomes, err := judged.Of(ctx, &rec.Message)
		if err != nil {
			return n, cannotJudge(err)
		}
		if w := view.Weigh(&rec.Delivery, rec.Message.Kind, outcomes[rec.Recipient.Address], time.Now()); w.More {
			n++
		}
	}
	return n, nil
}

// protected selects all that waits under any demand, site by site.
func (s *Service) protected(ctx context.Context) (out []queue.Filter, err error) {
	sites, err := s.cfg.Store.Sites(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot list what waits: %w", err)
	}
	for _, site := range sites {
		if site.Requirement.Key() != "" {
			f := queue.AllWaiting()
			f.Site = site.Key
			out = append(out, f)
		}
	}
	return out, nil
}

// chunks reads what f selects, some hundred records at a time, while each wants more.
func (s *Service) chunks(ctx context.Context, f queue.Filter, each func([]queue.Record) (more bool, err error)) error {
	for f.Limit = 500; ; {
		var recs []queue.Record
		for rec, err := range s.cfg.Store.List(ctx, f) {
			if err != nil {
				return fmt.Errorf("cannot list what waits: %w", err)
			}
			recs = append(recs, rec)
		}
		if len(recs) == 0 {
			return nil
		}
		f.After = recs[len(recs)-1].ID // before each may change the slice
		if more, err := each(recs); err != nil || !more {
			return err
		}
	}
}

// lower moves waiting deliveries to what is demanded of them without any rule. What their senders demand is not ours to
// lower.
func (s *Service) lower(ctx context.Context, r *ActRequest, by string) (ActResult, error) {
	c := changing{s: s, by: by, action: "queue release --lower", target: r.target(), releases: true,
		fate: func(view *inforce.View, w *queue.Work, _ *inforce.Judged) (to inforce.Weighed, ok bool) {
			to.Demands = view.Unruled(&w.Message, w.Recipient.Address.Domain)
			to.Requirement = policy.Join(to.Demands)
			return to, !to.Requirement.AtLeast(w.Requirement)
		}}
	return c.do(ctx, r)
}

// rejudge gives waiting deliveries exactly what is in force: all that demand something else, or, with only, those that
// hold more.
func (s *Service) rejudge(ctx context.Context, r *ActRequest, by, action string, only bool) (ActResult, error) {
	c := changing{s: s, by: by, action: action, target: r.target(), judges: true,
		fate: func(view *inforce.View, w *queue.Work, j *inforce.Judged) (inforce.Weighed, bool) {
			now := time.Now()
			to := view.Exact(&w.Delivery, w.Message.Kind, j, now)
			same := policy.SameDemands(to.Demands, view.Sourced(&w.Delivery, w.Message.Kind)) &&
				to.Requirement.Key() == w.Requirement.Key()
			return to, !same && (!only || view.Weigh(&w.Delivery, w.Message.Kind, j, now).More)
		}}
	return c.do(ctx, r)
}

// changing is one change of what waiting deliveries demand. Each portion is in the audit trail before it is made.
type changing struct {
	s                  *Service
	by, action, target string
	fate               fate
	judges             bool // fate looks at the judgement
	releases           bool // what is held is released
	view               *inforce.View
	busy               map[queue.DeliveryID]queue.ID // being sent when their turn came
	sites              map[queue.SiteKey]bool        // where something waits now
	out                ActResult
}

// do changes what r names.
func (c *changing) do(ctx context.Context, r *ActRequest) (ActResult, error) {
	if c.view = c.s.cfg.Rules.Now(); c.view.Table == nil {
		return ActResult{}, access.BadRequest("this gateway does not deliver, so nothing can be lowered")
	}
	if c.judges && c.view.Err != nil {
		return ActResult{}, c.view.Err
	}
	filters, err := c.s.named(ctx, r)
	if err != nil {
		return ActResult{}, err
	}
	c.sites, c.busy = map[queue.SiteKey]bool{}, map[queue.DeliveryID]queue.ID{}
	defer func() { c.s.Kick(ctx, slices.Collect(maps.Keys(c.sites))) }() // also for what was done before an error
	for _, f := range filters {
		if err := c.s.chunks(ctx, f, func(recs []queue.Record) (bool, error) {
			return true, c.some(ctx, recs)
		}); err != nil {
			return c.out, err
		}
	}
	err = c.insist(ctx)
	c.out.Busy, c.out.Sites = len(c.busy), len(c.sites)
	return c.out, err
}

// Who asks waits a moment for what is being sent: most attempts that fall short end soon.
const (
	insistTime  = 3 * time.Second
	insistPause = 100 * time.Millisecond
)

// insist changes what was being sent, as soon as that ends and it still waits.
func (c *changing) insist(ctx context.Context) error {
	for end := time.Now().Add(insistTime); len(c.busy) > 0 && time.Now().Before(end); {
		if !pause(ctx, insistPause) {
			return ctx.Err()
		}
		f := queue.AllWaiting()
		for _, id := range c.busy {
			f.IDs = append(f.IDs, id)
		}
		slices.Sort(f.IDs)
		f.IDs = slices.Compact(f.IDs)
		were := c.busy
		c.busy = map[queue.DeliveryID]queue.ID{}
		err := c.s.chunks(ctx, f, func(recs []queue.Record) (bool, error) {
			recs = slices.DeleteFunc(recs, func(r queue.Record) bool { return were[r.ID] == "" })
			return true, c.some(ctx, recs)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// named selects what r names of all that waits under any demand.
func (s *Service) named(ctx context.Context, r *ActRequest) ([]queue.Filter, error) {
	action := queue.Action{Kind: r.Kind}
	if err := r.selectors(&action); err != nil {
		return nil, err
	}
	if r.All {
		return s.protected(ctx)
	}
	var filters []queue.Filter
	for _, d := range action.Domains {
		f := queue.AllWaiting()
		f.Domain = d
		filters = append(filters, f)
	}
	if len(action.Messages) > 0 {
		f := queue.AllWaiting()
		f.IDs = action.Messages
		filters = append(filters, f)
	}
	return filters, nil
}

// some changes those of the records that want it, in portions.
func (c *changing) some(ctx context.Context, recs []queue.Record) error {
	var ids []queue.DeliveryID
	messages := map[queue.DeliveryID]queue.ID{}
	judged := c.view.Judgements(c.s.cfg.Store)
	for i := range recs {
		rec := &recs[i]
		if rec.Requirement.Key() == "" {
			continue
		}
		j, err := c.judge(ctx, &rec.Message, judged)
		if err != nil {
			return err
		}
		if _, ok := c.fate(c.view, &queue.Work{Delivery: rec.Delivery, Message: rec.Message},
			j[rec.Recipient.Address]); ok {
			ids = append(ids, rec.ID)
			messages[rec.ID] = rec.Message.ID
		}
	}
	slices.Sort(ids)
	for len(ids) > 0 {
		portion := ids[:min(len(ids), LowerPortion)]
		ids = ids[len(portion):]
		leased, err := c.these(ctx, portion)
		for _, id := range portion {
			if !slices.Contains(leased, id) {
				c.busy[id] = messages[id]
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *changing) judge(ctx context.Context, m *queue.Message,
	judged *inforce.Judgements) (map[mail.Address]*inforce.Judged, error) {
	if !c.judges {
		return nil, nil
	}
	out, err := judged.Of(ctx, m)
	return out, cannotJudge(err)
}

// cannotJudge says what an error of a judgement keeps from being done.
func cannotJudge(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("cannot judge what waits: %w", err)
}

// these leases a portion, writes the audit trail, and only then changes it. It returns what it leased, counts what it
// changed, and adds to sites where something waits now, also what a worker looked for in vain while it was leased here.
func (c *changing) these(ctx context.Context, ids []queue.DeliveryID) (leased []queue.DeliveryID, err error) {
	s, now := c.s, time.Now()
	works, err := s.cfg.Store.Claim(ctx, queue.Claim{IDs: ids, Worker: "admin", Now: now, Until: now.Add(leaseTime),
		Limit: len(ids)})
	if err != nil || len(works) == 0 {
		return nil, err
	}
	for i := range works {
		leased = append(leased, works[i].ID)
	}
	batch, entry, changed, err := c.batch(ctx, works, now)
	if err != nil || changed == 0 {
		s.putBack(ctx, works, now, c.sites)
		return leased, err
	}
	if err := s.cfg.Ledger.Append(ctx, entry); err != nil {
		s.putBack(ctx, works, now, c.sites)
		return leased, fmt.Errorf("nothing was lowered, because the audit trail could not be written: %w", err)
	}
	if err := s.cfg.Store.Settle(ctx, batch); err != nil {
		s.putBack(ctx, works, now, c.sites)
		return leased, fmt.Errorf("cannot lower: %w", err)
	}
	s.cfg.Sink.Emit(event.AdminActed{By: c.by, Action: entry.Action, Target: c.target, Count: entry.Count})
	c.out.Changed += changed
	return leased, nil
}

// batch makes the settlements of a portion, and what the audit trail says of them.
func (c *changing) batch(ctx context.Context, works []queue.Work,
	now time.Time) (queue.Batch, audit.Entry, int, error) {
	batch, judged := queue.Batch{Now: now}, c.view.Judgements(c.s.cfg.Store)
	entry := audit.Entry{At: now, By: c.by, Action: c.action, Target: c.target}
	var before, after []string
	for i := range works {
		w := &works[i]
		outcomes, err := c.judge(ctx, &w.Message, judged)
		if err != nil {
			return batch, entry, 0, err
		}
		j := outcomes[w.Recipient.Address]
		to, ok := c.fate(c.view, w, j)
		if !ok { // changed since it was listed
			batch.Settlements = append(batch.Settlements, unchanged(w))
			if !w.Due.IsZero() {
				c.sites[w.Site] = true
			}
			continue
		}
		st := c.settlement(w, &to, j, now)
		batch.Settlements = append(batch.Settlements, st)
		c.sites[queue.NewSiteKey(st.Move.NextHop, st.Move.Requirement)] = true
		before, after = append(before, lowerLine(w, w.Requirement)), append(after, lowerLine(w, st.Move.Requirement))
	}
	entry.Count, entry.Before, entry.After = len(before), strings.Join(before, "\n"), strings.Join(after, "\n")
	return batch, entry, len(before), nil
}

func lowerLine(w *queue.Work, r policy.Requirement) string {
	line := string(w.Delivery.Message) + " " + strconv.FormatInt(int64(w.ID), 10) + " " + w.Recipient.Address.String() +
		" " + r.Channel.String()
	if len(w.Rules) > 0 && r.Key() == w.Requirement.Key() {
		line += " (" + strings.Join(w.Rules, ",") + ")"
	}
	return line
}

// loweredGrace is the least time that lowered mail still has, so that it is tried before its lifetime ends it.
const loweredGrace = time.Minute

// settlement moves one delivery to other demands, due now. What is in force now is not to raise it again.
func (c *changing) settlement(w *queue.Work, to *inforce.Weighed, j *inforce.Judged, now time.Time) queue.Settlement {
	expires := c.s.expiry(w, to, j, now)
	deadline := expires
	if !w.Noticed && !w.Deadline.IsZero() && w.Deadline.Before(expires) && w.Deadline.Before(w.ExpiresAt) {
		deadline = w.Deadline // the delay notice is still to come
	}
	if least := now.Add(loweredGrace); deadline.Before(least) {
		deadline = least
	}
	st := queue.Settlement{Lease: w.Lease, State: queue.Queued, Due: now, Deadline: deadline, Reason: w.Reason,
		Move: c.view.MoveTo(&w.Delivery, to)}
	st.Move.ExpiresAt = expires
	if j != nil {
		st.Move.Matched = j.Matched
	}
	if !c.releases && w.Was == queue.Held && w.Due.IsZero() { // held by an administrator
		st.State, st.Due, st.Deadline = queue.Held, time.Time{}, time.Time{}
		if w.Quarantine() != nil || w.Rejected() != nil {
			st.Deadline = w.Deadline
		}
	}
	return st
}

// expiry is when the window of a delivery ends that is to demand something else: that of the rules in force, or the
// ordinary lifetime where none forces it.
func (s *Service) expiry(w *queue.Work, to *inforce.Weighed, j *inforce.Judged, now time.Time) time.Time {
	switch {
	case j != nil && j.Window > 0:
		return later(w.AcceptedAt.Add(j.Window), now.Add(loweredGrace))
	case to.Requirement.Forced():
		return w.ExpiresAt
	}
	return later(w.AcceptedAt.Add(s.cfg.Lifetime), w.ExpiresAt)
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// unchanged ends a lease without a change.
func unchanged(w *queue.Work) queue.Settlement {
	return queue.Settlement{Lease: w.Lease, State: w.Was, Due: w.Due, Deadline: w.Deadline, Reason: w.Reason}
}

// putBack ends leases without a change, and adds to sites where something is due.
func (s *Service) putBack(ctx context.Context, works []queue.Work, now time.Time, sites map[queue.SiteKey]bool) {
	batch := queue.Batch{Now: now}
	for i := range works {
		if !works[i].Due.IsZero() {
			sites[works[i].Site] = true
		}
		batch.Settlements = append(batch.Settlements, unchanged(&works[i]))
	}
	_ = s.cfg.Store.Settle(ctx, batch) // if it fails, the leases lapse after leaseTime with the same effect
}
