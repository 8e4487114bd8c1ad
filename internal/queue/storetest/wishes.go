package storetest

import (
	"testing"
	"time"

	"postern/internal/operator/audit"
	"postern/internal/policy"
	"postern/internal/queue"
)

func wishes() []test {
	return []test{
		{"A wish is carried out when the settlement would queue the delivery again", wishCarriedOut},
		{"A wish against what is delivered or fails is too late, and the record says so", wishTooLate},
		{"A wish to hold is undone by release and by retry, one to cancel is not", wishUndone},
		{"A held delivery that is being tried is released when its try ends", wishReleased},
		{"A wish goes with a delivery that moves to another site", wishMoves},
		{"A wish whose lease ran out is carried out by the next claim, which does not take the delivery", wishLapses},
		{"A wish whose lease ran out is carried out before the next action", wishLapsesInAct},
		{"A wish whose lease ran out still follows a late settlement", wishLateSettle},
		{"A wish by domain, site or message concerns what it names", wishSelects},
		{"A wish ends the body of a message only with its last delivery", wishBodies},
		{"A settlement that is refused leaves wishes as they are", wishRefused},
	}
}

// pending lists the recipients of which an action is pending.
func (k *suite) pending(kind queue.ActionKind, a queue.Action, changed int) (out []string) {
	k.Helper()
	acted := k.act(kind, a)
	if acted.Changed != changed {
		k.Errorf("%s changed %d deliveries, want %d", kind, acted.Changed, changed)
	}
	for _, p := range acted.Pending {
		for _, r := range k.list(queue.Filter{}) {
			if r.ID == p.Delivery && r.Message.ID == p.Message {
				out = append(out, r.Recipient.Address.Local)
			}
		}
	}
	return out
}

// wished lists the recipients among work that are not to be sent any more.
func (k *suite) wished(work ...queue.Work) (out []string) {
	k.Helper()
	var ids []queue.DeliveryID
	for _, w := range work {
		ids = append(ids, w.ID)
	}
	found, err := k.s.Wished(k.Context(), ids)
	k.no(err)
	for _, id := range found {
		for _, w := range work {
			if w.ID == id {
				out = append(out, w.Recipient.Address.Local)
			}
		}
	}
	return out
}

// ends lists the ends of wishes in the audit trail, the newest first.
func (k *suite) ends() (out []string) {
	k.Helper()
	entries, err := k.s.(audit.Ledger).Entries(k.Context(), 0, 100)
	k.no(err)
	for _, e := range entries {
		if e.By != "test" || e.Count != 1 || e.Target == "" || !e.At.Equal(k.now) {
			k.Errorf("the audit trail has %+v", e)
		}
		out = append(out, e.Action+": "+e.After)
	}
	return out
}

func (k *suite) settleOne(w queue.Work, st queue.Settlement, became queue.State) {
	k.Helper()
	st.Lease = w.Lease
	b := queue.Batch{Now: k.now, Settlements: []queue.Settlement{st}}
	k.no(k.s.Settle(k.Context(), b))
	if b.Settlements[0].Became != became {
		k.Errorf("%s settled as %s became %s, want %s", w.Recipient.Address, st.State, b.Settlements[0].Became, became)
	}
}

