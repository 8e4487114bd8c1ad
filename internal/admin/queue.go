package admin

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"postern/internal/event"
	"postern/internal/ledger"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/queue"
)

// ActRequest asks for a change of waiting mail.
type ActRequest struct {
	By   string           `json:"-"`
	Kind queue.ActionKind `json:"kind"`
	// Domains are recipient domains, Messages queue ids; either may name. All selects everything that waits.
	Domains  []string `json:"domains,omitempty"`
	Messages []string `json:"messages,omitempty"`
	All      bool     `json:"all,omitempty"`
	// Lower, with Release, lowers the deliveries to what the configuration demands without any rule. It is the only way a
	// requirement is ever lowered.
	Lower bool `json:"lower,omitempty"`
	// Wait is how many seconds to wait for what is being sent, so that its end is told; at most MostWait. Whatever it is,
	// a moment is waited for what no worker has begun with.
	Wait int `json:"wait,omitempty"`
}

// MostWait bounds ActRequest.Wait.
const MostWait = 60

// ActResult says what was changed.
type ActResult struct {
	Changed int `json:"changed"`
	Sites   int `json:"sites"`
	// Pending is how many are being sent right now: they change when that ends, unless the other server takes them or
	// refuses them for good. PendingMessages names some of their messages.
	Pending         int      `json:"pending,omitempty"`
	PendingMessages []string `json:"pending_messages,omitempty"`
	// TooLate is how many were pending and ended otherwise while they were waited for: delivered, or failed.
	TooLate int `json:"too_late,omitempty"`
	// Busy is how many were left alone because they are being sent right now (only lowering can tell).
	Busy int `json:"busy,omitempty"`
}

// Act carries out r. Retry, hold, release and cancel are one transaction of the store each; lowering goes in portions.
func (s *Service) Act(ctx context.Context, r ActRequest) (ActResult, error) {
	by, err := who(r.By)
	if err != nil {
		return ActResult{}, err
	}
	a := queue.Action{Kind: r.Kind, Now: time.Now(), By: by}
	if err := r.selectors(&a); err != nil {
		return ActResult{}, err
	}
	if r.Lower {
		return s.lower(ctx, &r, by)
	}
	a.KeepHolds = r.All
	acted, err := s.cfg.Store.Act(ctx, a)
	if err != nil {
		return ActResult{}, fmt.Errorf("cannot %s: %w", r.Kind, err)
	}
	if r.Kind == queue.Retry || r.Kind == queue.Release {
		s.kick(ctx, acted.Sites)
	}
	entry := ledger.Entry{At: a.Now, By: by, Action: "queue " + string(r.Kind), Target: r.target(), Count: acted.Changed}
	if n := len(acted.Pending); n > 0 {
		entry.After = fmt.Sprintf("%d more being sent, to be %s when that ends", n, r.done())
	}
	out := ActResult{Changed: acted.Changed, Sites: len(acted.Sites)}
	if err := s.record(ctx, entry); err != nil {
		out.pend(acted.Pending)
		return out, err
	}
	return out, s.await(ctx, &out, acted.Pending, r.Wait)
}

// selectors checks what r names and puts it into a. Naming nothing is everything only when r says All.
func (r *ActRequest) selectors(a *queue.Action) error {
	if err := a.Check(); err != nil {
		return badRequest("there is no action %q; the actions are retry, hold, release, cancel", r.Kind)
	}
	if r.Wait < 0 || r.Wait > MostWait {
		return badRequest("the longest wait is %d seconds", MostWait)
	}
	if r.Lower && r.Kind != queue.Release {
		return badRequest("only a release can lower")
	}
	named := len(r.Domains) + len(r.Messages)
	switch {
	case r.All && named > 0:
		return badRequest("name domains and messages, or ask for all, not both")
	case !r.All && named == 0:
		return badRequest("%w", ErrNothingNamed)
	}
	for _, name := range r.Domains {
		d, err := mail.ParseDomain(name)
		if err != nil {
			return badRequest("%w", err)
		}
		a.Domains = append(a.Domains, d.String())
	}
	for _, id := range r.Messages {
		a.Messages = append(a.Messages, queue.ID(id))
	}
	return nil
}

// target is what r names, for the audit trail.
func (r *ActRequest) target() string {
	if r.All {
		return "everything that waits"
	}
	return strings.Join(append(append([]string{}, r.Domains...), r.Messages...), " ")
}

// lowerPortion is how many deliveries are lowered in one transaction.
const lowerPortion = 100

// leaseTime is how long a portion may take before its leases lapse.
const leaseTime = time.Minute

// lower moves waiting deliveries to what the configuration demands of their domains without any rule.
func (s *Service) lower(ctx context.Context, r *ActRequest, by string) (ActResult, error) {
	if s.cfg.NextHop == nil {
		return ActResult{}, badRequest("this gateway does not deliver, so nothing can be lowered")
	}
	ids, err := s.lowerable(ctx, r)
	if err != nil {
		return ActResult{}, err
	}
	var out ActResult
	sites := map[queue.SiteKey]bool{}
	defer func() { s.kick(ctx, slices.Collect(maps.Keys(sites))) }() // also for what was done before an error
	for len(ids) > 0 {
		portion := ids[:min(len(ids), lowerPortion)]
		ids = ids[len(portion):]
		n, err := s.lowerThese(ctx, portion, by, r.target(), sites)
		out.Changed, out.Busy = out.Changed+n, out.Busy+len(portion)-n
		if err != nil {
			return out, err
		}
	}
	out.Sites = len(sites)
	return out, nil
}

