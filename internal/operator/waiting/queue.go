package waiting

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/operator/audit"
	"postern/internal/operator/scope"
	"postern/internal/queue"
)

// ErrNothingNamed: an action that is not for everything names nothing.
var ErrNothingNamed = errors.New("name the domains or messages")

// ActRequest asks for a change of waiting mail.
type ActRequest struct {
	Kind queue.ActionKind `json:"kind"`
	// Domains are recipient domains, Messages queue ids; either may name. All selects everything that waits.
	Domains  []string `json:"domains,omitempty"`
	Messages []string `json:"messages,omitempty"`
	All      bool     `json:"all,omitempty"`
	// Lower, with Release, lowers the deliveries to what the configuration demands without any rule.
	Lower bool `json:"lower,omitempty"`
	// Wait is how many seconds to wait for what is being sent, so that its end is told; at most MostWait. Whatever it
	// is, a moment is waited for what no worker has begun with.
	Wait int `json:"wait,omitempty"`
	// Rejudge, with Release, gives the deliveries exactly what is in force now, where they hold more since a rule
	// demands less. What is held stays held. This, Lower and ApplyRequest.LetWaitingGo are the only ways a requirement
	// is lowered.
	Rejudge bool `json:"rejudge,omitempty"`
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
	// Busy is how many were left alone because they are being sent right now (only lowering and judging anew can tell).
	Busy int `json:"busy,omitempty"`
	// Unknown are the names of which nothing waits; of a return, of which nothing is in quarantine.
	Unknown []string `json:"unknown,omitempty"`
}

// act carries out r. Retry, hold, release and cancel are one transaction of the store each; lowering and judging anew
// go in portions.
func (s *Service) act(ctx context.Context, who *scope.Asker, r ActRequest, by string) (ActResult, error) {
	if r.Kind == Return {
		return s.giveBack(ctx, who, &r, by)
	}
	a := queue.Action{Kind: r.Kind, Now: time.Now(), By: by}
	if err := r.selectors(&a); err != nil {
		return ActResult{}, err
	}
	if r.Lower {
		return s.lower(ctx, &r, by)
	}
	if r.Rejudge {
		return s.rejudge(ctx, &r, by, "queue release --rejudge", false)
	}
	a.KeepHolds = r.All
	acted, err := s.cfg.Store.Act(ctx, a)
	if err != nil {
		return ActResult{}, fmt.Errorf("cannot %s: %w", r.Kind, err)
	}
	if r.Kind == queue.Retry || r.Kind == queue.Release {
		s.Kick(ctx, acted.Sites)
	}
	entry := audit.Entry{At: a.Now, By: by, Action: "queue " + string(r.Kind), Target: r.target(), Count: acted.Changed}
	if n := len(acted.Pending); n > 0 {
		entry.After = fmt.Sprintf("%d more being sent, to be %s when that ends", n, r.done())
	}
	out := ActResult{Changed: acted.Changed, Sites: len(acted.Sites)}
	if err := who.Record(ctx, entry); err != nil {
		out.pend(acted.Pending)
		return out, err
	}
	return out, s.await(ctx, &r, &out, acted.Pending)
}

// check refuses a request that cannot be meant.
func (r *ActRequest) check() error {
	kind := r.Kind
	if kind == Return { // no action of the store
		kind = queue.Release
	}
	return r.selectors(&queue.Action{Kind: kind})
}

// selectors checks what r names and puts it into a. Naming nothing is everything only when r says All.
func (r *ActRequest) selectors(a *queue.Action) error {
	if err := a.Check(); err != nil {
		return access.BadRequest("there is no action %q; the actions are retry, hold, release, return, cancel", r.Kind)
	}
	if r.Wait < 0 || r.Wait > MostWait {
		return access.BadRequest("the longest wait is %d seconds", MostWait)
	}
	if r.Lower && r.Kind != queue.Release {
		return access.BadRequest("only a release can lower")
	}
	if r.Rejudge && (r.Kind != queue.Release || r.Lower) {
		return access.BadRequest("only a release can judge anew, and it lowers no further")
	}
	named := len(r.Domains) + len(r.Messages)
	switch {
	case r.All && named > 0:
		return access.BadRequest("name domains and messages, or ask for all, not both")
	case !r.All && named == 0:
		return access.BadRequest("%w", ErrNothingNamed)
	}
	for _, name := range r.Domains {
		d, err := mail.ParseDomain(name)
		if err != nil {
			return access.BadRequest("%w", err)
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
