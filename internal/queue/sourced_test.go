package queue

import (
	"testing"

	"postern/internal/mail"
	"postern/internal/policy"
)

// TestWhatAnOlderReleaseStoredHasItsSources: a delivery without demands by source keeps its whole requirement with each
// who may have asked for it, so that none of it is loosened.
func TestWhatAnOlderReleaseStoredHasItsSources(t *testing.T) {
	forced := policy.Combine(policy.Requirement{Channel: policy.Authenticated})
	to := mail.Recipient{Address: mail.MustAddress("dr@clinic.test")}
	for name, tt := range map[string]struct {
		d    Delivery
		kind Kind
		own  bool
		want []string
	}{
		"nothing is demanded": {Delivery{Recipient: to}, Ordinary, true, nil},
		"one rule":            {Delivery{Recipient: to, Requirement: forced, Rules: []string{"a"}}, Ordinary, false, []string{"rule:a"}},
		"two rules":           {Delivery{Recipient: to, Requirement: forced, Rules: []string{"a", "b"}}, Ordinary, false, []string{"rule:a", "rule:b"}},
		"a notice":            {Delivery{Recipient: to, Requirement: forced, Rules: []string{"a"}}, DSN, false, []string{"about:rule:a"}},
		"our own domain":      {Delivery{Recipient: to, Requirement: forced}, Ordinary, true, []string{"own:clinic.test"}},
		"both":                {Delivery{Recipient: to, Requirement: forced, Rules: []string{"a"}}, Ordinary, true, []string{"rule:a", "own:clinic.test"}},
		"of this release": {Delivery{Recipient: to, Requirement: forced, Rules: []string{"a"},
			Demands: []policy.Demand{{Source: "rule:b", Requirement: forced}}}, Ordinary, false, []string{"rule:b"}},
	} {
		got := tt.d.Sourced(tt.kind, tt.own)
		if len(got) != len(tt.want) || len(got) > 0 && policy.Join(got).Key() != forced.Key() {
			t.Errorf("%s: %+v, want %q", name, got, tt.want)
			continue
		}
		for i, d := range got {
			if d.Source != tt.want[i] || d.Requirement.Key() != forced.Key() {
				t.Errorf("%s: %+v, want %q", name, d, tt.want[i])
			}
		}
	}
}
