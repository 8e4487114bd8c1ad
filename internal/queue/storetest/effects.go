package storetest

import (
	"time"

	"postern/internal/policy"
	"postern/internal/queue"
)

// effects are what a store must do with deliveries with which rules did something.
func effects() []test {
	return []test{
		{"Mail in quarantine goes to nobody before the end of the hold, and released it has its whole window",
			quarantine}, {"Rejected mail is never released, and ends by its deadline", rejected},
	}
}

func quarantine(k *suite) {
	d := k.to("a@b.test", "mx:b.test")
	d.State, d.Due, d.Deadline = queue.Held, time.Time{}, k.now.Add(7*24*time.Hour)
	d.Effects = policy.Effects{{Rule: "look", Kind: policy.EffectHold, Days: 7, Then: policy.ThenReturn}}
	k.accept(d, k.to("c@b.test", "mx:b.test"))
	k.same("claimed", len(k.claim("mx:b.test")), 1)
	k.same("held once more", k.act(queue.Hold, queue.Action{}).Changed, 0)
	k.same("retried", k.act(queue.Retry, queue.Action{Sites: []queue.SiteKey{"mx:none.test"}}).Changed, 0)
	r := k.record("a@b.test")
	if q := r.Quarantine(); q == nil || q.Rule != "look" || q.Then != policy.ThenReturn {
		k.Fatalf("in quarantine by %+v", q)
	}
	k.later(6 * 24 * time.Hour)
	k.same("overdue", len(k.claimAs(queue.Claim{Overdue: true})), 0) // the other is held as asked, without an end
	k.act(queue.Release, queue.Action{})
	r = k.record("a@b.test")
	if r.State != queue.Queued || r.Quarantine() != nil || len(r.Effects) != 1 ||
		!r.ExpiresAt.Equal(k.now.Add(120*time.Hour)) ||
		!r.Deadline.Equal(r.ExpiresAt) || !r.Due.Equal(k.now) {
		k.Errorf("released it is %+v", r.Delivery)
	}
	k.act(queue.Hold, queue.Action{})
	if r = k.record("a@b.test"); r.State != queue.Held || r.Quarantine() != nil {
		k.Errorf("held by an administrator it is %+v", r.Delivery)
	}
}

func rejected(k *suite) {
	d := k.to("a@b.test", "mx:b.test")
	d.State, d.Due, d.Deadline = queue.Held, time.Time{}, k.now
	d.Effects = policy.Effects{{Rule: "no", Kind: policy.EffectReject, Text: "not by mail"}}
	k.accept(d)
	k.same("released", k.act(queue.Release, queue.Action{}).Changed, 0)
	works := k.claimAs(queue.Claim{Overdue: true})
	if len(works) != 1 || works[0].Was != queue.Held || works[0].Rejected() == nil || works[0].Quarantine() != nil {
		k.Fatalf("claimed %+v", works)
	}
}
