package schedule_test

import (
	"testing"
	"time"

	"postern/internal/queue/schedule"
)

// TestWhatAnotherGatewayFound: a site that was thought well gets one worker, a probe, not before its time; a kick makes
// it due at once, and its probe says so.
func TestWhatAnotherGatewayFound(t *testing.T) {
	start := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		found schedule.State
		kick  bool
		wait  time.Duration // until its worker starts
		after int           // failures stored when that fails
	}{
		"it rests":                   {schedule.State{Failures: 3, Since: start.Add(-time.Hour), RetryAt: start.Add(10 * time.Minute)}, false, 10 * time.Minute, 4},
		"another probes it":          {schedule.State{RetryAt: start.Add(30 * time.Second)}, false, 30 * time.Second, 2},
		"it may be probed":           {schedule.State{Failures: 2, RetryAt: start}, false, 0, 3},
		"it passes there":            {schedule.State{Failures: 2, RetryAt: start.Add(time.Hour)}, true, 0, 3},
		"its clock is an hour ahead": {schedule.State{Failures: 1, Since: start.Add(time.Hour), RetryAt: start.Add(time.Minute)}, false, time.Minute, 2},
	} {
		s := schedule.New(schedule.Config{Retry: []time.Duration{time.Minute, time.Hour}}, 1)
		s.Added("x", start, schedule.Origin{Lane: 1})
		p, ok := s.Next(start)
		if !ok || p.Probe() || p.Kicked() {
			t.Fatal(name, ok)
		}
		s.Elsewhere("x", c.found, start)
		if st := s.Done(p, schedule.Result{Now: start}); st.Failures != max(c.found.Failures, 1) || st.Since.After(start) {
			t.Errorf("%s: then it is known as %+v", name, st)
		}
		s.Added("x", start, schedule.Origin{Lane: 1})
		if c.kick {
			s.Kick("x", start)
		}
		if c.wait > 0 {
			if _, early := s.Next(start.Add(c.wait - time.Second)); early {
				t.Errorf("%s: it is tried too early", name)
			}
		}
		p, ok = s.Next(start.Add(c.wait))
		if !ok || !p.Probe() || p.Kicked() != c.kick {
			t.Fatalf("%s: after %v %v", name, c.wait, ok)
		}
		if _, second := s.Next(start.Add(c.wait)); second {
			t.Errorf("%s: two probes", name)
		}
		if st := s.Done(p, schedule.Result{Now: start.Add(c.wait), Failed: true}); st.Failures != c.after {
			t.Errorf("%s: after its failure %+v, want %d", name, st, c.after)
		}
	}
}
