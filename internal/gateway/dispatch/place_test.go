package dispatch_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/gateway/dispatch"
	"postern/internal/queue"
)

// restarted is the same world with a new dispatcher over the same store.
func (w *world) restarted(change func(*dispatch.Config)) {
	w.stop()
	<-w.done
	w.done = make(chan struct{})
	cfg := w.cfg
	change(&cfg)
	w.d = dispatch.New(cfg)
	w.start()
}

// Of what works lately a restart knows; reports that wait are known as such when they are claimed.
func TestARestartDoesNotForgetWhoWorks(t *testing.T) {
	story(t, func(w *world) {
		pits := w.tarpits(destinations, ".", false)
		w.start()
		w.accept("boss@example.test", nil, "dr@clinic.test")
		time.Sleep(time.Minute)
		pits.reports()
		w.restarted(func(*dispatch.Config) {})
		pits.victims(within)
		if n := pits.most.Load(); n > 50 {
			w.t.Errorf("%d reports to strangers were under way", n)
		}
	}, func(c *dispatch.Config) { c.Schedule.Total = 200 })
}

// A try that is cut off because others need its place is a failure with a reason of time, and its probe has all the
// time.
func TestWhatIsCutOffIsTriedWithAllItsTime(t *testing.T) {
	story(t, func(w *world) {
		pits := w.tarpits(destinations, "RCPT", false)
		w.start()
		pits.message()
		time.Sleep(40 * time.Second)
		cut := 0
		for _, rec := range w.records(queue.Ordinary) {
			if a := rec.SiteState.Last; a != nil {
				cut++
				if r := string(a.Reason); !strings.Contains(r, "timeout") {
					w.t.Errorf("%s was cut off for %s: %s", rec.Recipient.Address, r, a.Text)
				}
			}
		}
		if cut < 50 {
			w.t.Fatalf("%d tries were cut off", cut)
		}
		pits.at.Store(sound)
		time.Sleep(30 * time.Minute)
		for _, rec := range w.records(queue.Ordinary) {
			if rec.State != queue.Delivered {
				w.t.Fatalf("%s is %v after all works", rec.Recipient.Address, rec.State)
			}
		}
	}, func(c *dispatch.Config) { c.Schedule.Total = 200 })
}

// A host has its bound, however many domains are behind it, and when it works again all their mail goes.
func TestDomainsBehindOneHostShareItsBound(t *testing.T) {
	story(t, func(w *world) {
		pits := w.tarpits(300, "greeting", true)
		w.start()
		pits.many()
		for range 400 {
			time.Sleep(3 * time.Second)
			synctest.Wait()
			if n := pits.open.Load(); n > 20 {
				w.t.Fatalf("%d sessions are open with one host", n)
			}
		}
		pits.at.Store(sound)
		time.Sleep(2 * time.Hour)
		for _, rec := range w.records(queue.Ordinary) {
			if rec.State != queue.Delivered {
				w.t.Fatalf("%s is %v: %v", rec.Recipient.Address, rec.State, rec.Reason)
			}
		}
	}, func(c *dispatch.Config) { c.Schedule.Total = 200 })
}

// A message that the peer takes long to answer for goes once, whatever else needs places.
func TestALateAnswerToTheContentIsWaitedFor(t *testing.T) {
	story(t, func(w *world) {
		pits := w.tarpits(destinations, "9 minutes", false)
		w.start()
		pits.many()
		time.Sleep(2 * time.Hour)
		for _, rec := range w.records(queue.Ordinary) {
			if rec.State != queue.Delivered || rec.Attempts != 1 {
				w.t.Fatalf("%s is %v after %d attempts", rec.Recipient.Address, rec.State, rec.Attempts)
			}
		}
		if n := pits.taken.Load(); n != destinations {
			w.t.Errorf("%d messages were taken", n)
		}
	}, func(c *dispatch.Config) { c.Schedule.Total = 40 })
}

// One user's mail to hundreds of partners that work takes no longer than it must.
func TestManyNewPartnersThatWorkAreServedSoon(t *testing.T) {
	story(t, func(w *world) {
		pits := w.tarpits(destinations, sound, false)
		w.start()
		pits.message()
		time.Sleep(5 * time.Second)
		for _, rec := range w.records(queue.Ordinary) {
			if rec.State != queue.Delivered {
				w.t.Fatalf("%s is %v", rec.Recipient.Address, rec.State)
			}
		}
		if got, err := w.store.TookMail(context.Background(), time.Now().Add(-time.Hour), 10_000); err != nil || len(got) != destinations {
			w.t.Errorf("%d sites took mail: %v", len(got), err)
		}
	}, func(c *dispatch.Config) { c.Schedule.Total = 200 })
}
