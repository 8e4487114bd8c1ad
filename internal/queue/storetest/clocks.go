package storetest

import (
	"fmt"
	"testing"
	"time"

	"postern/internal/attempt"
	"postern/internal/mail"
	"postern/internal/operator/audit"
	"postern/internal/policy"
	"postern/internal/queue"
)

// ClockedStore is what a gateway keeps mail in.
type ClockedStore interface {
	queue.Store
	audit.Ledger
}

// Clocked is a gateway whose clock is off by so much.
type Clocked struct {
	ClockedStore
	Off time.Duration
}

// RunClocks runs the tests of a queue that gateways share whose clocks differ. open returns two handles on one new
// empty queue; the suite closes them. Each says and hears times by its own clock, and everything happens when it
// should.
func RunClocks(t *testing.T, open func(t *testing.T) [2]Clocked) {
	for _, tt := range []struct {
		name string
		run  func(c *clocks)
	}{
		{"What one accepts is due at the other in time", dueInTime},
		{"A window ends in time, whoever accepted and whoever looks", endsInTime},
		{"A lease of one ends in time for the other", leasedInTime},
		{"A failing site rests as long for both", restsInTime},
		{"What is tried and asked for is told by the clock of who looks", toldInTime},
		{"What ended is purged in time", purgedInTime},
	} {
		for order := range 2 {
			t.Run(fmt.Sprint(tt.name, " ", order), func(t *testing.T) {
				both := open(t)
				t.Cleanup(func() {
					for _, s := range both {
						if err := s.Close(); err != nil {
							t.Error(err)
						}
					}
				})
				tt.run(&clocks{T: t, now: time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC), one: both[order],
					other: both[1-order]})
			})
		}
	}
}

// clocks is a pair of gateways at a true time.
type clocks struct {
	*testing.T
	now        time.Time
	one, other Clocked
	n          uint32
}

// at is a time so far from now as g's clock shows it.
func (c *clocks) at(g Clocked, in time.Duration) time.Time { return c.now.Add(g.Off + in) }

