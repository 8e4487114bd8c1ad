package waiting

import (
	"context"
	"fmt"
	"slices"
	"time"

	"postern/internal/queue"
)

// letGoTime is how long an action waits in any case: workers let go of what they have not begun with at once.
const letGoTime = time.Second

// awaitPause is how often what is pending is looked at.
const awaitPause = 50 * time.Millisecond

// namedMost bounds the messages that a result names.
const namedMost = 20

// await waits until what is pending has ended, as long as r says, and adds how it did to out.
func (s *Service) await(ctx context.Context, r *ActRequest, out *ActResult, pending []queue.Pending) error {
	if len(pending) == 0 {
		return nil
	}
	if s.cfg.Dispatcher != nil {
		s.cfg.Dispatcher.Wished()
	}
	ids := make([]queue.DeliveryID, len(pending))
	for i, p := range pending {
		ids[i] = p.Delivery
	}
	deadline := time.Now().Add(max(letGoTime, time.Duration(r.Wait)*time.Second))
	left := ids
	for {
		var err error
		if left, err = s.cfg.Store.Wished(ctx, left); err != nil {
			return fmt.Errorf("it is asked for, but what came of it cannot be read: %w", err)
		}
		if len(left) == 0 || !time.Now().Before(deadline) || !pause(ctx, awaitPause) {
			break
		}
	}
	var ended, still []queue.Pending
	for _, p := range pending {
		if _, is := slices.BinarySearch(left, p.Delivery); is {
			still = append(still, p)
		} else {
			ended = append(ended, p)
		}
	}
	// The store's memory knows a moment before its records that a wish has ended.
	for until := time.Now().Add(letGoTime); ; {
		told := *out
		released, err := s.endings(ctx, &told, ended)
		withdrawn := r.Kind == queue.Hold || r.Kind == queue.Cancel
		if withdrawn && len(released) > 0 && err == nil && time.Now().Before(until) && pause(ctx, awaitPause) {
			continue
		}
		*out = told
		out.pend(append(still, released...))
		return err
	}
}

// pause waits; false means that ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// pend counts and names what is pending.
func (out *ActResult) pend(pending []queue.Pending) {
	out.Pending = len(pending)
	for _, p := range pending {
		if id := string(p.Message); len(out.PendingMessages) < namedMost && !slices.Contains(out.PendingMessages, id) {
			out.PendingMessages = append(out.PendingMessages, id)
		}
	}
}

// endings counts how the deliveries ended that were pending, and returns those that are still: a release is no reason
// not to send, and so not among what the store calls wished.
func (s *Service) endings(ctx context.Context, out *ActResult,
	ended []queue.Pending) (still []queue.Pending, err error) {
	const atOnce = 500 // messages
	for portion := range slices.Chunk(ended, atOnce) {
		wanted := map[queue.DeliveryID]bool{}
		var f queue.Filter
		for _, p := range portion {
			wanted[p.Delivery] = true
			f.IDs = append(f.IDs, p.Message)
		}
		f.IDs = slices.Compact(f.IDs)
		for rec, err := range s.cfg.Store.List(ctx, f) {
			switch {
			case err != nil:
				return still, fmt.Errorf("it is asked for, but what came of it cannot be read: %w", err)
			case !wanted[rec.ID]:
			case rec.TooLate():
				out.TooLate++
			case rec.Wish != nil && rec.State.Waiting():
				still = append(still, queue.Pending{Delivery: rec.ID, Message: rec.Message.ID})
			default:
				out.Changed++
			}
		}
	}
	return still, nil
}

// done says what the action does, in the past.
func (r *ActRequest) done() string {
	if r.Lower {
		return "lowered and released"
	}
	if r.Rejudge {
		return "judged anew: what is in force now is what it demands"
	}
	return map[queue.ActionKind]string{queue.Retry: "due now", queue.Hold: "held", queue.Release: "released",
		queue.Cancel: "cancelled", Return: "returned"}[r.Kind]
}

// Say tells people what came of r, a sentence each.
func (out *ActResult) Say(r *ActRequest) []string {
	said := []string{deliveries(out.Changed) + " " + r.done()}
	if out.Pending > 0 {
		said = append(said, fmt.Sprintf("%s being sent right now: %s when that ends, unless the other server takes "+
			"it or refuses it for good",
			deliveries(out.Pending), r.done()))
	}
	if out.TooLate > 0 {
		said = append(said, deliveries(out.TooLate)+" had gone already: too late")
	}
	if out.Busy > 0 {
		said = append(said, deliveries(out.Busy)+" being sent right now, left alone")
	}
	if len(out.Unknown) > 0 {
		said = append(said, SayUnknown(r.Kind, out.Unknown))
	}
	return said
}

func deliveries(n int) string {
	if n == 1 {
		return "1 delivery"
	}
	return fmt.Sprintf("%d deliveries", n)
}