func wishCarriedOut(k *suite) {
	k.accept(k.to("a@b.test", "mx:b.test"))
	k.accept(k.to("b@b.test", "mx:b.test"))
	k.accept(k.to("c@b.test", "mx:b.test"))
	work := k.claim("mx:b.test")
	k.same("held", k.pending(queue.Hold, queue.Action{Messages: []queue.ID{work[0].Message.ID}}, 0), []string{"a"})
	k.same("cancelled", k.pending(queue.Cancel, queue.Action{Messages: []queue.ID{work[1].Message.ID}}, 0),
		[]string{"b"})
	k.same("cancelled again", k.pending(queue.Cancel, queue.Action{Messages: []queue.ID{work[1].Message.ID}}, 0),
		[]string{"b"})
	k.same("wished", k.wished(work...), []string{"a", "b"})
	k.same("before", k.ends(), []string(nil))
	for _, who := range []string{"a@b.test", "b@b.test", "c@b.test"} {
		k.wantState(who, queue.Sending)
	}
	again := queue.Settlement{State: queue.Queued, Due: k.now, Deadline: k.now.Add(time.Hour), Reason: policy.Remote4xx}
	k.settleOne(work[0], again, queue.Held)
	k.settleOne(work[1], again, queue.Cancelled)
	k.settleOne(work[2], again, queue.Queued)
	k.same("the audit trail", k.ends(), []string{"queue cancel: cancelled as asked, when its try ended",
		"queue hold: held as asked, when its try ended"})
	k.same("wished afterwards", k.wished(work...), []string(nil))
	if r := k.record("a@b.test"); r.State != queue.Held || !r.Due.IsZero() || !r.Deadline.IsZero() || r.Wish != nil ||
		r.Reason != policy.Remote4xx {
		k.Errorf("held: %+v", r.Delivery)
	}
	r := k.record("b@b.test")
	if r.State != queue.Cancelled || !r.FinishedAt.Equal(k.now) || r.Wish == nil || r.Wish.By != "test" || r.TooLate() {
		k.Errorf("cancelled: %+v", r.Delivery)
	}
	k.wantStates(map[queue.State]int64{queue.Held: 1, queue.Cancelled: 1, queue.Queued: 1})
	k.later(200 * time.Hour)
	k.same("claimed later", recipients(k.claim("mx:b.test")), []string{"c"})
}

func wishTooLate(k *suite) {
	for i, end := range []queue.State{queue.Delivered, queue.Failed} {
		for _, kind := range []queue.ActionKind{queue.Cancel, queue.Hold} {
			k.later(time.Second)
			k.accept(k.to("x@b.test", "mx:b.test"))
			w := k.one("mx:b.test")
			k.act(kind, queue.Action{})
			k.settleOne(w, queue.Settlement{State: end}, end)
			r := k.list(queue.Filter{Limit: 1})[0]
			if r.State != end || !r.TooLate() || r.Wish.Kind != kind || r.Wish.By != "test" || !r.Wish.At.Equal(k.now) {
				k.Errorf("%d, %s: %+v", i, kind, r.Delivery)
			}
			entries, err := k.s.(audit.Ledger).Entries(k.Context(), 0, 1)
			k.no(err)
			k.same("entry", entries[0].Action+" "+entries[0].After, "queue "+string(kind)+" too late: "+end.String())
		}
	}
}

func wishUndone(k *suite) {
	for _, kind := range []queue.ActionKind{queue.Release, queue.Retry} {
		k.accept(k.to("a@b.test", "mx:b.test"))
		w := k.one("mx:b.test")
		k.act(queue.Hold, queue.Action{})
		k.same("undone", k.act(kind, queue.Action{}), queue.Acted{Changed: 1, Sites: []queue.SiteKey{"mx:b.test"}})
		k.same("wished", k.wished(w), []string(nil))
		k.settleOne(w, queue.Settlement{State: queue.Queued, Due: k.now}, queue.Queued)
		w = k.one("mx:b.test")
		k.act(queue.Cancel, queue.Action{})
		k.same("not undone", k.act(kind, queue.Action{}).Changed, 0)
		k.same("wished", k.wished(w), []string{"a"})
		k.settleOne(w, queue.Settlement{State: queue.Queued, Due: k.now}, queue.Cancelled)
	}
}

func wishReleased(k *suite) {
	held := k.to("a@b.test", "mx:b.test")
	held.State = queue.Held // a notice that may not travel: tried on with its site
	k.accept(held)
	w := k.one("mx:b.test")
	k.same("released", k.pending(queue.Release, queue.Action{}, 0), []string{"a"})
	k.same("wished", k.wished(w), []string(nil)) // it is to be sent
	k.settleOne(w, queue.Settlement{State: queue.Held, Due: k.now.Add(time.Hour)}, queue.Queued)
	w = k.one("mx:b.test")
	if w.Was != queue.Queued || w.Wish != nil {
		k.Errorf("claimed %+v", w)
	}
}

