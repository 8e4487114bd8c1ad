package storetest

import (
	"fmt"
	"time"

	"postern/internal/attempt"
	"postern/internal/policy"
	"postern/internal/queue"
)

func claims() []test {
	return []test{
		{"Claim gives what is due at the site, oldest due first, a message's deliveries together", claimOrder},
		{"Claim never gives more than its limit, and 100 without one", claimLimit},
		{"Claim gives what is held with a planned try, and not what is held without", claimHeld},
		{"Claim of the overdue looks at every site by deadline", claimOverdue},
		{"Claim takes what is due beyond a bound, after what is due, and nothing in between", claimBeyond},
		{"Claim of the overdue takes deadlines beyond a bound", claimOverdueBeyond},
		{"Claim by ID looks neither at the time nor at the hold", claimIDs},
		{"Claim that does not select in exactly one way is an error", claimWrong},
		{"Claim tells the state of the site", claimTellsSite},
	}
}

func claimOrder(k *suite) {
	soon, later := k.to("later@b.test", "mx:b.test"), k.to("never@b.test", "mx:b.test")
	soon.Due, later.Due = k.now.Add(time.Second), time.Time{}
	k.accept(soon, later)
	k.accept(k.to("a1@b.test", "mx:b.test"), k.to("a2@b.test", "mx:b.test"), k.to("x@c.test", "mx:c.test"))
	k.accept(k.to("b1@b.test", "mx:b.test"), k.to("b2@b.test", "mx:b.test"))
	early := k.to("early@b.test", "mx:b.test")
	early.Due = k.now.Add(-time.Second)
	k.accept(early)
	k.accept(k.to("forced@b.test", "mx:b.test", policy.Requirement{Channel: policy.Authenticated}))
	k.same("claimed", recipients(k.claim("mx:b.test")), []string{"early", "a1", "a2", "b1", "b2"})
	k.later(time.Second)
	k.same("claimed a second later", recipients(k.claim("mx:b.test")), []string{"later"})
	k.same("claimed at the forced site", recipients(k.claim(string(queue.NewSiteKey("mx:b.test",
		policy.Requirement{Channel: policy.Authenticated})))), []string{"forced"})
	k.same("claimed at no site", recipients(k.claim("mx:unknown.test")), []string(nil))
}

func claimLimit(k *suite) {
	var to []queue.NewDelivery
	for i := range 130 {
		to = append(to, k.to(fmt.Sprintf("r%03d@b.test", i), "mx:b.test"))
	}
	k.accept(to...)
	got := []int{len(k.claimAs(queue.Claim{Site: "mx:b.test", Limit: 7})), len(k.claim("mx:b.test")),
		len(k.claim("mx:b.test"))}
	k.same("sizes of three claims", got, []int{7, 100, 23})
}

func claimHeld(k *suite) {
	notice, parked := k.to("notice@b.test", "mx:b.test"), k.to("parked@b.test", "mx:b.test")
	notice.State, parked.State, parked.Due = queue.Held, queue.Held, time.Time{}
	k.accept(notice, parked)
	w := k.one("mx:b.test")
	if w.Recipient.Address.Local != "notice" || w.Was != queue.Held || w.State != queue.Sending {
		k.Errorf("claimed %s, which was %s and is %s", w.Recipient.Address, w.Was, w.State)
	}
	k.later(time.Minute)
	if again := k.one("mx:b.test"); again.Was != queue.Held {
		k.Errorf("claimed again it was %s", again.Was)
	}
}

func claimOverdue(k *suite) {
	for i, name := range []string{"third", "first", "second", "none", "future"} {
		d := k.to(name+"@b.test", "mx:"+name+".test")
		d.Due = time.Time{}
		d.Deadline = k.now.Add(time.Duration([]int{3, 1, 2, 0, 9}[i]) * time.Second)
		if name == "none" {
			d.Deadline = time.Time{}
		}
		if name == "second" {
			d.State = queue.Held
		}
		k.accept(d)
	}
	k.later(3 * time.Second)
	k.same("overdue", recipients(k.claimAs(queue.Claim{Overdue: true, Limit: 2})), []string{"first", "second"})
	k.same("overdue after that", recipients(k.claimAs(queue.Claim{Overdue: true})), []string{"third"})
}

