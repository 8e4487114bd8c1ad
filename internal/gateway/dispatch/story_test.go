package dispatch_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/event"
	"postern/internal/gateway/dispatch"
	"postern/internal/lab/partner"
	"postern/internal/lab/pki"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/queue"
)

func TestAGoodPartnerGetsForcedMailAtOnce(t *testing.T) {
	story(t, func(w *world) {
		w.apply(clinicRule)
		w.start()
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(time.Second)
		rec := w.one(queue.Ordinary)
		if rec.State != queue.Delivered || rec.Reached != policy.Authenticated || rec.Reason != "" {
			t.Fatalf("state %v, reached %v, reason %q", rec.State, rec.Reached, rec.Reason)
		}
	})
}

func TestForcedMailWaitsOutItsWindowThenOneProtectedNotice(t *testing.T) {
	story(t, func(w *world) {
		w.clinic.Set(w.expired("mx.clinic.test"))
		w.apply(clinicRule)
		w.start()
		id := w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(23*time.Hour + 59*time.Minute)
		if rec := w.one(queue.Ordinary); rec.State != queue.Queued && rec.State != queue.Sending {
			t.Fatalf("after 23:59 the delivery is %v", rec.State)
		}
		delay := w.one(queue.Delay)
		if delay.State != queue.Delivered || delay.Message.About != id {
			t.Errorf("the one delay notice is %v about %q", delay.State, delay.Message.About)
		}
		time.Sleep(2 * time.Minute)
		rec := w.one(queue.Ordinary)
		if rec.State != queue.Failed || rec.Reason != policy.CertExpired {
			t.Fatalf("after the window: %v, reason %q", rec.State, rec.Reason)
		}
		bounce := w.one(queue.DSN)
		if bounce.State != queue.Delivered || bounce.Reached != policy.Authenticated || bounce.Requirement.Channel != policy.Authenticated {
			t.Errorf("the notice: %v, reached %v, requires %v", bounce.State, bounce.Reached, bounce.Requirement.Channel)
		}
		if len(w.clinic.Messages()) != 0 || len(leaked(w.clinic)) != 0 || len(leaked(w.own)) != 0 {
			t.Error("something crossed a connection that had not passed")
		}
		got := w.own.Messages()
		if len(got) != 2 {
			t.Fatalf("%d notices arrived, want the delay notice and the bounce: %+v", len(got), bounce.History)
		}
		text := got[1].Data
		for _, want := range []string{"cert-expired", "Action: failed", "Status: 5.7.5", "clinic", "Subject: results"} {
			if !strings.Contains(text, want) {
				t.Errorf("the notice lacks %q:\n%s", want, text)
			}
		}
		if strings.Contains(text, "secret body") {
			t.Error("the notice carries the body")
		}
	}, long)
}

func TestANoticeThatMayNotTravelIsHeldAndLaterGoes(t *testing.T) {
	story(t, func(w *world) {
		w.clinic.Set(partner.Behaviour{Fault: partner.NoTLS})
		w.own.Set(partner.Behaviour{Fault: partner.NoTLS})
		w.apply(clinicRule + "[rule.force_tls]\nwithout_tls = 'reject'\n")
		w.start()
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(10 * time.Second)
		if rec := w.one(queue.Ordinary); rec.State != queue.Failed || rec.Reason != policy.StartTLSNotOffered {
			t.Fatalf("the delivery is %v, reason %q", rec.State, rec.Reason)
		}
		if rec := w.one(queue.DSN); rec.State != queue.Held {
			t.Fatalf("the notice is %v, want held", rec.State)
		}
		time.Sleep(48 * time.Hour)
		if rec := w.one(queue.DSN); rec.State != queue.Held || !rec.Deadline.IsZero() {
			t.Fatalf("after its window the notice is %v, deadline %v", rec.State, rec.Deadline)
		}
		told := 0
		w.mu.Lock()
		for _, e := range w.events {
			if warned, ok := e.(event.Warned); ok && warned.What == "notice held" {
				told++
			}
		}
		w.mu.Unlock()
		if told != 1 {
			t.Errorf("the administrator was told %d times", told)
		}
		if len(leaked(w.own)) != 0 || len(leaked(w.clinic)) != 0 {
			t.Fatal("a notice or the message went in the clear")
		}
		w.own.Set(partner.Behaviour{TLS: w.cert(pki.Options{Names: []string{"mail.example.test"}})})
		time.Sleep(17 * time.Minute) // the last step and its jitter
		if rec := w.one(queue.DSN); rec.State != queue.Delivered {
			t.Fatalf("after the repair the notice is %v, %q", rec.State, rec.Reason)
		}
	})
}

