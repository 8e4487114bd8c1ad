package trace

import (
	"testing"
	"time"

	"postern/internal/policy"
	"postern/internal/queue"
)

// TestAQuarantineEndsByItsDays: the deadline of what is held may be nearer, for the gateway looks at it again and again.
func TestAQuarantineEndsByItsDays(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	r := queue.Record{Delivery: queue.Delivery{State: queue.Held, AcceptedAt: at, Deadline: at.Add(24 * time.Hour),
		Effects: policy.Effects{{Rule: "look", Kind: policy.EffectHold, Days: 3, Then: policy.ThenDelete}}}}
	got := Of(&r)
	if q := got.Quarantine; q == nil || !q.Until.Equal(at.AddDate(0, 0, 3)) || q.Rule != "look" || q.Then != "delete" ||
		got.Held != "in quarantine by the rule look until 2026-11-26 12:00 UTC, then delete" {
		t.Errorf("%+v, %q", got.Quarantine, got.Held)
	}
	r.State = queue.Sending
	if got := Of(&r); got.Quarantine != nil || got.Held != "" {
		t.Errorf("one that a worker has: %+v", got.Quarantine)
	}
}
