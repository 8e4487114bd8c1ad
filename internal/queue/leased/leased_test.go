package leased

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/mail"
	"postern/internal/queue"
)

var begin = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// message puts one message into m, at each site one delivery, and returns its works.
func message(m *Mail, n int, at time.Time, sites ...queue.SiteKey) (works []queue.Work) {
	for i, site := range sites {
		w := queue.Work{NextHop: string(site), Was: queue.Queued}
		w.ID, w.Site, w.State, w.Due, w.AcceptedAt = queue.DeliveryID(n*100+i), site, queue.Queued, at, at
		w.Message.ID, w.Message.AcceptedAt = queue.ID(fmt.Sprintf("m%d", n)), at
		w.Recipient.Address = mail.MustAddress("a@b.test")
		w.Lease = queue.Lease{Delivery: w.ID, Token: int64(w.ID) + 7}
		works = append(works, w)
	}
	m.Put(works, []byte("body"), begin)
	return works
}

func ids(works []queue.Work) (out []int) {
	for _, w := range works {
		out = append(out, int(w.ID))
	}
	return out
}

func numbers(leases []queue.Lease) (out []int) {
	for _, l := range leases {
		out = append(out, int(l.Delivery))
	}
	slices.Sort(out)
	return out
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// TestKeptMailIsClaimedInOrder: by due, and what comes before a place only.
func TestKeptMailIsClaimedInOrder(t *testing.T) {
	m := NewMail(time.Minute)
	message(m, 2, begin.Add(time.Second), "a")
	last := message(m, 3, begin.Add(2*time.Second), "a", "b")
	message(m, 1, begin, "a")
	c := &queue.Claim{Site: "a", Now: begin.Add(3 * time.Second), Until: begin.Add(time.Hour)}
	same(t, "the first", ids(m.Take(c, 1, nil)), []int{100})
	same(t, "before the last", ids(m.Take(c, 9, &last[0])), []int{200, 300})
	same(t, "waiting", m.Waiting(), []int64{301})
	same(t, "what is in hand", string(m.Body("m1")), "body")
	m.Settled([]int64{100})
	same(t, "what was settled", m.Body("m1") == nil, true)
	if w := m.Take(&queue.Claim{Site: "b", Now: begin.Add(3 * time.Second), Until: begin.Add(time.Hour)}, 9, nil); len(w) != 1 || w[0].State != queue.Sending || w[0].Lease.Token != 308 {
		t.Errorf("took %+v", w)
	}
}

// TestKeptMailIsGivenBack: what an action names, what is near the end of its lease, and what nobody asked for; nobody
// has begun with it until that is done.
func TestKeptMailIsGivenBack(t *testing.T) {
	m := NewMail(time.Minute)
	message(m, 1, begin.Add(-31*time.Second), "a")
	message(m, 2, begin, "a", "b")
	same(t, "ending", numbers(m.Unfit(&queue.Claim{Site: "a", Now: begin, Until: begin.Add(time.Minute)})), []int{100})
	same(t, "dropped", numbers(m.Drop("", func(d *queue.Delivery) bool { return d.Site == "b" })), []int{201})
	waiting := m.Waiting()
	slices.Sort(waiting)
	same(t, "waiting", waiting, []int64{100, 200, 201})
	m.Returned([]queue.Lease{{Delivery: 100}, {Delivery: 201}})
	same(t, "waiting then", m.Waiting(), []int64{200})
	same(t, "old at once", numbers(m.Old(begin.Add(keptFor))), []int(nil))
	same(t, "old", numbers(m.Old(begin.Add(keptFor+1))), []int{200})
	same(t, "a body that nobody uses", m.Body("m2") == nil, true)
}

// TestWhoClaimsWaitsForWhatIsGivenBack: at the same site, and no longer than he may.
func TestWhoClaimsWaitsForWhatIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMail(time.Minute)
		message(m, 1, begin, "a", "b")
		dropped := m.Drop("a", func(*queue.Delivery) bool { return true })
		if err := m.Rest(t.Context(), "b"); err != nil {
			t.Errorf("at another site: %v", err)
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := m.Rest(short, "a"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with little time: %v", err)
		}
		var rested atomic.Int32
		for _, site := range []queue.SiteKey{"a", ""} {
			go func() {
				if err := m.Rest(t.Context(), site); err != nil {
					t.Error(err)
				}
				rested.Add(1)
			}()
		}
		synctest.Wait()
		same(t, "rested before", rested.Load(), 0)
		m.Returned(m.Drop("b", func(*queue.Delivery) bool { return true }))
		synctest.Wait()
		same(t, "rested when another site's was given back", rested.Load(), 0)
		m.Returned(dropped)
		synctest.Wait()
		same(t, "rested then", rested.Load(), 2)
	})
}

