package waiting

import (
	"context"
	"fmt"
	"time"

	"postern/internal/operator/access"
	"postern/internal/operator/audit"
	"postern/internal/operator/scope"
	"postern/internal/queue"
)

// Return is the action that ends the quarantine of mail with a notice to its sender. It is no action of the store: the
// notice is written by whoever delivers, and has the protection of the mail.
const Return queue.ActionKind = "return"

// returnMost bounds the deliveries of one Return, and returnPortion those that are leased at a time.
const (
	returnMost    = 5000
	returnPortion = 100
)

// giveBack returns what r names of the mail in quarantine; each portion is in the audit trail before it goes.
func (s *Service) giveBack(ctx context.Context, who *scope.Asker, r *ActRequest, by string) (out ActResult, err error) {
	if s.cfg.Dispatcher == nil {
		return out, access.BadRequest("this gateway does not deliver, so nothing can be returned")
	}
	filters, err := s.quarantine(r)
	if err != nil {
		return out, err
	}
	var ids []queue.DeliveryID
	for _, f := range filters {
		for rec, err := range s.cfg.Store.List(ctx, f) {
			if err != nil {
				return out, fmt.Errorf("cannot list what is held: %w", err)
			}
			if rec.Quarantine() != nil && rec.State == queue.Held {
				ids = append(ids, rec.ID)
			}
			if len(ids) > returnMost {
				return out, access.BadRequest("that is more than can be returned at once; name domains or messages")
			}
		}
	}
	for len(ids) > 0 {
		portion := ids[:min(len(ids), returnPortion)]
		ids = ids[len(portion):]
		entry := audit.Entry{At: time.Now(), By: by, Action: "queue return", Target: r.target(), Count: len(portion)}
		if err := who.Record(ctx, entry); err != nil {
			return out, err
		}
		n, err := s.cfg.Dispatcher.Return(ctx, portion)
		out.Changed, out.Busy = out.Changed+n, out.Busy+len(portion)-n
		if err != nil && n > 0 {
			return out, fmt.Errorf("cannot return: %w", err)
		}
	}
	return out, nil
}

// quarantine selects what may be in quarantine of what r names.
func (s *Service) quarantine(r *ActRequest) (out []queue.Filter, err error) {
	asked := *r
	asked.Kind = queue.Release
	var a queue.Action
	a.Kind = asked.Kind
	if err := asked.selectors(&a); err != nil {
		return nil, err
	}
	held := queue.Filter{States: []queue.State{queue.Held}, Brief: true}
	if r.All {
		out = append(out, held)
	}
	for _, d := range a.Domains {
		f := held
		f.Domain = d
		out = append(out, f)
	}
	if len(a.Messages) > 0 {
		f := held
		f.IDs = a.Messages
		out = append(out, f)
	}
	return out, nil
}
