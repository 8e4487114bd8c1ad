package dispatch_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"postern/internal/event"
	"postern/internal/gateway/dispatch"
	"postern/internal/lab/partner"
	"postern/internal/lab/pki"
	"postern/internal/mail"
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

func TestWhatWasDeliveredIsNotSentAgainBecauseItsNoticeCannotBeStored(t *testing.T) {
	cases := map[string]func(w *world){
		"no room for the notice": func(w *world) {
			w.broken.draft = func() error { return queue.ErrFull }
		},
		"the rules cannot be read for the notice": func(w *world) {
			w.broken.rules = func() error {
				if len(w.clinic.Messages()) > 0 {
					return errors.New("unreadable")
				}
				return nil
			}
		},
	}
	for name, breakIt := range cases {
		t.Run(name, func(t *testing.T) {
			story(t, func(w *world) {
				w.accept("a@example.test", func(s *queue.Submission) {
					s.Deliveries[0].Recipient.Notify = mail.NotifySuccess | mail.NotifyFailure
				}, "dr@clinic.test")
				breakIt(w)
				w.start()
				time.Sleep(time.Hour)
				if n := len(w.clinic.Messages()); n != 1 {
					t.Errorf("the message arrived %d times", n)
				}
				if rec := w.one(queue.Ordinary); rec.State != queue.Delivered {
					t.Errorf("the delivery is %v", rec.State)
				}
			})
		})
	}
}

func TestADelayNoticeThatCannotBeStoredNeitherStopsTriesNorHammers(t *testing.T) {
	story(t, func(w *world) {
		w.clinic.Set(partner.Behaviour{Fault: partner.Busy})
		tried := 0
		w.broken.draft = func() error { tried++; return queue.ErrFull }
		w.start()
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(2*time.Hour + 10*time.Minute)
		w.broken.change(func() {
			if tried == 0 || tried > 20 {
				t.Errorf("within ten minutes the notice was tried %d times", tried)
			}
		})
		w.clinic.Set(partner.Behaviour{Fault: partner.NoTLS})
		time.Sleep(20 * time.Minute)
		if rec := w.one(queue.Ordinary); rec.State != queue.Delivered {
			t.Fatalf("20 minutes after the partner came back the delivery is %v, due %v", rec.State, rec.Due)
		}
	})
}

func TestADeliveryWhoseLeaseWasLostIsTriedAgain(t *testing.T) {
	story(t, func(w *world) {
		lost := true
		w.broken.settle = func(queue.Batch) error {
			if lost {
				return queue.ErrStaleLease
			}
			return nil
		}
		w.accept("a@example.test", nil, "one@clinic.test")
		w.start()
		time.Sleep(10 * time.Second)
		w.broken.change(func() { lost = false })
		time.Sleep(30 * time.Minute) // a lease, and a retry step
		if rec := w.one(queue.Ordinary); rec.State != queue.Delivered {
			t.Fatalf("the delivery is %v", rec.State)
		}
	})
}

func TestOneLostLeaseDoesNotUndoTheOutcomesOfOthers(t *testing.T) {
	story(t, func(w *world) {
		first := true
		w.broken.settle = func(b queue.Batch) error {
			if lost := first && (len(b.Settlements) > 1 || b.Settlements[0].Lease.Delivery == 1); !lost {
				return nil
			}
			first = len(b.Settlements) > 1
			return queue.ErrStaleLease
		}
		w.accept("a@example.test", nil, "one@clinic.test", "two@clinic.test", "three@clinic.test")
		w.start()
		time.Sleep(10 * time.Second)
		done := 0
		for _, rec := range w.records(queue.Ordinary) {
			if rec.State == queue.Delivered {
				done++
			}
		}
		if done != 2 {
			t.Errorf("%d outcomes were stored, want 2", done)
		}
	})
}

func TestABrokenStoreEndsTheDispatcher(t *testing.T) {
	story(t, func(w *world) {
		w.broken.settle = func(queue.Batch) error { return queue.ErrBroken }
		for range 3 {
			w.accept("a@example.test", nil, "one@clinic.test")
		}
		if err := w.d.Run(context.Background()); !errors.Is(err, queue.ErrBroken) {
			t.Errorf("Run ended with %v", err)
		}
		if n := len(w.clinic.Messages()); n != 1 {
			t.Errorf("%d messages were sent though no outcome could be stored", n)
		}
	})
}