func (c *clocks) no(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

// is fails the test where g heard of a time that is not so far from now by its clock.
func (c *clocks) is(what string, g Clocked, got time.Time, in time.Duration) {
	c.Helper()
	if want := c.at(g, in); !got.Equal(want) {
		c.Errorf("%s is %v, want %v", what, got, want)
	}
}

// accept has g accept a message that is due in ten minutes, has its notice in two hours, and its end in five days.
func (c *clocks) accept(g Clocked) queue.ID {
	c.Helper()
	c.n++
	d, err := g.NewDraft(c.Context())
	c.no(err)
	_, err = d.Write([]byte("body\r\n"))
	c.no(err)
	s := &queue.Submission{Body: d, Message: queue.Message{ID: queue.NewID(c.at(g, 0), c.n), AcceptedAt: c.at(g, 0),
		Envelope: mail.Envelope{From: mail.MustAddress("s@sender.test")}},
		Deliveries: []queue.NewDelivery{{NextHop: "mx:b.test",
			Delivery: queue.Delivery{Due: c.at(g, 10*time.Minute), Deadline: c.at(g, 2*time.Hour),
				ExpiresAt: c.at(g, 5*24*time.Hour), Recipient: mail.Recipient{Address: mail.MustAddress("r@b.test")}}}}}
	before := s.Deliveries[0]
	c.no(g.Accept(c.Context(), s))
	if d := s.Deliveries[0]; d.ID == 0 || d.Due != before.Due || d.ExpiresAt != before.ExpiresAt ||
		s.Message.Size != 6 {
		c.Errorf("the submission was changed to %+v", s)
	}
	return s.Message.ID
}

// claim has g claim for a minute, and wants so many.
func (c *clocks) claim(g Clocked, overdue bool, want int) []queue.Work {
	c.Helper()
	q := queue.Claim{Overdue: overdue, Now: c.at(g, 0), Until: c.at(g, time.Minute), Beyond: c.at(g, 6*24*time.Hour)}
	if !overdue {
		q.Site = "mx:b.test"
	}
	work, err := g.Claim(c.Context(), q)
	c.no(err)
	if len(work) != want {
		c.Fatalf("%v later %d are claimed, want %d", c.now, len(work), want)
	}
	return work
}

func (c *clocks) settle(g Clocked, w queue.Work, s queue.Settlement, sites map[queue.SiteKey]queue.SiteState) {
	c.Helper()
	s.Lease = w.Lease
	c.no(g.Settle(c.Context(), queue.Batch{Settlements: []queue.Settlement{s}, Now: c.at(g, 0), Sites: sites}))
}

// record is the only one there is, as g sees it.
func (c *clocks) record(g Clocked, f queue.Filter) queue.Record {
	c.Helper()
	var out []queue.Record
	for r, err := range g.List(c.Context(), f) {
		c.no(err)
		out = append(out, r)
	}
	if len(out) != 1 {
		c.Fatalf("%d records", len(out))
	}
	return out[0]
}

func dueInTime(c *clocks) {
	id := c.accept(c.one)
	for _, g := range []Clocked{c.one, c.other} {
		sites, err := g.Sites(c.Context())
		c.no(err)
		c.is("the earliest try", g, sites[0].Earliest, 10*time.Minute)
		c.claim(g, false, 0)
	}
	c.now = c.now.Add(10*time.Minute - time.Second)
	c.claim(c.other, false, 0)
	c.now = c.now.Add(time.Second)
	w := c.claim(c.other, false, 1)[0]
	if w.Message.ID != id {
		c.Errorf("it is %s", w.Message.ID)
	}
	c.is("its acceptance", c.other, w.Message.AcceptedAt, -10*time.Minute)
	c.is("its acceptance as told of the delivery", c.other, w.AcceptedAt, -10*time.Minute)
	c.is("its end", c.other, w.ExpiresAt, 5*24*time.Hour-10*time.Minute)
	c.settle(c.other, w, queue.Settlement{State: queue.Queued, Due: c.at(c.other, time.Hour),
		Deadline: c.at(c.other, 2*time.Hour)}, nil)
	c.is("its next try", c.one, c.record(c.one, queue.Filter{}).Due, time.Hour)
	c.now = c.now.Add(time.Hour - time.Second)
	c.claim(c.one, false, 0)
	c.now = c.now.Add(time.Second)
	c.claim(c.one, false, 1)
}

func endsInTime(c *clocks) {
	c.accept(c.one)
	c.now = c.now.Add(2*time.Hour - time.Second)
	c.claim(c.one, true, 0)
	c.claim(c.other, true, 0)
	c.now = c.now.Add(time.Second)
	w := c.claim(c.other, true, 1)[0]
	c.is("the deadline", c.other, w.Deadline, 0)
	c.settle(c.other, w, queue.Settlement{State: queue.Queued, Due: c.at(c.other, 0), Deadline: w.ExpiresAt,
		Noticed: true}, nil)
	c.claim(c.one, true, 0) // the notice is not due again
	c.now = c.now.Add(118*time.Hour - time.Second)
	c.claim(c.one, true, 0)
	c.claim(c.other, true, 0)
	c.now = c.now.Add(time.Second)
	c.claim(c.one, true, 1)
}

func leasedInTime(c *clocks) {
	c.accept(c.one)
	c.now = c.now.Add(time.Hour)
	w := c.claim(c.one, false, 1)
	c.claim(c.other, false, 0)
	c.now = c.now.Add(30 * time.Second)
	c.no(c.one.Extend(c.Context(), []queue.Lease{w[0].Lease}, c.at(c.one, time.Minute)))
	c.now = c.now.Add(time.Minute - time.Second)
	c.claim(c.other, false, 0)
	acted, err := c.other.Act(c.Context(), queue.Action{Kind: queue.Hold, Now: c.at(c.other, 0), By: "anna"})
	c.no(err)
	if len(acted.Pending) != 1 {
		c.Errorf("%+v of what is being sent", acted)
	}
	c.is("the wish", c.one, c.record(c.one, queue.Filter{}).Wish.At, 0)
	_, err = c.other.Act(c.Context(), queue.Action{Kind: queue.Release, Now: c.at(c.other, 0), By: "anna"})
	c.no(err)
	c.now = c.now.Add(time.Second)
	c.claim(c.other, false, 1)
}

func restsInTime(c *clocks) {
	c.accept(c.one)
	c.now = c.now.Add(time.Hour)
	w := c.claim(c.one, false, 1)[0]
	try := attempt.Attempt{At: c.at(c.one, 0), Reason: policy.ConnectRefused}
	state := queue.SiteState{Failures: 2, Since: c.at(c.one, -time.Hour), RetryAt: c.at(c.one, 30*time.Minute),
		Last: &try}
	c.settle(c.one, w, queue.Settlement{State: queue.Queued, Due: c.at(c.one, 0), Deadline: c.at(c.one, time.Hour)},
		map[queue.SiteKey]queue.SiteState{"mx:b.test": state})
	c.is("what was handed in", c.one, state.Last.At, 0)
	sites, err := c.other.Sites(c.Context())
	c.no(err)
	work := c.claim(c.other, false, 1)
	for _, st := range []queue.SiteState{sites[0].SiteState, work[0].SiteState,
		c.record(c.other, queue.Filter{}).SiteState} {
		c.is("the first failure", c.other, st.Since, -time.Hour)
		c.is("the next try", c.other, st.RetryAt, 30*time.Minute)
		c.is("the last try", c.other, st.Last.At, 0)
	}
}

func toldInTime(c *clocks) {
	c.accept(c.one)
	c.now = c.now.Add(time.Hour)
	w := c.claim(c.one, false, 1)[0]
	try := attempt.Attempt{At: c.at(c.one, 0), Tries: []attempt.Try{
		attempt.Try{At: c.at(c.one, time.Second), Host: "mx.b.test", Used: true,
			Published: []policy.Published{{Kind: policy.PublishedSTS, AsOf: c.at(c.one, -time.Minute),
				Until: c.at(c.one, time.Hour)}}}.Sealed()}}
	c.settle(c.one, w, queue.Settlement{State: queue.Delivered, Attempt: &try}, nil)
	r := c.record(c.other, queue.Filter{Since: c.at(c.other, -time.Hour), Until: c.at(c.other, time.Second-time.Hour)})
	c.is("its acceptance", c.other, r.Message.AcceptedAt, -time.Hour)
	c.is("its end", c.other, r.FinishedAt, 0)
	c.is("the try", c.other, r.History[0].At, 0)
	c.is("the connection", c.other, r.History[0].Tries[0].At, time.Second)
	c.is("the policy", c.other, r.History[0].Tries[0].Published[0].AsOf, -time.Minute)
	for r, err := range c.other.List(c.Context(), queue.Filter{Until: c.at(c.other, -time.Hour)}) {
		c.Errorf("%+v, %v were accepted before that", r, err)
	}
	took, err := c.other.TookMail(c.Context(), c.at(c.other, 0), 10)
	c.no(err)
	c.is("the last mail that was taken", c.other, took["mx:b.test"], 0)
	c.no(c.one.Append(c.Context(), audit.Entry{At: c.at(c.one, 0), By: "anna", Action: "peers forget"}))
	_, err = c.one.AppendRules(c.Context(), "# none\n",
		audit.Entry{At: c.at(c.one, 0), By: "anna", Action: "rules apply"})
	c.no(err)
	entries, err := c.other.Entries(c.Context(), 0, 10)
	c.no(err)
	for _, e := range entries {
		c.is(e.Action, c.other, e.At, 0)
	}
	newest, err := c.other.Rules(c.Context())
	c.no(err)
	list, err := c.other.Revisions(c.Context(), 0, 10)
	c.no(err)
	one, err := c.other.Revision(c.Context(), newest.Number)
	c.no(err)
	for _, r := range append(list, newest, one) {
		c.is("the rules", c.other, r.AppliedAt, 0)
	}
}

func purgedInTime(c *clocks) {
	c.accept(c.one)
	stats, err := c.other.Stats(c.Context())
	c.no(err)
	c.is("the oldest that waits", c.other, stats.Oldest, 0)
	c.now = c.now.Add(time.Hour)
	c.settle(c.one, c.claim(c.one, false, 1)[0], queue.Settlement{State: queue.Delivered}, nil)
	c.now = c.now.Add(time.Minute)
	for _, want := range []int{0, 1} { // what ended before, then by then
		n, err := c.other.Purge(c.Context(), c.at(c.other, time.Duration(want)*time.Second-time.Minute), 10)
		c.no(err)
		if n != want {
			c.Errorf("%d were purged, want %d", n, want)
		}
	}
}