// The clock stood two hours later when some of the mail was put off.
func claimBeyond(k *suite) {
	to := func(name string, due time.Duration) {
		d := k.to(name+"@b.test", "mx:b.test")
		d.Due = k.now.Add(due)
		k.accept(d)
	}
	to("beyond", 2*time.Hour)
	to("edge", time.Hour)
	to("between", time.Minute)
	to("due", 0)
	to("further", 3*time.Hour)
	parked := k.to("parked@b.test", "mx:b.test")
	parked.State, parked.Due = queue.Held, time.Time{}
	k.accept(parked)
	claim := func(limit int) []string {
		return recipients(k.claimAs(queue.Claim{Site: "mx:b.test", Beyond: k.now.Add(time.Hour), Limit: limit}))
	}
	k.same("claimed without a bound", recipients(k.claim("mx:b.test")), []string{"due"})
	to("due2", 0)
	k.list(queue.Filter{}) // what came a moment ago may still be on its way to where the rest is
	k.same("claimed, as many as may be", claim(2), []string{"due2", "beyond"})
	k.same("claimed after that", claim(0), []string{"further"})
	k.same("claimed when nothing is left", claim(0), []string(nil))
}

func claimOverdueBeyond(k *suite) {
	for name, deadline := range map[string]time.Duration{"past": -time.Second, "soon": time.Hour,
		"beyond": 1000 * time.Hour} {
		d := k.to(name+"@b.test", "mx:b.test")
		d.Deadline = k.now.Add(deadline)
		k.accept(d)
	}
	got := recipients(k.claimAs(queue.Claim{Overdue: true, Beyond: k.now.Add(time.Hour)}))
	k.same("overdue and beyond", got, []string{"past", "beyond"})
}

func claimIDs(k *suite) {
	future, held := k.to("future@b.test", "mx:b.test"), k.to("held@c.test", "mx:c.test")
	future.Due, held.State, held.Due = k.now.Add(time.Hour), queue.Held, time.Time{}
	sub := k.submission("x", future, held, k.to("other@b.test", "mx:b.test"), k.to("gone@d.test", "mx:d.test"))
	k.no(k.s.Accept(k.Context(), sub))
	k.no(k.settle(queue.Settlement{State: queue.Delivered}, k.one("mx:d.test")))
	ids := []queue.DeliveryID{sub.Deliveries[1].ID, sub.Deliveries[0].ID, sub.Deliveries[1].ID, sub.Deliveries[3].ID,
		1 << 40}
	k.same("claimed", recipients(k.claimAs(queue.Claim{IDs: ids})), []string{"future", "held"})
}

func claimWrong(k *suite) {
	for _, c := range []queue.Claim{{}, {Site: "a", Overdue: true}, {Overdue: true, IDs: []queue.DeliveryID{1}}} {
		if _, err := k.s.Claim(k.Context(), c); err == nil {
			k.Errorf("Claim(%+v) was answered", c)
		}
	}
}

func claimTellsSite(k *suite) {
	k.accept(k.to("a@b.test", "mx:b.test"), k.to("c@b.test", "mx:b.test"))
	state := queue.SiteState{Failures: 2, Since: k.now, Last: &attempt.Attempt{At: k.now, Reason: policy.TLSTimeout}}
	w := k.claimAs(queue.Claim{Site: "mx:b.test", Limit: 1})[0]
	k.no(k.s.Settle(k.Context(), queue.Batch{Now: k.now, Sites: map[queue.SiteKey]queue.SiteState{"mx:b.test": state},
		Settlements: []queue.Settlement{{Lease: w.Lease, State: queue.Queued}}}))
	next := k.one("mx:b.test")
	k.same("Work.SiteState", next.SiteState, state)
	if next.NextHop != "mx:b.test" {
		k.Errorf("NextHop is %q", next.NextHop)
	}
	k.no(k.s.Settle(k.Context(), queue.Batch{Now: k.now, Sites: map[queue.SiteKey]queue.SiteState{"mx:b.test": {}},
		Settlements: []queue.Settlement{{Lease: next.Lease, State: queue.Queued, Due: k.now}}}))
	k.same("Work.SiteState of a repaired site", k.one("mx:b.test").SiteState, queue.SiteState{})
}

func settlements() []test {
	return []test{
		{"Settle defers to a new time and keeps what the attempt told", settleDefers},
		{"Settle keeps the first attempt and the newest", settleHistory},
		{"Settle moves a delivery to another site with its rules and its window", settleMoves},
		{"Settle with only a site's state needs no lease", settleSite},
		{"Settle holds a notice with or without a next try", settleHolds},
	}
}

func settleDefers(k *suite) {
	k.accept(k.to("a@b.test", "mx:b.test"))
	w := k.one("mx:b.test")
	tried := attempt.Attempt{At: k.now, Reason: policy.Remote4xx}
	k.no(k.settle(queue.Settlement{State: queue.Queued, Due: k.now.Add(time.Minute), Deadline: k.now.Add(time.Hour),
		Attempt: &tried, Reason: policy.Remote4xx, Noticed: true}, w))
	k.same("claimed before its time", k.claim("mx:b.test"), []queue.Work(nil))
	k.later(time.Minute)
	w = k.one("mx:b.test")
	if w.Attempts != 1 || !w.Noticed || w.Reason != policy.Remote4xx || !w.Deadline.Equal(k.now.Add(59*time.Minute)) {
		k.Errorf("the deferred delivery is %+v", w.Delivery)
	}
	k.same("History", w.History, []attempt.Attempt{tried})
	k.no(k.settle(queue.Settlement{State: queue.Queued}, w))
	r := k.record("a@b.test")
	if !r.Due.IsZero() || !r.Deadline.IsZero() || !r.Noticed || r.Attempts != 1 || r.Reason != "" {
		k.Errorf("after an empty settlement: %+v", r.Delivery)
	}
}

