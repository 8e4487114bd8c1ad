package trace

import (
	"testing"
	"time"

	"postern/internal/policy"
	"postern/internal/queue"
)

// Whoever reads why mail is held must not look for an administrator where a rule did it.
func TestWhyMailIsHeld(t *testing.T) {
	at := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	hold := policy.Effect{Rule: "look", Kind: policy.EffectHold, Days: 7, Then: policy.ThenReturn}
	reject := policy.Effect{Rule: "no", Kind: policy.EffectReject, Text: "not there"}
	for _, tt := range []struct {
		what  string
		d     queue.Delivery
		words string
	}{
		{"by nobody", queue.Delivery{State: queue.Queued}, ""},
		{"by a person", queue.Delivery{State: queue.Held}, "by an administrator"},
		{"in quarantine", queue.Delivery{State: queue.Held, Deadline: at, Effects: policy.Effects{hold}},
			"in quarantine by the rule look until 2026-11-08 12:00 UTC, then return"},
		{"by a person, out of quarantine", queue.Delivery{State: queue.Held, Effects: policy.Effects{hold}},
			"by an administrator"},
		{"rejected", queue.Delivery{State: queue.Held, Deadline: at, Effects: policy.Effects{reject}},
			"the rule no rejects it, and its sender is being told"},
		{"rejected, under test", queue.Delivery{State: queue.Held,
			Effects: policy.Effects{{Rule: "no", Kind: policy.EffectReject, Test: true}}}, "by an administrator"},
	} {
		tt.d.AcceptedAt = at
		r := queue.Record{Delivery: tt.d}
		if got := Of(&r).Held; got != tt.words {
			t.Errorf("%s: %q, want %q", tt.what, got, tt.words)
		}
	}
}