func TestAnOutcomeThatCannotBeStoredIsKeptUntilItCan(t *testing.T) {
	story(t, func(w *world) {
		full := true
		w.broken.settle = func(queue.Batch) error {
			if full {
				return queue.ErrFull
			}
			return nil
		}
		w.accept("a@example.test", nil, "one@clinic.test")
		w.accept("a@example.test", nil, "two@clinic.test")
		w.start()
		time.Sleep(3 * time.Hour)
		if n := len(w.clinic.Messages()); n != 1 {
			t.Errorf("while nothing could be stored %d messages were sent, want the one on its way", n)
		}
		w.broken.change(func() { full = false })
		time.Sleep(10 * time.Minute)
		if n := len(w.clinic.Messages()); n != 2 {
			t.Errorf("%d messages arrived, want each once", n)
		}
		for _, rec := range w.records(queue.Ordinary) {
			if rec.State != queue.Delivered {
				t.Errorf("%s is %v", rec.Recipient.Address, rec.State)
			}
		}
	})
}

func TestARuleDoesNotEndWhatAnAdministratorHolds(t *testing.T) {
	story(t, func(w *world) {
		w.clinic.Set(partner.Behaviour{Fault: partner.Busy})
		w.start()
		w.accept("a@example.test", func(s *queue.Submission) { s.Deliveries[0].Noticed = true }, "dr@clinic.test")
		time.Sleep(10 * time.Second)
		if _, err := w.store.Act(context.Background(), queue.Action{Kind: queue.Hold, Now: time.Now(), By: "test"}); err != nil {
			t.Fatal(err)
		}
		w.apply(clinicRule)
		time.Sleep(48 * time.Hour)
		rec := w.one(queue.Ordinary)
		if rec.State != queue.Held || rec.Requirement.Channel != policy.Authenticated {
			t.Fatalf("held mail is %v, requires %v", rec.State, rec.Requirement.Channel)
		}
	})
}

func TestWithoutRoomForTheNoteOfItNothingIsBegun(t *testing.T) {
	var full atomic.Bool
	full.Store(true)
	story(t, func(w *world) {
		w.start()
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(time.Hour)
		if n := len(w.clinic.Commands()); n != 0 {
			t.Errorf("%d commands were said", n)
		}
		full.Store(false)
		time.Sleep(10 * time.Second)
		if rec := w.one(queue.Ordinary); rec.State != queue.Delivered {
			t.Fatalf("afterwards it is %v", rec.State)
		}
	}, func(c *dispatch.Config) {
		c.Room = func() error {
			if full.Load() {
				return queue.ErrFull
			}
			return nil
		}
	})
}

func TestContentThatCannotBeReadNowIsTriedAgain(t *testing.T) {
	story(t, func(w *world) {
		missing := errors.New("too many open files")
		w.broken.open = func(context.Context) error { return missing }
		w.start()
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(10 * time.Second)
		if rec := w.one(queue.Ordinary); rec.State != queue.Queued {
			t.Fatalf("while its content cannot be read the delivery is %v", rec.State)
		}
		w.broken.change(func() { missing = nil })
		time.Sleep(10 * time.Minute)
		if rec := w.one(queue.Ordinary); rec.State != queue.Delivered {
			t.Fatalf("afterwards it is %v", rec.State)
		}
	})
}

func TestContentWhoseStoreGoesAwayWhileItIsSentIsSentAgain(t *testing.T) {
	story(t, func(w *world) {
		w.broken.lost = true
		w.start()
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(10 * time.Second)
		if rec := w.one(queue.Ordinary); rec.State != queue.Queued || rec.SiteState.Failures != 0 {
			t.Fatalf("while its content cannot be read the delivery is %v, its site failed %d times", rec.State, rec.SiteState.Failures)
		}
		w.broken.change(func() { w.broken.lost = false })
		time.Sleep(10 * time.Minute)
		if rec := w.one(queue.Ordinary); rec.State != queue.Delivered || len(w.clinic.Messages()) != 1 {
			t.Fatalf("afterwards it is %v, and %d came", rec.State, len(w.clinic.Messages()))
		}
	})
}

