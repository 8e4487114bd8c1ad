package attempt

import (
	"testing"

	"postern/internal/policy"
)

func TestADecisionOfOurOwnIsExplainedAsOurs(t *testing.T) {
	used := Try{Host: "mx.a.test", Used: true, Published: []policy.Published{{Mode: policy.Enforced}}}
	shared := []Try{used.Sealed(), {Host: "mx.b.test"}}
	a := Attempt{Reason: policy.Remote5xx, Tries: shared, Reply: &Reply{Code: 550}}
	a.Refuse("3.4", "the message has 9 octets")
	if !a.Own() || a.Reply != nil || a.Used() != nil || a.Telling().Host != "mx.a.test" || a.KeptBy() != nil || !shared[0].Used {
		t.Errorf("%+v, shared %+v", a, shared)
	}
	theirs := Attempt{Reason: policy.Remote5xx, Reply: &Reply{Code: 550}}
	if i := theirs.Info(); theirs.Own() || i != policy.Remote5xx.Info() {
		t.Errorf("the peer's own word: %+v", i)
	}
	for _, detail := range []string{"1.3", "1.7", "3.4", "6.0", "6.3", "6.7", "6.9"} {
		a.Status = detail
		if i := a.Info(); i.Who != policy.Us || i.Status != detail || i.Hint == "" || i.Hint == policy.Remote5xx.Info().Hint || i.Reason != policy.Remote5xx {
			t.Errorf("%s: %+v", detail, i)
		}
	}
	if a.Reason = policy.RequireTLSNotOffered; a.Info() != policy.RequireTLSNotOffered.Info() {
		t.Errorf("a reason of its own: %+v", a.Info())
	}
	if none := (&Attempt{}).Info(); none != (policy.Info{}) || (*Attempt)(nil).Info() != none || (*Attempt)(nil).Own() {
		t.Errorf("of nothing: %+v", none)
	}
}