// lowerable lists the deliveries that r names and that require more than the configuration does.
func (s *Service) lowerable(ctx context.Context, r *ActRequest) ([]queue.DeliveryID, error) {
	action := queue.Action{Kind: r.Kind}
	if err := r.selectors(&action); err != nil {
		return nil, err
	}
	waiting := queue.Filter{States: []queue.State{queue.Queued, queue.Sending, queue.Held}}
	var filters []queue.Filter
	for _, d := range action.Domains {
		f := waiting
		f.Domain = d
		filters = append(filters, f)
	}
	if len(action.Messages) > 0 || r.All {
		waiting.IDs = action.Messages
		filters = append(filters, waiting)
	}
	var ids []queue.DeliveryID
	for _, f := range filters {
		for rec, err := range s.cfg.Store.List(ctx, f) {
			if err != nil {
				return nil, fmt.Errorf("cannot list what waits: %w", err)
			}
			if !s.ordinary(&rec.Delivery).AtLeast(rec.Requirement) {
				ids = append(ids, rec.ID)
			}
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

func (s *Service) ordinary(d *queue.Delivery) policy.Requirement {
	return s.cfg.Ordinary(d.Recipient.Address.Domain)
}

// lowerThese leases a portion, writes the audit trail, and only then lowers. It returns how many were lowered, and adds
// to sites where something waits now, also what a worker looked for in vain while it was leased here.
func (s *Service) lowerThese(ctx context.Context, ids []queue.DeliveryID, by, target string, sites map[queue.SiteKey]bool) (int, error) {
	now := time.Now()
	works, err := s.cfg.Store.Claim(ctx, queue.Claim{IDs: ids, Worker: "admin", Now: now, Until: now.Add(leaseTime), Limit: len(ids)})
	if err != nil || len(works) == 0 {
		return 0, err
	}
	_, revision, _ := s.cfg.Rules.Current() // without it the rules are asked again, which is the safe side
	batch := queue.Batch{Now: now}
	entry := ledger.Entry{At: now, By: by, Action: "queue release --lower", Target: target, Count: len(works)}
	var before, after []string
	for i := range works {
		st := s.lowered(&works[i], now, revision)
		batch.Settlements = append(batch.Settlements, st)
		sites[queue.NewSiteKey(st.Move.NextHop, st.Move.Requirement)] = true
		before = append(before, lowerLine(&works[i], works[i].Requirement))
		after = append(after, lowerLine(&works[i], st.Move.Requirement))
	}
	entry.Before, entry.After = strings.Join(before, "\n"), strings.Join(after, "\n")
	if err := s.cfg.Ledger.Append(ctx, entry); err != nil {
		s.putBack(ctx, works, now, sites)
		return 0, fmt.Errorf("nothing was lowered, because the audit trail could not be written: %w", err)
	}
	if err := s.cfg.Store.Settle(ctx, batch); err != nil {
		s.putBack(ctx, works, now, sites)
		return 0, fmt.Errorf("cannot lower: %w", err)
	}
	s.cfg.Sink.Emit(event.AdminActed{By: by, Action: entry.Action, Target: target, Count: entry.Count})
	return len(works), nil
}

func lowerLine(w *queue.Work, r policy.Requirement) string {
	line := string(w.Delivery.Message) + " " + strconv.FormatInt(int64(w.ID), 10) + " " + w.Recipient.Address.String() + " " + r.Channel.String()
	if len(w.Rules) > 0 && r.Key() == w.Requirement.Key() {
		line += " (" + strings.Join(w.Rules, ",") + ")"
	}
	return line
}

// loweredGrace is the least time that lowered mail still has, so that it is tried before its lifetime ends it.
const loweredGrace = time.Minute

// lowered is the settlement that moves one delivery to the ordinary requirement, due now, with the ordinary lifetime. The
// rules of the revision are not to raise it again.
func (s *Service) lowered(w *queue.Work, now time.Time, revision int64) queue.Settlement {
	r := s.ordinary(&w.Delivery)
	expires := w.AcceptedAt.Add(s.cfg.Lifetime)
	if expires.Before(w.ExpiresAt) {
		expires = w.ExpiresAt
	}
	deadline := expires
	if !w.Noticed && !w.Deadline.IsZero() && w.Deadline.Before(expires) && w.Deadline.Before(w.ExpiresAt) {
		deadline = w.Deadline // the delay notice is still to come
	}
	if least := now.Add(loweredGrace); deadline.Before(least) {
		deadline = least
	}
	return queue.Settlement{Lease: w.Lease, State: queue.Queued, Due: now, Deadline: deadline, Reason: w.Reason,
		Move: &queue.Move{NextHop: s.cfg.NextHop(w.Recipient.Address.Domain, r), Requirement: r, ExpiresAt: expires,
			RulesRevision: revision}}
}

// putBack ends leases without a change, and adds to sites where something is due.
func (s *Service) putBack(ctx context.Context, works []queue.Work, now time.Time, sites map[queue.SiteKey]bool) {
	batch := queue.Batch{Now: now}
	for _, w := range works {
		if !w.Due.IsZero() {
			sites[w.Site] = true
		}
		batch.Settlements = append(batch.Settlements, queue.Settlement{Lease: w.Lease, State: w.Was, Due: w.Due, Deadline: w.Deadline, Reason: w.Reason})
	}
	_ = s.cfg.Store.Settle(ctx, batch) // if it fails, the leases lapse after leaseTime with the same effect
}
