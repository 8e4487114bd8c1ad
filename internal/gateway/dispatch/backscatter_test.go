package dispatch_test

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"postern/internal/event"
	"postern/internal/gateway/dispatch"
	"postern/internal/lab/partner"
	"postern/internal/queue"
)

// bouncing makes the clinic refuse every recipient.
func (w *world) bouncing() {
	w.clinic.Set(partner.Behaviour{Fault: partner.NoTLS, Replies: map[string]string{"RCPT": "550 5.1.1 no"}})
	w.start()
}

func (w *world) warned(what string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		if e, ok := e.(event.Warned); ok && e.What == what {
			n++
		}
	}
	return n
}

// notices counts our notices by their state.
func (w *world) notices() string {
	states := map[queue.State]int{}
	for _, rec := range w.records(queue.DSN) {
		states[rec.State]++
	}
	return fmt.Sprintf("%d delivered, %d held, %d failed", states[queue.Delivered], states[queue.Held], states[queue.Failed])
}

func (w *world) want(what, want string) {
	w.t.Helper()
	if got := w.notices(); got != want {
		w.t.Errorf("%s: %s, want %s", what, got, want)
	}
}

func perAddress(n int) func(*dispatch.Config) {
	return func(c *dispatch.Config) { c.NoticesPerAddress = n }
}

// Somebody forges the sender of many messages to aim our notices at him.
func TestNoticesToOneStrangerAreFewAndTheOthersHeld(t *testing.T) {
	story(t, func(w *world) {
		w.bouncing()
		for i := range 8 {
			w.accept([]string{"victim@shop.test", "Victim@shop.test", fmt.Sprintf("victim+%d@shop.test", i)}[i%3], nil, "dr@clinic.test")
			time.Sleep(time.Minute)
		}
		w.accept("other@shop.test", nil, "dr@clinic.test")
		time.Sleep(time.Minute)
		w.want("within an hour", "4 delivered, 5 held, 0 failed")
		if n := w.warned("backscatter"); n != 1 {
			t.Errorf("the administrator was warned %d times", n)
		}
		for range 20 {
			w.accept("anna@example.test", nil, "dr@clinic.test")
		}
		time.Sleep(time.Minute)
		w.want("to our own domain", "24 delivered, 5 held, 0 failed")

		held := w.records(queue.DSN)
		for _, rec := range held {
			if rec.State != queue.Held {
				continue
			}
			acted, err := w.store.Act(context.Background(), queue.Action{Kind: queue.Release, Messages: []queue.ID{rec.Message.ID}, Now: time.Now()})
			if err != nil {
				t.Fatal(err)
			}
			w.d.Kick(context.Background(), acted.Sites...)
			break
		}
		time.Sleep(time.Minute)
		w.want("after one was released", "25 delivered, 4 held, 0 failed")

		time.Sleep(time.Hour)
		w.accept("victim@shop.test", nil, "dr@clinic.test")
		time.Sleep(time.Minute)
		w.want("in the next hour", "26 delivered, 4 held, 0 failed")
		time.Sleep(120 * time.Hour)
		w.want("after the lifetime of mail", "26 delivered, 0 held, 4 failed")
		if n := len(w.records(queue.DSN)); n != 30 {
			t.Errorf("%d notices: one was written about a notice", n)
		}
	}, perAddress(3))
}

func TestNoticesToAllStrangersAreBounded(t *testing.T) {
	story(t, func(w *world) {
		w.bouncing()
		for i := range 30 {
			w.accept(fmt.Sprintf("victim%d@shop.test", i), nil, "dr@clinic.test")
		}
		time.Sleep(time.Minute)
		w.want("within an hour", "10 delivered, 20 held, 0 failed")
	}, func(c *dispatch.Config) { c.NoticesToStrangers = 10 })
}

// Whoever may relay through us is known; his notices are not stemmed, wherever they go.
func TestNoticesAboutMailOfOurOwnSideAreNotCounted(t *testing.T) {
	relay := netip.MustParseAddr("10.1.2.3")
	story(t, func(w *world) {
		w.bouncing()
		for range 10 {
			w.accept("list@shop.test", func(s *queue.Submission) { s.Message.Inbound.Client = relay }, "dr@clinic.test")
		}
		time.Sleep(time.Minute)
		w.want("from a relay", "10 delivered, 0 held, 0 failed")
	}, perAddress(3), func(c *dispatch.Config) {
		c.Ours = func(in *queue.Inbound) bool { return in.Client == relay }
	})
}

// A held notice about forced mail is not sent when its window ends either.
func TestAHeldNoticeAboutForcedMailEndsHeld(t *testing.T) {
	story(t, func(w *world) {
		w.clinic.Set(partner.Behaviour{Fault: partner.NoTLS})
		w.apply(clinicRule)
		w.start()
		for range 5 {
			w.accept("victim@shop.test", nil, "dr@clinic.test")
		}
		time.Sleep(25 * time.Hour)
		w.want("after the window of the mail", "3 delivered, 2 held, 0 failed")
		time.Sleep(25 * time.Hour)
		w.want("after the window of the notices", "3 delivered, 0 held, 2 failed")
		if got := leaked(w.shop); len(got) > 0 {
			t.Errorf("in the clear: %q", got)
		}
	}, perAddress(3))
}
