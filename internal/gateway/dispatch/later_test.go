package dispatch_test

import (
	"testing"
	"time"

	"postern/internal/lab/partner"
	"postern/internal/policy"
	"postern/internal/queue"
)

// byAnotherClock makes a message one of a clock that stood later.
func byAnotherClock(ahead time.Duration) func(*queue.Submission) {
	return func(s *queue.Submission) {
		s.Message.AcceptedAt = s.Message.AcceptedAt.Add(ahead)
		for i := range s.Deliveries {
			d := &s.Deliveries[i]
			for _, t := range []*time.Time{&d.AcceptedAt, &d.ExpiresAt, &d.Due, &d.Deadline} {
				*t = t.Add(ahead)
			}
		}
	}
}

// The gateway starts by a clock that was put right while it was down: what is stored is of a later one.
func TestMailOfAClockThatStoodLaterIsTriedAndGivenUpInTime(t *testing.T) {
	const waiting = 300
	for _, ahead := range []time.Duration{time.Hour, 365 * 24 * time.Hour} {
		story(t, func(w *world) {
			w.clinic.Set(w.expired("mx.clinic.test"))
			w.apply(clinicRule)
			w.accept("a@example.test", byAnotherClock(ahead), "nurse@shop.test")
			for range waiting { // more than the workers of one site take at first
				w.accept("a@example.test", byAnotherClock(ahead), "dr@clinic.test")
			}
			w.start()
			time.Sleep(16 * time.Minute) // the longest step
			if n := len(w.shop.Messages()); n != 1 && ahead > time.Hour {
				t.Errorf("%v: %d messages at the healthy partner after the longest step, want 1", ahead, n)
			}
			time.Sleep(17 * time.Minute)
			if n := len(w.shop.Messages()); n != 1 {
				t.Errorf("%v: %d messages at the healthy partner, want 1", ahead, n)
			}
			tries := len(w.clinic.Commands())
			time.Sleep(22 * time.Hour)
			if more := len(w.clinic.Commands()) - tries; more < 88 {
				t.Errorf("%v: %d commands came to the failing partner in 22 hours", ahead, more)
			}
			states := map[queue.State]int{}
			count := func() map[queue.State]int {
				clear(states)
				for _, rec := range w.records(queue.Ordinary) {
					states[rec.State]++
				}
				return states
			}
			if got := count(); got[queue.Queued] != waiting {
				t.Errorf("%v: within the window: %v", ahead, got)
			}
			time.Sleep(time.Hour + 35*time.Minute)
			if got := count(); got[queue.Failed] != waiting && ahead > time.Hour {
				t.Errorf("%v: after the window: %v", ahead, got)
			}
			for _, rec := range w.records(queue.Ordinary) {
				if rec.State == queue.Failed && rec.Reason != policy.CertExpired {
					t.Errorf("%v: given up as %q", ahead, rec.Reason)
				}
			}
			if lines := leaked(w.clinic); len(lines) > 0 {
				t.Errorf("in the clear: %q", lines)
			}
		}, long)
	}
}

// It is repaired: what waits by the other clock goes like everything else.
func TestMailOfAClockThatStoodLaterGoesWhenItsSiteIsRepaired(t *testing.T) {
	story(t, func(w *world) {
		w.clinic.Set(partner.Behaviour{})
		w.accept("a@example.test", byAnotherClock(365*24*time.Hour), "dr@clinic.test", "nurse@clinic.test")
		w.start()
		time.Sleep(16 * time.Minute)
		if n := len(w.clinic.Messages()); n != 1 {
			t.Errorf("%d messages, want 1", n)
		}
	})
}