func settleHistory(k *suite) {
	k.accept(k.to("a@b.test", "mx:b.test"))
	for i := range 30 {
		w := k.one("mx:b.test")
		tried := &attempt.Attempt{TookMS: int64(i)}
		k.no(k.settle(queue.Settlement{State: queue.Queued, Due: k.now, Attempt: tried}, w))
		var want []int64
		for j := range i + 1 {
			if j == 0 || j > i+1-queue.HistoryKept {
				want = append(want, int64(j))
			}
		}
		var got []int64
		for _, a := range k.record("a@b.test").History {
			got = append(got, a.TookMS)
		}
		k.same(fmt.Sprintf("History after %d attempts", i+1), got, want)
	}
	if n := k.record("a@b.test").Attempts; n != 30 {
		k.Errorf("Attempts is %d, want 30", n)
	}
}

func settleMoves(k *suite) {
	stricter := policy.Combine(policy.Requirement{Channel: policy.Authenticated})
	k.accept(k.to("a@b.test", "mx:b.test"))
	w := k.one("mx:b.test")
	end := k.now.Add(24 * time.Hour)
	k.no(k.settle(queue.Settlement{State: queue.Queued, Due: k.now, Move: &queue.Move{NextHop: "to:c.test:25",
		Requirement: stricter, Rules: []string{"clinic"}, Matched: true, ExpiresAt: end, Judged: 7,
		Demands: []policy.Demand{{Source: policy.FromRule("clinic"), Requirement: stricter}}}}, w))
	key := queue.NewSiteKey("to:c.test:25", stricter)
	moved := k.one(string(key))
	k.same("Requirement", moved.Requirement, stricter)
	k.same("Rules", moved.Rules, []string{"clinic"})
	k.same("Judged", moved.Judged, int64(7))
	k.same("Demands", moved.Demands, []policy.Demand{{Source: policy.FromRule("clinic"), Requirement: stricter}})
	if moved.NextHop != "to:c.test:25" || moved.Site != key || !moved.Matched || !moved.ExpiresAt.Equal(end) {
		k.Errorf("the moved delivery is %+v", moved.Delivery)
	}
	k.same("Effects", moved.Effects, policy.Effects(nil))
	way := policy.Effects{{Rule: "clinic", Kind: policy.EffectOtherwise, Ways: []string{"portal"}, WindowMS: 1500,
		Taken: 1, At: k.now, Why: policy.StartTLSNotOffered}}
	for _, to := range []*queue.Move{{NextHop: "via:portal", Requirement: stricter, Effects: way},
		{NextHop: "to:d.test:25", Requirement: stricter}} {
		k.no(k.settle(queue.Settlement{State: queue.Queued, Due: k.now, Move: to}, moved))
		moved = k.one(string(queue.NewSiteKey(to.NextHop, stricter)))
		k.same("Effects after a Move to "+to.NextHop, moved.Effects, way)
	}
	k.same("left at the old site", k.claim("mx:b.test"), []queue.Work(nil))
}

func settleSite(k *suite) {
	k.accept(k.to("a@b.test", "mx:b.test"))
	state := queue.SiteState{Failures: 1, Since: k.now, RetryAt: k.now.Add(time.Minute)}
	k.no(k.s.Settle(k.Context(), queue.Batch{Now: k.now, Sites: map[queue.SiteKey]queue.SiteState{"mx:b.test": state}}))
	sites, err := k.s.Sites(k.Context())
	k.no(err)
	k.same("Sites", sites, []queue.Site{
		{Key: "mx:b.test", NextHop: "mx:b.test", SiteState: state, Queued: 1, Earliest: k.now}})
}

func settleHolds(k *suite) {
	k.accept(k.to("a@b.test", "mx:b.test"))
	k.no(k.settle(queue.Settlement{State: queue.Held, Due: k.now.Add(time.Minute)}, k.one("mx:b.test")))
	k.wantState("a@b.test", queue.Held)
	k.later(time.Minute)
	w := k.one("mx:b.test")
	if w.Was != queue.Held {
		k.Errorf("it was %s", w.Was)
	}
	k.no(k.settle(queue.Settlement{State: queue.Held}, w))
	k.later(time.Hour)
	k.same("claimed", k.claim("mx:b.test"), []queue.Work(nil))
}