// TestNothingIsWantedBeyondTheBounds: nor what is not due, nor at a site with more than a claim can take.
func TestNothingIsWantedBeyondTheBounds(t *testing.T) {
	d := &queue.Delivery{Site: "a", State: queue.Queued, Due: begin, AcceptedAt: begin}
	later, held := *d, *d
	later.Due, held.State = begin.Add(1), queue.Held
	m := NewMail(time.Minute)
	same(t, "due now, later, held", []bool{m.Wants(d), m.Wants(&later), m.Wants(&held), NewMail(0).Wants(d)}, []bool{true, false, false, false})
	m.Note("a", Quiet{At: begin, Now: begin, Full: true}, m.Stirred())
	same(t, "at a full site", m.Wants(d), false)
	m.Stir("a")
	for n := range keptAtSite {
		message(m, n+1, begin, "a")
	}
	same(t, "at a site with many", m.Wants(d), false)
}

// TestQuiet: what a claim found is believed for a moment, as long as nothing stirs.
func TestQuiet(t *testing.T) {
	for _, tt := range []struct {
		name string
		q    Quiet
		do   func(m *Mail)
		c    queue.Claim
		late time.Duration
		want bool
	}{
		{name: "nothing there", want: true},
		{name: "a while ago", late: quietFor},
		{name: "stirred", do: func(m *Mail) { m.Stir("a") }},
		{name: "another was stirred", do: func(m *Mail) { m.Stir("b") }, want: true},
		{name: "all were stirred", do: func(m *Mail) { m.Stir() }},
		{name: "there was more", q: Quiet{Full: true}},
		{name: "the next is due", q: Quiet{Next: begin}},
		{name: "the next is not due", q: Quiet{Next: begin.Add(1)}, want: true},
		{name: "beyond was not asked", c: queue.Claim{Beyond: begin.Add(time.Hour)}},
		{name: "beyond was", q: Quiet{Beyond: begin.Add(time.Minute)}, c: queue.Claim{Beyond: begin.Add(time.Hour)}, want: true},
	} {
		m := NewMail(time.Minute)
		tt.q.At, tt.q.Now, tt.c.Site, tt.c.Now = begin, begin, "a", begin
		m.Note("a", tt.q, m.Stirred())
		if tt.do != nil {
			tt.do(m)
		}
		if got := m.IsQuiet(&tt.c, begin.Add(tt.late)); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
	m := NewMail(time.Minute)
	before := m.Stirred()
	m.Stir("b") // while the claim was under way
	m.Note("a", Quiet{At: begin, Now: begin}, before)
	same(t, "noted after a stir", m.IsQuiet(&queue.Claim{Site: "a", Now: begin}, begin), false)
}

// TestGivenLeases: only what all is known of is told, by the token, and not where something is wished.
func TestGivenLeases(t *testing.T) {
	var g Given
	note := func(id queue.DeliveryID, d queue.Delivery, until time.Duration) queue.Lease {
		d.ID, d.Site, d.State = id, "a", queue.Sending
		l := queue.Lease{Delivery: id, Token: int64(id) + 7}
		g.Note(l, begin.Add(until), &d, queue.Held, "{}")
		return l
	}
	one, two := note(1, queue.Delivery{}, time.Minute), note(2, queue.Delivery{}, 2*time.Minute)
	wished := note(3, queue.Delivery{Wish: &queue.Wish{Kind: queue.Hold}}, 3*time.Minute)
	for _, tt := range []struct {
		leases []queue.Lease
		want   bool
	}{
		{[]queue.Lease{one, two}, true},
		{[]queue.Lease{one, wished}, false},
		{[]queue.Lease{one, {Delivery: 2, Token: 1}}, false},
		{[]queue.Lease{one, {Delivery: 4, Token: 11}}, false},
	} {
		found, all := g.Of(tt.leases)
		if all != tt.want || all && (len(found) != 2 || found[1].ID != 2 || found[1].State != queue.Held || found[1].Facts != "{}") {
			t.Errorf("of %v: %v, %v", tt.leases, found, all)
		}
	}
	same(t, "the next end", g.NextEnd("a", begin, time.Time{}), begin.Add(time.Minute))
	same(t, "with something due before", g.NextEnd("a", begin, begin.Add(time.Second)), begin.Add(time.Second))
	same(t, "sooner", g.Prolong([]queue.Lease{one}, begin.Add(time.Hour)), false)
	same(t, "sooner than that", g.Prolong([]queue.Lease{one}, begin.Add(time.Second)), true)
	g.Forget([]int64{1})
	same(t, "when one ended", g.NextEnd("a", begin, time.Time{}), begin.Add(2*time.Minute))
}
