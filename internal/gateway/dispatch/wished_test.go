package dispatch_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/event"
	"postern/internal/lab/partner"
	"postern/internal/lab/pki"
	"postern/internal/queue"
)

// busy has the shop hold each content, or another verb, until the test says what to answer.
func (w *world) busy(verb, answer string) (on chan struct{}) {
	b := w.shopBehaviour()
	on = make(chan struct{})
	b.Before = func(v string) {
		if v == verb {
			<-on
		}
	}
	if answer != "" {
		b.Replies = map[string]string{verb: answer}
	}
	w.shop.Set(b)
	return on
}

func (w *world) shopBehaviour() partner.Behaviour {
	return partner.Behaviour{TLS: w.cert(pki.Options{Names: []string{"mx.shop.test"}})}
}

// commands counts how often the shop heard a verb.
func (w *world) commands(verb string) (n int) {
	for _, c := range w.shop.Commands() {
		if c.Verb == verb {
			n++
		}
	}
	return n
}

func (w *world) act(kind queue.ActionKind) queue.Acted {
	w.t.Helper()
	acted, err := w.store.Act(context.Background(), queue.Action{Kind: kind, Now: time.Now(), By: "root"})
	if err != nil {
		w.t.Fatal(err)
	}
	w.d.Wished()
	return acted
}

// settled lists what was told of deliveries.
func (w *world) settled() (out []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		if s, ok := e.(event.Settled); ok {
			line := s.State + " " + s.To.Local
			if s.Wished != "" {
				line += " " + s.Wished + " by " + s.WishedBy
			}
			if s.TooLate {
				line += " too late"
			}
			out = append(out, line)
		}
	}
	return out
}

func TestWhatIsWishedOfMailThatIsBeingSentHappensWhenItsTryEnds(t *testing.T) {
	for _, c := range []struct {
		kind   queue.ActionKind
		answer string
		state  queue.State
		told   string
	}{
		{queue.Cancel, "451 4.3.0 later", queue.Cancelled, "cancelled a cancel by root"},
		{queue.Hold, "451 4.3.0 later", queue.Held, "held a hold by root"},
		{queue.Cancel, "", queue.Delivered, "delivered a cancel by root too late"},
		{queue.Hold, "", queue.Delivered, "delivered a hold by root too late"},
		{queue.Cancel, "554 5.6.0 never", queue.Failed, "failed a cancel by root too late"},
	} {
		t.Run(string(c.kind)+" "+c.answer, func(t *testing.T) {
			story(t, func(w *world) {
				answer := w.busy(".", c.answer)
				w.start()
				w.accept("", nil, "a@shop.test")
				time.Sleep(time.Minute)
				if acted := w.act(c.kind); acted.Changed != 0 || len(acted.Pending) != 1 {
					t.Fatalf("acted %+v", acted)
				}
				close(answer)
				time.Sleep(time.Second)
				if rec := w.one(queue.Ordinary); rec.State != c.state {
					t.Errorf("it is %v, want %v", rec.State, c.state)
				}
				if told := w.settled(); !slices.Equal(told, []string{c.told}) {
					t.Errorf("told %q, want %q", told, c.told)
				}
				sent := w.commands("MAIL")
				w.shop.Set(w.shopBehaviour())
				time.Sleep(200 * time.Hour)
				if again := w.commands("MAIL"); again != sent {
					t.Errorf("it was sent again %d times", again-sent)
				}
			}, long)
		})
	}
}

func TestWhatIsClaimedBehindABusyPartnerIsLetGoAtOnce(t *testing.T) {
	story(t, func(w *world) {
		answer := w.busy(".", "")
		for _, to := range []string{"a@shop.test", "b@shop.test", "c@shop.test"} {
			w.accept("", nil, to)
		}
		w.start()
		time.Sleep(time.Minute) // the first is in the partner's hands, the others in the worker's
		if n := w.d.Claimed(); n != 3 {
			t.Errorf("%d are claimed, want 3", n)
		}
		if acted := w.act(queue.Cancel); len(acted.Pending) != 3 {
			t.Fatalf("acted %+v", acted)
		}
		synctest.Wait()
		var states []string
		for _, rec := range w.records(queue.Ordinary) {
			states = append(states, rec.Recipient.Address.Local+" "+rec.State.String())
		}
		if want := []string{"c cancelled", "b cancelled", "a sending"}; !slices.Equal(states, want) {
			t.Errorf("while the partner is busy: %q, want %q", states, want)
		}
		if n := w.d.Claimed(); n != 1 {
			t.Errorf("%d are claimed after two were let go of", n)
		}
		close(answer)
		time.Sleep(200 * time.Hour)
		if n := w.d.Claimed(); n != 0 {
			t.Errorf("%d are claimed at the end", n)
		}
		if got := w.shop.Messages(); len(got) != 1 || got[0].To[0] != "a@shop.test" {
			t.Errorf("sent: %+v", got)
		}
		want := []string{"cancelled b cancel by root", "cancelled c cancel by root", "delivered a cancel by root too late"}
		if told := w.settled(); !slices.Equal(told, want) {
			t.Errorf("told %q", told)
		}
	}, long)
}

func TestWhatIsWishedAwayBeforeMAILIsNotSent(t *testing.T) {
	for _, verb := range []string{"EHLO", "STARTTLS"} {
		t.Run(verb, func(t *testing.T) {
			story(t, func(w *world) {
				answer := w.busy(verb, "")
				w.start()
				w.accept("", nil, "a@shop.test", "b@shop.test") // one message
				time.Sleep(10 * time.Second)                    // the connection is being made
				acted, err := w.store.Act(context.Background(), queue.Action{Kind: queue.Hold, Now: time.Now(), By: "root"})
				if err != nil || len(acted.Pending) != 2 {
					t.Fatalf("acted %+v, %v", acted, err)
				}
				close(answer)
				time.Sleep(200 * time.Hour)
				if n := w.commands("MAIL"); n != 0 {
					t.Errorf("MAIL was said %d times", n)
				}
				for _, rec := range w.records(queue.Ordinary) {
					if rec.State != queue.Held {
						t.Errorf("it is %v", rec.State)
					}
				}
			}, long)
		})
	}
}

func TestAHoldThatIsUndoneWhileItIsBeingSentIsNone(t *testing.T) {
	story(t, func(w *world) {
		answer := w.busy(".", "451 4.3.0 later")
		w.start()
		w.accept("", nil, "a@shop.test")
		time.Sleep(time.Minute)
		w.act(queue.Hold)
		if acted := w.act(queue.Release); acted.Changed != 1 {
			t.Errorf("released %+v", acted)
		}
		w.shop.Set(w.shopBehaviour())
		close(answer)
		time.Sleep(time.Hour)
		if rec := w.one(queue.Ordinary); rec.State != queue.Delivered || rec.Wish != nil {
			t.Errorf("it is %v with %+v wished", rec.State, rec.Wish)
		}
	})
}