func TestARepairedSiteEmptiesWithinOneRetryInterval(t *testing.T) {
	story(t, func(w *world) {
		w.clinic.Set(w.expired("mx.clinic.test"))
		w.apply(clinicRule)
		w.start()
		for range 30 {
			w.accept("a@example.test", nil, "dr@clinic.test")
		}
		time.Sleep(3 * time.Hour)
		w.clinic.Set(partner.Behaviour{TLS: w.cert(pki.Options{Names: []string{"mx.clinic.test"}})})
		time.Sleep(17 * time.Minute) // the last step and its jitter
		if n := len(w.clinic.Messages()); n != 30 {
			t.Fatalf("%d of 30 messages arrived", n)
		}
	})
}

func TestRetryOnRequestGoesWithinTwoSeconds(t *testing.T) {
	story(t, func(w *world) {
		w.clinic.Set(w.expired("mx.clinic.test"))
		w.apply(clinicRule)
		w.start()
		for range 8 {
			w.accept("a@example.test", nil, "dr@clinic.test")
		}
		time.Sleep(time.Hour)
		w.clinic.Set(partner.Behaviour{TLS: w.cert(pki.Options{Names: []string{"mx.clinic.test"}})})
		acted, err := w.store.Act(context.Background(), queue.Action{Kind: queue.Retry, Now: time.Now(), By: "test"})
		if err != nil {
			t.Fatal(err)
		}
		w.d.Kick(context.Background(), acted.Sites...)
		time.Sleep(2 * time.Second)
		if n := len(w.clinic.Messages()); n != 8 {
			t.Fatalf("%d of 8 messages arrived", n)
		}
	})
}

func TestATickedBoxForcesOnlyWhatItNames(t *testing.T) {
	story(t, func(w *world) {
		w.clinic.Set(w.expired("mx.clinic.test"))
		w.shop.Set(partner.Behaviour{Fault: partner.NoTLS})
		w.apply(clinicTicked)
		w.start()
		w.accept("a@example.test", nil, "dr@clinic.test", "b@shop.test")
		time.Sleep(5 * time.Second)
		for _, rec := range w.records(queue.Ordinary) {
			want := queue.Queued
			if rec.Recipient.Address.Domain.String() == "shop.test" {
				want = queue.Delivered
			}
			if rec.State != want {
				t.Errorf("%s is %v, want %v", rec.Recipient.Address, rec.State, want)
			}
		}
	})
}

func TestAnUntickedBoxForcesAllAndRejectsWhoHasNoTLS(t *testing.T) {
	story(t, func(w *world) {
		w.shop.Set(partner.Behaviour{Fault: partner.NoTLS})
		w.apply(clinicRule)
		w.start()
		w.accept("a@example.test", nil, "dr@clinic.test", "b@shop.test")
		time.Sleep(5 * time.Second)
		for _, rec := range w.records(queue.Ordinary) {
			want := queue.Delivered
			if rec.Recipient.Address.Domain.String() == "shop.test" {
				want = queue.Failed
			}
			if rec.State != want {
				t.Errorf("%s is %v, want %v", rec.Recipient.Address, rec.State, want)
			}
		}
		if w.one(queue.DSN).State != queue.Delivered {
			t.Error("the notice was not delivered")
		}
		text := w.own.Messages()[0].Data
		if !strings.Contains(text, "Final-Recipient: rfc822; b@shop.test") || strings.Contains(text, "Final-Recipient: rfc822; dr@clinic.test") {
			t.Errorf("the notice must be about the rejected recipient alone:\n%s", text)
		}
		if words := strings.Join(strings.Fields(text), " "); !strings.Contains(words, `because the message also goes to dr@clinic.test, named by clinic; a rule whose box `+
			`"Enable Opportunistic TLS for unspecified recipients" is ticked protects nobody else.`) {
			t.Errorf("the notice does not say because of whom:\n%s", text)
		}
	})
}

