package admin

import (
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/lab/testkit/backlog"
	"postern/internal/operator/access"
)

func TestWhatWaitsByAgeAndRule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, _ := service(t)
		time.Sleep(time.Until(backlog.Noon.Add(2 * time.Hour)))
		v, err := s.For(everywhere(access.Auditor)).Waiting(t.Context())
		if err != nil || !v.Complete || len(v.Ages) != 5 {
			t.Fatalf("%+v, %v", v, err)
		}
		total := 0
		for _, a := range v.Ages {
			total += a.Count
		}
		if total != 4 || v.Ages[2].Count != 4 { // all of them two hours old, within minutes
			t.Errorf("by age %+v", v.Ages)
		}
		if len(v.Rules) != 2 || v.Rules[0].Rule != "clinic" || v.Rules[0].Count < v.Rules[1].Count || v.Rules[0].FirstAt == nil {
			t.Errorf("by rule %+v", v.Rules)
		}
		narrow, err := s.For(within(access.Auditor, "else.test")).Waiting(t.Context())
		if err != nil || len(narrow.Rules) != 0 {
			t.Errorf("another domain sees %+v, %v", narrow, err)
		}
	})
}
