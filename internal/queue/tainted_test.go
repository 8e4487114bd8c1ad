package queue_test

import (
	"testing"

	"postern/internal/policy"
	"postern/internal/queue"
)

func TestWhoTaintsWhom(t *testing.T) {
	of := func(named bool, rules ...string) queue.Delivery {
		return queue.Delivery{Rules: rules, Matched: named, Requirement: policy.Requirement{Channel: policy.Authenticated}}
	}
	for name, c := range map[string]struct {
		d, other queue.Delivery
		want     bool
	}{
		"one rule":                     {of(false, "clinic"), of(true, "clinic"), true},
		"neither is named":             {of(false, "clinic"), of(false, "clinic"), false},
		"named itself":                 {of(true, "clinic"), of(true, "clinic"), false},
		"two rules that taint":         {of(false, "a", "b"), of(true, "b", "a"), true},
		"one of two rules":             {of(false, "a", "b"), of(true, "b"), true},
		"a ticked rule may have named": {of(false, "a"), of(true, "a", "ticked"), false},
		"nothing is demanded":          {queue.Delivery{Rules: []string{"a"}}, of(true, "a"), false},
		"under no rule":                {of(false), of(true, "a"), false},
		"the other is under no rule":   {of(false, "a"), of(true), false},
	} {
		if got := c.d.Tainted() && c.other.Taints(c.d.Rules); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