func TestContentThatIsGoneIsHeldAndItsSiteGoesOn(t *testing.T) {
	story(t, func(w *world) {
		w.broken.open = func(context.Context) error { return queue.ErrNotFound }
		w.start()
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(10 * time.Second)
		if rec := w.one(queue.Ordinary); rec.State != queue.Held {
			t.Fatalf("the delivery is %v", rec.State)
		}
	})
}

func TestContentThatIsDamagedIsHeldWithAReasonAndGoesOnceItIsRepaired(t *testing.T) {
	story(t, func(w *world) {
		w.broken.open = func(context.Context) error { return fmt.Errorf("%w: the content does not match", queue.ErrDamaged) }
		w.start()
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(10 * 24 * time.Hour)
		rec := w.one(queue.Ordinary)
		if rec.State != queue.Held || !strings.Contains(rec.History[0].Text, "damaged") || len(w.records(queue.DSN)) != 0 {
			t.Fatalf("the delivery is %v, after %+v", rec.State, rec.History)
		}
		w.broken.change(func() { w.broken.open = nil })
		acted, err := w.store.Act(t.Context(), queue.Action{Kind: queue.Release, Messages: []queue.ID{rec.Message.ID}, Now: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		w.d.Kick(t.Context(), acted.Sites...)
		time.Sleep(10 * time.Second)
		if rec := w.one(queue.Ordinary); rec.State != queue.Delivered {
			t.Fatalf("after a release the delivery is %v", rec.State)
		}
	})
}

func TestContentOfAnotherLengthIsHeldAndDoesNotFailItsSite(t *testing.T) {
	story(t, func(w *world) {
		w.start()
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(5 * time.Second)
		w.broken.change(func() { w.broken.cut = true })
		w.accept("a@example.test", nil, "cut@clinic.test")
		time.Sleep(5 * time.Second)
		for _, rec := range w.records(queue.Ordinary) {
			if rec.Recipient.Address.Local != "cut" {
				continue
			}
			if rec.State != queue.Held || rec.SiteState.Failures != 0 {
				t.Fatalf("the delivery is %v, its site failed %d times", rec.State, rec.SiteState.Failures)
			}
		}
	})
}

func TestANoticeIsNeverGivenUpForALackOfTLS(t *testing.T) {
	const subject = `
[[rule]]
name = "secured"
scope = "outbound"
action = "force-tls"
[rule.match]
recipient = ["shop.test", "clinic.test"]
[rule.force_tls]
without_tls = "reject"
`
	story(t, func(w *world) {
		w.clinic.Set(partner.Behaviour{Fault: partner.NoTLS})
		w.shop.Set(partner.Behaviour{Fault: partner.NoTLS})
		w.apply(subject)
		w.start()
		w.accept("b@shop.test", nil, "dr@clinic.test")
		time.Sleep(30 * time.Second)
		if rec := w.one(queue.Ordinary); rec.State != queue.Failed {
			t.Fatalf("the delivery is %v", rec.State)
		}
		if rec := w.one(queue.DSN); rec.State != queue.Held {
			t.Fatalf("the notice is %v, want held", rec.State)
		}
	})
}

func TestStoppingBlamesNobody(t *testing.T) {
	story(t, func(w *world) {
		w.clinic.Set(partner.Behaviour{TLS: w.cert(pki.Options{Names: []string{"mx.clinic.test"}}), Fault: partner.HangsTLS})
		w.start()
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(time.Second)
		w.stop()
		<-w.done
		rec := w.one(queue.Ordinary)
		if rec.State != queue.Queued || rec.SiteState.Failures != 0 || rec.Attempts != 0 {
			t.Errorf("after the stop: %v, %d attempts, the site failed %d times", rec.State, rec.Attempts, rec.SiteState.Failures)
		}
	})
}

func TestMailNobodyCouldTryBecauseTheGatewayWasDownIsTried(t *testing.T) {
	story(t, func(w *world) {
		w.clinic.Set(partner.Behaviour{TLS: w.cert(pki.Options{Names: []string{"mx.clinic.test"}}), Fault: partner.HangsTLS})
		w.apply(clinicRule)
		for range 300 { // more than one site's workers take at once
			w.accept("a@example.test", nil, "dr@clinic.test")
		}
		time.Sleep(30 * time.Hour) // the gateway is down for longer than the window
		w.start()
		time.Sleep(10 * time.Second)
		for _, rec := range w.records(queue.Ordinary) {
			if rec.State == queue.Failed {
				t.Fatalf("given up after %d attempts: %q", rec.Attempts, rec.Reason)
			}
		}
	})
}

func TestMailThatPassesDoesNotHammerASiteNextDoorThatWantsMore(t *testing.T) {
	story(t, func(w *world) {
		old := w.cert(pki.Options{Names: []string{"mx.clinic.test"}})
		old.MaxVersion = tls.VersionTLS12
		w.clinic.Set(partner.Behaviour{TLS: old})
		w.apply(clinicRule + "[rule.force_tls]\nmin_tls = '1.3'\n")
		w.start()
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(time.Second)
		w.apply("")
		probes := 0
		w.broken.change(func() {
			w.heard = func(e event.Event) {
				if a, ok := e.(event.Attempted); ok && a.Attempt.Used() == nil {
					probes++
				}
			}
		})
		for range 600 {
			w.accept("a@example.test", nil, "other@clinic.test")
			time.Sleep(3 * time.Second)
		}
		w.broken.change(func() {
			if probes > 35 {
				t.Errorf("%d probes in half an hour", probes)
			}
		})
	})
}

func TestWhatAnAdministratorLoweredGoesThoughTheRulesAreNewerThanTheMessage(t *testing.T) {
	story(t, func(w *world) {
		w.clinic.Set(partner.Behaviour{Fault: partner.NoTLS})
		w.apply(clinicRule)
		w.start()
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(10 * time.Second)
		w.apply(clinicRule + "# the same, in another revision\n")
		time.Sleep(time.Second)
		rec, now := w.one(queue.Ordinary), time.Now()
		works, err := w.store.Claim(context.Background(), queue.Claim{IDs: []queue.DeliveryID{rec.ID}, Now: now, Until: now.Add(time.Minute)})
		if err != nil || len(works) != 1 {
			t.Fatal(works, err)
		}
		err = w.store.Settle(context.Background(), queue.Batch{Now: now, Settlements: []queue.Settlement{{Lease: works[0].Lease,
			State: queue.Queued, Due: now, Deadline: rec.ExpiresAt, Move: &queue.Move{NextHop: "mx:clinic.test", ExpiresAt: rec.ExpiresAt,
				Judged: w.keeper.Now().Number}}}})
		if err != nil {
			t.Fatal(err)
		}
		w.d.Kick(context.Background(), "mx:clinic.test")
		time.Sleep(5 * time.Second)
		if rec := w.one(queue.Ordinary); rec.State != queue.Delivered {
			t.Fatalf("the lowered delivery is %v and requires %v", rec.State, rec.Requirement.Channel)
		}
	})
}

func TestABugMetByOneMessageStopsNoOther(t *testing.T) {
	story(t, func(w *world) {
		began := time.Now()
		w.broken.open = func(context.Context) error {
			if len(w.clinic.Messages()) == 0 && time.Since(began) < time.Hour {
				panic("a bug")
			}
			return nil
		}
		w.start()
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(30 * time.Second)
		if rec := w.one(queue.Ordinary); rec.State != queue.Queued || rec.Attempts == 0 {
			t.Errorf("the delivery that met the bug is %v after %d attempts", rec.State, rec.Attempts)
		}
		time.Sleep(2 * time.Hour)
		if rec := w.one(queue.Ordinary); rec.State != queue.Delivered {
			t.Errorf("when the bug was gone the delivery is %v", rec.State)
		}
	})
}

func TestABugMetBeforeAMessageIsKnownDoesNotEndTheGateway(t *testing.T) {
	story(t, func(w *world) {
		bug := true
		w.broken.rules = func() error {
			if bug {
				panic("a bug")
			}
			return nil
		}
		w.accept("a@example.test", nil, "dr@clinic.test")
		w.start()
		time.Sleep(time.Minute)
		w.broken.change(func() { bug = false })
		time.Sleep(time.Hour)
		if rec := w.one(queue.Ordinary); rec.State != queue.Delivered {
			t.Errorf("when the bug was gone the delivery is %v", rec.State)
		}
	})
}