func wishMoves(k *suite) {
	k.accept(k.to("a@b.test", "mx:b.test"), k.to("b@b.test", "mx:b.test"))
	work := k.claim("mx:b.test")
	k.act(queue.Cancel, queue.Action{Domains: []string{"b.test"}})
	forced := policy.Requirement{Channel: policy.Authenticated}
	move := queue.Settlement{State: queue.Queued, Due: k.now,
		Move: &queue.Move{NextHop: "mx:c.test", Requirement: forced, Rules: []string{"r"}}}
	k.settleOne(work[0], move, queue.Cancelled)
	if r := k.record("a@b.test"); r.NextHop != "mx:c.test" || r.Rules[0] != "r" || r.Wish == nil {
		k.Errorf("moved: %+v", r)
	}
	k.act(queue.Hold, queue.Action{}) // over a cancellation: nothing
	k.settleOne(work[1], queue.Settlement{State: queue.Delivered}, queue.Delivered)
	if r := k.record("b@b.test"); !r.TooLate() || r.Wish.Kind != queue.Cancel {
		k.Errorf("delivered: %+v", r)
	}
	k.same("at the new site", len(k.claim(string(queue.NewSiteKey("mx:c.test", forced)))), 0)
}

func wishLapses(k *suite) {
	for name, c := range map[string]queue.Claim{
		"its site":     {Site: "mx:b.test"},
		"another site": {Site: "mx:other.test"},
		"overdue":      {Overdue: true},
		"by ID":        {},
	} {
		h, c2 := name[:2]+"h@b.test", name[:2]+"c@b.test"
		k.accept(k.to(h, "mx:b.test"), k.to(c2, "mx:b.test"))
		work := k.claim("mx:b.test")
		k.same(name, len(work), 2)
		k.act(queue.Cancel, queue.Action{})
		k.later(time.Minute)
		if !c.Overdue && c.Site == "" {
			c.IDs = []queue.DeliveryID{work[0].ID, work[1].ID}
		}
		k.same(name, len(k.claimAs(c)), 0)
		k.wantState(h, queue.Cancelled)
		k.wantState(c2, queue.Cancelled)
		k.is(k.settle(queue.Settlement{State: queue.Delivered}, work...), queue.ErrStaleLease)
	}
}

func wishLapsesInAct(k *suite) {
	k.accept(k.to("a@b.test", "mx:b.test"))
	w := k.one("mx:b.test")
	k.act(queue.Cancel, queue.Action{})
	k.later(time.Minute)
	k.same("retried", k.act(queue.Retry, queue.Action{}), queue.Acted{})
	k.wantState("a@b.test", queue.Cancelled)
	k.is(k.settle(queue.Settlement{State: queue.Delivered}, w), queue.ErrStaleLease)
}

func wishLateSettle(k *suite) {
	k.accept(k.to("a@b.test", "mx:b.test"))
	w := k.one("mx:b.test")
	k.act(queue.Hold, queue.Action{})
	k.later(time.Minute)
	k.settleOne(w, queue.Settlement{State: queue.Queued, Due: k.now}, queue.Held)
	k.same("claimed", len(k.claim("mx:b.test")), 0)
	k.same("released", k.act(queue.Release, queue.Action{}).Changed, 1)
	k.same("claimed then", len(k.claim("mx:b.test")), 1)
}

