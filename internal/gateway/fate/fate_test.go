package fate_test

import (
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/attempt"
	"postern/internal/event"
	"postern/internal/gateway/fate"
	"postern/internal/gateway/inforce"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/queue"
)

const (
	hour     = time.Hour
	lifetime = 120 * hour
	window   = 24 * hour
)

// waits is a delivery of alice's that was accepted some time ago and is claimed because its deadline has come.
func waits(ago time.Duration, change ...func(w *queue.Work)) *queue.Work {
	at := time.Now().Add(-ago)
	w := &queue.Work{Was: queue.Queued, NextHop: "mx:clinic.test"}
	w.Message = queue.Message{ID: "1", Envelope: mail.Envelope{From: mail.MustAddress("alice@example.test")}}
	w.Recipient.Address = mail.MustAddress("dr@clinic.test")
	w.State, w.AcceptedAt, w.ExpiresAt, w.Deadline = queue.Sending, at, at.Add(lifetime), time.Now()
	w.Due, w.Noticed = time.Now().Add(hour), true
	tried(policy.ConnectTimeout)(w)
	for _, c := range change {
		c(w)
	}
	return w
}

func forced(w *queue.Work) {
	w.Requirement = policy.Combine(policy.Requirement{Channel: policy.Authenticated})
	w.ExpiresAt = w.AcceptedAt.Add(window)
}

func unnoticed(w *queue.Work) { w.Noticed = false }

// tried says how the last attempt ended; one that has a channel reached the peer's answer.
func tried(why policy.Reason, channel ...bool) func(w *queue.Work) {
	return func(w *queue.Work) {
		a := attempt.Attempt{At: time.Now().Add(-time.Minute), Reason: why, Text: string(why)}
		if len(channel) > 0 {
			a.Tries = []attempt.Try{{Used: true}}
		}
		w.History = []attempt.Attempt{a}
	}
}

func untried(w *queue.Work) { w.History = nil }

func ofOurs(w *queue.Work) { w.Message.Kind, w.Message.Envelope.From = queue.DSN, mail.Address{} }

// by puts a delivery in the state in which a rule holds it.
func by(e policy.Effect) func(w *queue.Work) {
	return func(w *queue.Work) {
		e.Rule = "rule"
		w.Effects, w.Was, w.Due = policy.Effects{e}, queue.Held, time.Time{}
	}
}

func quarantine(then policy.Then) func(w *queue.Work) {
	return by(policy.Effect{Kind: policy.EffectHold, Days: 7, Then: then})
}

// What becomes of a delivery whose deadline has come, in which state and with what reason, until when it is left alone,
// and what its sender is told.
func TestADeadlineThatHasComeEndsInOneWay(t *testing.T) {
	for _, tt := range []struct {
		what   string
		ago    time.Duration
		is     []func(w *queue.Work)
		state  queue.State
		reason policy.Reason
		next   time.Duration // of the next deadline, from now on; 0: none
		told   string
	}{
		{"of another clock", hour, []func(*queue.Work){unnoticed}, queue.Queued, "", hour, ""},
		{"the delay notice", 2 * hour, []func(*queue.Work){unnoticed}, queue.Queued, "", 118 * hour, "delayed"},
		{"the delay notice of forced mail", 2 * hour, []func(*queue.Work){unnoticed, forced}, queue.Queued, "", 22 * hour, "delayed"},
		{"the delay notice, and nobody tried", 2 * hour, []func(*queue.Work){unnoticed, untried}, queue.Queued, "", 118 * hour, ""},
		{"ordinary mail that is too old", lifetime, nil, queue.Failed, policy.ExpiredInQueue, 0, "failed"},
		{"forced mail whose window is over", window, []func(*queue.Work){forced, tried(policy.CertExpired)}, queue.Failed, policy.CertExpired, 0, "failed"},
		{"forced mail that its server puts off", window, []func(*queue.Work){forced, tried(policy.Remote4xx, true)}, queue.Queued, "", 96 * hour, ""},
		{"and does so to the end", lifetime, []func(*queue.Work){forced, tried(policy.Remote4xx, true)}, queue.Failed, policy.ExpiredInQueue, 0, "failed"},
		{"nobody could try it", window, []func(*queue.Work){forced, untried}, queue.Queued, "", time.Minute, ""},
		{"nobody could try it, for too long", window + 2*time.Minute, []func(*queue.Work){forced, untried}, queue.Failed, policy.ExpiredInQueue, 0, "failed"},
		{"a notice of ours", lifetime, []func(*queue.Work){ofOurs}, queue.Failed, policy.ExpiredInQueue, 0, ""},
		{"a notice of ours that may not travel", window, []func(*queue.Work){ofOurs, forced}, queue.Held, "", 0, ""},
		{"rejected", 0, []func(*queue.Work){by(policy.Effect{Kind: policy.EffectReject, Text: "no"})}, queue.Failed, "", 0, "failed"},
		{"in quarantine", 48 * hour, []func(*queue.Work){quarantine(policy.ThenReturn)}, queue.Held, "", lifetime, ""},
		{"in quarantine, near its end", 144 * hour, []func(*queue.Work){quarantine(policy.ThenReturn)}, queue.Held, "", 24 * hour, ""},
		{"out of quarantine: returned", 168 * hour, []func(*queue.Work){quarantine(policy.ThenReturn)}, queue.Failed, "", 0, "failed"},
		{"out of quarantine: deleted", 168 * hour, []func(*queue.Work){quarantine(policy.ThenDelete)}, queue.Cancelled, "", 0, ""},
		{"out of quarantine: released", 168 * hour, []func(*queue.Work){quarantine(policy.ThenRelease)}, queue.Queued, "", lifetime, ""},
	} {
		t.Run(tt.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := fate.NewDecider(fate.Config{
					InForce: func() *inforce.View { return &inforce.View{} }, Sink: event.Discard{},
					Accepted: func(w *queue.Work) time.Time { return w.AcceptedAt },
					Lifetime: lifetime, DelayNotice: 2 * hour, Horizon: lifetime, Retry: []time.Duration{time.Minute},
				})
				now := time.Now()
				f := d.Overdue(waits(tt.ago, tt.is...), now, now.Add(-hour))
				s, told := &f.Settlement, ""
				if f.Notice != nil {
					told = string(f.Notice.Action)
				}
				next := time.Duration(0)
				if !s.Deadline.IsZero() {
					next = s.Deadline.Sub(now)
				}
				if s.State != tt.state || s.Reason != tt.reason || next != tt.next || told != tt.told {
					t.Errorf("it is %v %q, looked at again in %v, its sender is told %q; want %v %q, %v, %q", s.State, s.Reason,
						next, told, tt.state, tt.reason, tt.next, tt.told)
				}
			})
		})
	}
}