func TestAStricterRuleRaisesWhatWaits(t *testing.T) {
	story(t, func(w *world) {
		w.clinic.Set(partner.Behaviour{Fault: partner.Busy})
		w.start()
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(10 * time.Second)
		w.apply(clinicRule)
		time.Sleep(time.Second)
		rec := w.one(queue.Ordinary)
		if rec.Requirement.Channel != policy.Authenticated || len(rec.Rules) != 1 {
			t.Fatalf("the waiting delivery requires %v by rules %q", rec.Requirement.Channel, rec.Rules)
		}
		if got := rec.ExpiresAt.Sub(rec.AcceptedAt); got != 24*time.Hour {
			t.Errorf("its window is %v, want 24h from acceptance", got)
		}
		w.clinic.Set(partner.Behaviour{Fault: partner.NoTLS})
		time.Sleep(time.Hour)
		if len(leaked(w.clinic)) != 0 {
			t.Fatal("raised mail went in the clear")
		}
		w.apply("")
		time.Sleep(time.Hour)
		if rec := w.one(queue.Ordinary); rec.Requirement.Channel != policy.Authenticated || len(leaked(w.clinic)) != 0 {
			t.Fatal("a removed rule lowered what waits")
		}
	})
}

func TestRemoteRefusalsAreNotFailuresOfTLS(t *testing.T) {
	story(t, func(w *world) {
		good := partner.Behaviour{TLS: w.cert(pki.Options{Names: []string{"mx.clinic.test"}})}
		refuses := good
		refuses.Replies = map[string]string{"RCPT TO:<no@clinic.test>": "550 5.1.1 nobody here", "RCPT TO:<later@clinic.test>": "450 4.2.1 come back"}
		w.clinic.Set(refuses)
		w.apply(clinicRule)
		w.start()
		w.accept("a@example.test", nil, "no@clinic.test", "later@clinic.test", "yes@clinic.test")
		time.Sleep(5 * time.Second)
		want := map[string]queue.State{"no": queue.Failed, "later": queue.Queued, "yes": queue.Delivered}
		for _, rec := range w.records(queue.Ordinary) {
			if rec.State != want[rec.Recipient.Address.Local] {
				t.Errorf("%s is %v (%q)", rec.Recipient.Address, rec.State, rec.Reason)
			}
		}
		if text := w.own.Messages()[0].Data; !strings.Contains(text, "smtp; 550") || !strings.Contains(text, "5.1.1") {
			t.Errorf("the notice lacks the peer's reply:\n%s", text)
		}
		if n := len(w.clinic.Messages()); n != 1 {
			t.Errorf("%d transactions delivered, want 1", n)
		}
		time.Sleep(30 * time.Hour) // past the window of the rule: a 4xx has the ordinary lifetime
		for _, rec := range w.records(queue.Ordinary) {
			if rec.Recipient.Address.Local == "later" && rec.State != queue.Queued {
				t.Errorf("put off by the peer, after 30 h it is %v", rec.State)
			}
		}
		w.clinic.Set(good)
		time.Sleep(time.Hour)
		if n := len(w.clinic.Messages()); n != 2 {
			t.Errorf("%d transactions delivered in the end, want 2", n)
		}
	}, long)
}

func TestNobodyIsToldWhoDoesNotWantToKnow(t *testing.T) {
	cases := map[string]struct {
		from   string
		change func(*queue.Submission)
	}{
		"the null sender": {"", nil},
		"NOTIFY=NEVER": {"a@example.test", func(s *queue.Submission) {
			s.Deliveries[0].Recipient.Notify = mail.NotifyNever
		}},
		"NOTIFY=SUCCESS": {"a@example.test", func(s *queue.Submission) {
			s.Deliveries[0].Recipient.Notify = mail.NotifySuccess
		}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			story(t, func(w *world) {
				w.clinic.Set(partner.Behaviour{Fault: partner.NoTLS, Replies: map[string]string{"RCPT": "550 5.1.1 no"}})
				w.start()
				w.accept(c.from, c.change, "dr@clinic.test")
				time.Sleep(time.Hour)
				if rec := w.one(queue.Ordinary); rec.State != queue.Failed {
					t.Errorf("the delivery is %v", rec.State)
				}
				if n := len(w.own.Messages()); n != 0 {
					t.Errorf("%d notices were sent", n)
				}
			})
		})
	}
}

