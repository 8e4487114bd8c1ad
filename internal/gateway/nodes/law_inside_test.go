package nodes

import (
	"testing"
	"time"
)

func TestTheLongerOfTwoClocksCounts(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		mono, wall time.Duration // ago
		want       State
	}{
		"both agree":                         {10 * time.Second, 10 * time.Second, Live},
		"the machine was suspended":          {time.Second, time.Hour, Gone},
		"the wall clock was set back":        {20 * time.Second, -time.Hour, Doubtful},
		"the wall clock was set forward":     {time.Second, 20 * time.Second, Doubtful},
		"just half the lease":                {14 * time.Second, 14 * time.Second, Live},
		"both clocks say that it is to come": {-time.Second, -time.Minute, Gone},
	} {
		m := moment{now.Add(-c.mono), now.Add(-c.wall).Round(0)}
		if got := stateAfter(m.since(), 30*time.Second); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestAllOthersSeeANodeByTheStoresClockAlone(t *testing.T) {
	until := time.Date(2026, 11, 29, 12, 0, 30, 0, time.UTC)
	e := Entry{Report: Report{Lease: 30 * time.Second}, Until: until}
	for left, want := range map[time.Duration]State{30 * time.Second: Live, 15 * time.Second: Live, 15*time.Second - 1: Doubtful,
		time.Nanosecond: Doubtful, 0: Gone, -time.Hour: Gone} {
		if got := e.StateAt(until.Add(-left)); got != want {
			t.Errorf("%v before its end: %v, want %v", left, got, want)
		}
	}
}

func TestAMarkHasTwoParts(t *testing.T) {
	m := Mark{Rules: 6, Number: 10}
	for other, want := range map[Mark]bool{{}: true, {6, 10}: true, {5, 9}: true, {7, 9}: false, {5, 11}: false, {6, 11}: false} {
		if m.Reaches(other) != want {
			t.Errorf("%+v reaches %+v: %v", m, other, !want)
		}
	}
}