func wishSelects(k *suite) {
	id := k.accept(k.to("a@b.test", "mx:b.test"), k.to("a2@b.test", "mx:b.test"))
	k.accept(k.to("d@c.test", "mx:b.test"))
	k.accept(k.to("e@e.test", "mx:e.test"))
	work := append(k.claim("mx:b.test"), k.claim("mx:e.test")...)
	k.same("site", k.pending(queue.Hold, queue.Action{Sites: []queue.SiteKey{"mx:e.test"}}, 0), []string{"e"})
	k.same("domain", k.pending(queue.Hold, queue.Action{Domains: []string{"C.test."}}, 0), []string{"d"})
	k.same("message", k.pending(queue.Cancel, queue.Action{Messages: []queue.ID{id}}, 0), []string{"a", "a2"})
	k.same("nothing", k.pending(queue.Cancel, queue.Action{Messages: []queue.ID{"none"}}, 0), []string(nil))
	k.same("wished", k.wished(work...), []string{"a", "a2", "d", "e"})
}

func wishBodies(k *suite) {
	id := k.accept(k.to("a@b.test", "mx:b.test"), k.to("b@b.test", "mx:b.test"))
	work := k.claim("mx:b.test")
	k.act(queue.Cancel, queue.Action{})
	k.settleOne(work[0], queue.Settlement{State: queue.Queued, Due: k.now}, queue.Cancelled)
	k.wantBody(id, []byte("Subject: a\r\n\r\nbody\r\n"))
	k.later(time.Minute)
	k.claim("mx:b.test")
	_, err := k.body(id)
	k.is(err, queue.ErrNotFound)
	k.wantStates(map[queue.State]int64{queue.Cancelled: 2})
}

func wishRefused(k *suite) {
	k.accept(k.to("a@b.test", "mx:b.test"), k.to("b@b.test", "mx:b.test"))
	work := k.claim("mx:b.test")
	k.act(queue.Cancel, queue.Action{})
	stale := work[1]
	stale.Lease.Token++
	k.is(k.settle(queue.Settlement{State: queue.Queued}, work[0], stale), queue.ErrStaleLease)
	k.same("wished", k.wished(work...), []string{"a", "b"})
	k.same("the audit trail", k.ends(), []string(nil))
	k.settleOne(work[0], queue.Settlement{State: queue.Queued}, queue.Cancelled)
	k.settleOne(work[1], queue.Settlement{State: queue.Queued}, queue.Cancelled)
}

// wishOutlives: what was promised while it was being sent is kept by the next process.
func wishOutlives(t *testing.T, open func(t *testing.T, place string) DurableStore) {
	place := t.TempDir()
	k := newSuite(t, open(t, place))
	k.accept(k.to("cancelled@b.test", "mx:b.test"))
	k.accept(k.to("held@c.test", "mx:c.test"))
	k.accept(k.to("undone@d.test", "mx:d.test"))
	k.accept(k.to("late@e.test", "mx:e.test"))
	for _, site := range []string{"mx:b.test", "mx:c.test", "mx:d.test"} {
		k.one(site)
	}
	late := k.one("mx:e.test")
	k.act(queue.Cancel, queue.Action{Domains: []string{"b.test", "e.test"}})
	k.act(queue.Hold, queue.Action{Domains: []string{"c.test", "d.test"}})
	k.act(queue.Release, queue.Action{Domains: []string{"d.test"}})
	k.settleOne(late, queue.Settlement{State: queue.Delivered}, queue.Delivered)
	k.reopen(place, open)
	for _, site := range []string{"mx:b.test", "mx:c.test", "mx:e.test"} {
		k.same(site, len(k.claim(site)), 0)
	}
	k.same("mx:d.test", len(k.claim("mx:d.test")), 1)
	k.wantState("cancelled@b.test", queue.Cancelled)
	k.wantState("held@c.test", queue.Held)
	k.wantState("undone@d.test", queue.Sending)
	if r := k.record("late@e.test"); r.State != queue.Delivered || !r.TooLate() {
		k.Errorf("late: %+v", r.Delivery)
	}
	k.same("the audit trail", k.ends(), []string{"queue hold: held as asked, when its try ended",
		"queue cancel: cancelled as asked, when its try ended", "queue cancel: too late: delivered"})
}