func TestOrdinaryMailExpiresAfterItsLifetime(t *testing.T) {
	story(t, func(w *world) {
		w.clinic.Set(partner.Behaviour{Fault: partner.Busy})
		w.start()
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(119 * time.Hour)
		if n := len(w.own.Messages()); n != 1 {
			t.Errorf("%d delay notices, want 1", n)
		}
		time.Sleep(2 * time.Hour)
		if rec := w.one(queue.Ordinary); rec.State != queue.Failed || rec.Reason != policy.ExpiredInQueue {
			t.Errorf("after the lifetime: %v, %q", rec.State, rec.Reason)
		}
		if got := w.own.Messages(); len(got) != 2 || !strings.Contains(got[1].Data, "5.4.7") {
			t.Errorf("%d notices in all", len(got))
		}
	}, long)
}

func TestAPeerThatClosesAfterTheDotKeepsTheMessageQueued(t *testing.T) {
	story(t, func(w *world) {
		b := partner.Behaviour{TLS: w.cert(pki.Options{Names: []string{"mx.clinic.test"}}), Fault: partner.ClosesAfterDot}
		w.clinic.Set(b)
		w.start()
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(10 * time.Second)
		if rec := w.one(queue.Ordinary); rec.State != queue.Queued || rec.Reason != policy.RemoteClosed {
			t.Fatalf("%v, reason %q", rec.State, rec.Reason)
		}
		b.Fault = partner.Sound
		w.clinic.Set(b)
		time.Sleep(10 * time.Minute)
		if rec := w.one(queue.Ordinary); rec.State != queue.Delivered {
			t.Fatalf("in the end it is %v", rec.State)
		}
	})
}

func TestADomainThatDoesNotExistFailsAtOnce(t *testing.T) {
	story(t, func(w *world) {
		w.start()
		w.accept("a@example.test", nil, "x@nowhere.invalid")
		time.Sleep(5 * time.Second)
		if rec := w.one(queue.Ordinary); rec.State != queue.Failed || rec.Reason != policy.DNSNXDomain {
			t.Fatalf("%v, reason %q", rec.State, rec.Reason)
		}
		if n := len(w.own.Messages()); n != 1 {
			t.Fatalf("%d notices", n)
		}
	})
}

func TestManyMessagesShareConnections(t *testing.T) {
	story(t, func(w *world) {
		for range 40 {
			w.accept("a@example.test", nil, "dr@clinic.test")
		}
		w.start()
		time.Sleep(10 * time.Second)
		if n := len(w.clinic.Messages()); n != 40 {
			t.Fatalf("%d of 40 arrived", n)
		}
		hellos := 0
		for _, c := range w.clinic.Commands() {
			if c.Verb == "STARTTLS" {
				hellos++
			}
		}
		if hellos > 6 {
			t.Errorf("%d connections for 40 messages", hellos)
		}
	})
}

func TestAPassWakesOtherSitesAtTheSameHosts(t *testing.T) {
	story(t, func(w *world) {
		w.clinic.Set(w.expired("mx.clinic.test"))
		w.apply(clinicRule)
		w.start()
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(3 * time.Hour)
		w.clinic.Set(partner.Behaviour{TLS: w.cert(pki.Options{Names: []string{"mx.clinic.test"}})})
		w.apply("")
		w.accept("a@example.test", nil, "other@clinic.test") // ordinary mail, and it reaches authenticated
		time.Sleep(5 * time.Second)
		for _, rec := range w.records(queue.Ordinary) {
			if rec.State != queue.Delivered {
				t.Errorf("%s is %v", rec.Recipient.Address, rec.State)
			}
		}
	})
}

