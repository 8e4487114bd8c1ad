package dispatch_test

import (
	"testing"
	"time"

	"postern/internal/event"
	"postern/internal/lab/partner"
	"postern/internal/lab/pki"
	"postern/internal/policy"
	"postern/internal/queue"
)

func TestARuleAppliedBetweenTwoMessagesOfABatchHoldsForTheSecond(t *testing.T) {
	story(t, func(w *world) {
		w.clinic.Set(partner.Behaviour{Fault: partner.NoTLS})
		w.heard = func(e event.Event) {
			if s, ok := e.(event.Settled); ok && s.State == "delivered" {
				w.apply(clinicRule)
			}
		}
		w.accept("a@example.test", nil, "one@clinic.test")
		w.accept("a@example.test", nil, "two@clinic.test")
		w.start()
		time.Sleep(time.Minute)
		if n := len(w.clinic.Messages()); n != 1 {
			t.Fatalf("%d messages went in the clear, want only the one before the rule", n)
		}
	})
}

func TestARuleAppliedWhileAConnectionIsSoughtHolds(t *testing.T) {
	story(t, func(w *world) {
		w.clinic.Set(partner.Behaviour{TLS: w.cert(pki.Options{Names: []string{"mx.clinic.test"}}), Fault: partner.HangsTLS})
		w.accept("a@example.test", nil, "one@clinic.test")
		w.start()
		time.Sleep(30 * time.Second) // the handshake of the first rung hangs
		w.apply(clinicRule)
		time.Sleep(time.Hour)
		if leaks := leaked(w.clinic); len(leaks) != 0 {
			t.Fatalf("sent in the clear after the rule was applied: %q", leaks)
		}
		if rec := w.one(queue.Ordinary); rec.Requirement.Channel != policy.Authenticated {
			t.Fatalf("the delivery requires %v", rec.Requirement.Channel)
		}
	})
}