func TestStoppingGivesBackWhatWasClaimed(t *testing.T) {
	story(t, func(w *world) {
		w.clinic.Set(partner.Behaviour{TLS: w.cert(pki.Options{Names: []string{"mx.clinic.test"}}), Fault: partner.HangsTLS})
		w.start()
		for range 10 {
			w.accept("a@example.test", nil, "dr@clinic.test")
		}
		time.Sleep(time.Second)
		w.stop()
		<-w.done
		synctest.Wait()
		for _, rec := range w.records(queue.Ordinary) {
			if rec.State != queue.Queued {
				t.Errorf("after the stop a delivery is %v", rec.State)
			}
		}
	})
}

func TestEveryOutcomeIsAnEvent(t *testing.T) {
	story(t, func(w *world) {
		w.clinic.Set(w.expired("mx.clinic.test"))
		w.apply(clinicTicked)
		w.start()
		w.accept("a@example.test", nil, "dr@clinic.test", "b@shop.test")
		time.Sleep(5 * time.Second)
		w.mu.Lock()
		defer w.mu.Unlock()
		states := map[string]int{}
		for _, e := range w.events {
			if s, ok := e.(event.Settled); ok {
				states[s.State+" "+s.To.Domain.String()]++
			}
		}
		if states["deferred clinic.test"] != 1 || states["delivered shop.test"] != 1 {
			t.Errorf("settled events: %v", states)
		}
	})
}

func TestTwoDeliveriesPutOffAtOneSiteAreBothTriedAgain(t *testing.T) {
	story(t, func(w *world) {
		good := partner.Behaviour{TLS: w.cert(pki.Options{Names: []string{"mx.clinic.test"}})}
		busy := good
		busy.Replies = map[string]string{"RCPT": "450 4.2.1 come back"}
		w.clinic.Set(busy)
		w.start()
		w.accept("a@example.test", nil, "one@clinic.test")
		time.Sleep(500 * time.Millisecond) // its worker lingers
		w.accept("a@example.test", nil, "two@clinic.test")
		time.Sleep(30 * time.Second)
		w.clinic.Set(good)
		time.Sleep(3 * time.Minute)
		if n := len(w.clinic.Messages()); n != 2 {
			t.Fatalf("%d of 2 messages arrived", n)
		}
	})
}

func TestARuleUnderTestChangesNothingAndIsRecorded(t *testing.T) {
	story(t, func(w *world) {
		w.clinic.Set(w.expired("mx.clinic.test"))
		w.apply(strings.Replace(clinicRule, "action", "mode = 'test'\naction", 1))
		w.start()
		w.accept("a@example.test", func(s *queue.Submission) { s.Deliveries[0].Tested = []string{"clinic"} }, "dr@clinic.test")
		time.Sleep(5 * time.Second)
		rec := w.one(queue.Ordinary)
		if rec.State != queue.Delivered || rec.Reached != policy.Encrypted {
			t.Fatalf("%v, reached %v", rec.State, rec.Reached)
		}
		notes := strings.Join(rec.History[0].Notes, "\n")
		if !strings.Contains(notes, "clinic") || !strings.Contains(notes, "would not have used this connection: cert-expired") {
			t.Errorf("notes: %q", notes)
		}
	})
}

// TestIdleChannelsMakeRoom: workers that linger with an open channel do not keep other sites from starting when all
// together are as many as may be.
func TestIdleChannelsMakeRoom(t *testing.T) {
	story(t, func(w *world) {
		w.start()
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(time.Second)
		w.accept("a@example.test", nil, "info@shop.test")
		time.Sleep(time.Second)
		for _, rec := range w.records(queue.Ordinary) {
			if rec.State != queue.Delivered {
				t.Errorf("mail to %v is %v while an idle channel holds the only place", rec.Recipient.Address, rec.State)
			}
		}
	}, func(c *dispatch.Config) {
		c.Schedule.Total, c.Linger = 1, time.Hour
	})
}

// TestAWorkerThatLingersTakesWhatBecomesDue: the places of a site are all with workers that wait for more mail. Their
// channel is open; what becomes due goes by it, and does not wait until they leave.
func TestAWorkerThatLingersTakesWhatBecomesDue(t *testing.T) {
	later := func(s *queue.Submission) { s.Deliveries[0].Due = time.Now().Add(2 * time.Minute) }
	for what, c := range map[string]struct {
		waits  time.Duration
		change func(*queue.Submission)
		then   func(w *world)
	}{
		"new mail":                   {time.Second, nil, nil},
		"its time comes":             {2*time.Minute + time.Second, later, nil},
		"a retry is asked for":       {2 * time.Second, later, (*world).retry},
		"a retry is asked for twice": {2 * time.Second, later, func(w *world) { w.retry(); w.retry() }},
	} {
		t.Run(what, func(t *testing.T) {
			story(t, func(w *world) {
				w.start()
				w.accept("a@example.test", nil, "x@shop.test")
				time.Sleep(time.Minute)
				w.accept("a@example.test", c.change, "y@shop.test")
				if c.then != nil {
					c.then(w)
				}
				time.Sleep(c.waits)
				if n := len(w.shop.Messages()); n != 2 || connections(w.shop) != 1 {
					t.Errorf("%d messages by %d connections", n, connections(w.shop))
				}
			}, func(c *dispatch.Config) { c.Schedule.PerSite, c.Linger = 1, 24*time.Hour })
		})
	}
	t.Run("overlooked", func(t *testing.T) {
		story(t, func(w *world) {
			c := joined(w, 1)
			defer c.close()
			c.accept("x@shop.test")
			time.Sleep(time.Minute)
			w.accept("a@example.test", nil, "y@shop.test") // nobody is told
			time.Sleep(3 * time.Second)
			if n := len(w.shop.Messages()); n != 2 || connections(w.shop) != 1 {
				t.Errorf("%d messages by %d connections", n, connections(w.shop))
			}
		}, func(c *dispatch.Config) { c.Schedule.PerSite, c.Linger = 1, 24*time.Hour })
	})
}

// retry has all that waits tried now.
func (w *world) retry() {
	acted, err := w.store.Act(context.Background(), queue.Action{Kind: queue.Retry, Now: time.Now(), By: "test"})
	if err != nil {
		w.t.Fatal(err)
	}
	w.d.Kick(context.Background(), acted.Sites...)
}

// TestABatchForASlowServerIsShared: thirty messages that were claimed at once do not wait one behind the other while
// other connections may be had. Where one connection is all there may be, or nothing can be given back, they go in
// their order.
func TestABatchForASlowServerIsShared(t *testing.T) {
	refuses := func(b queue.Batch) error {
		if b.Settlements[0].State == queue.Queued {
			return queue.ErrFull
		}
		return nil
	}
	for what, c := range map[string]struct {
		most   int
		settle func(queue.Batch) error
		within time.Duration
		side   int
	}{
		"one connection":            {1, nil, 65 * time.Second, 1},
		"ten connections":           {10, nil, 20 * time.Second, 10},
		"nothing can be given back": {10, refuses, 65 * time.Second, 1},
	} {
		t.Run(what, func(t *testing.T) {
			story(t, func(w *world) { w.slowly(c.settle, c.within, c.side) },
				func(d *dispatch.Config) { d.Schedule.PerSite = c.most })
		})
	}
}

// slowly has thirty messages sent to a server that takes two seconds for each.
func (w *world) slowly(settle func(queue.Batch) error, within time.Duration, most int) {
	w.broken.settle = settle
	var sink tally
	w.shop.Set(w.slow(&sink, 2*time.Second))
	for i := range 30 {
		w.accept("a@example.test", nil, fmt.Sprintf("x%d@shop.test", i))
	}
	w.start()
	time.Sleep(within)
	sink.Lock()
	messages, side := w.shop.Messages(), sink.most
	sink.Unlock()
	if len(messages) != 30 || side > most || side < (most+1)/2 || connections(w.shop) > most {
		w.t.Errorf("%d of 30 messages have come by %d connections, %d side by side", len(messages), connections(w.shop), side)
	}
	for i, m := range messages {
		if want := fmt.Sprintf("x%d@shop.test", i); most == 1 && m.To[0] != want {
			w.t.Errorf("message %d is to %s, want %s", i, m.To, want)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		if s, ok := e.(event.Settled); ok && s.State != "delivered" {
			w.t.Errorf("nothing became of it, and it is told: %+v", s)
		}
	}
}
