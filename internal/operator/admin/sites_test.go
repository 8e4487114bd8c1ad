package admin

import (
	"testing"
	"time"

	"postern/internal/lab/testkit/backlog"
	"postern/internal/operator/access"
	"postern/internal/operator/live"
	"postern/internal/operator/waiting"
	"postern/internal/queue"
)

// Where nothing waits nobody is in trouble, however the last try ended; what is held is mail that waits, for who sees
// everything and for who sees some domains alike.
func TestTroubleIsMailThatWaits(t *testing.T) {
	s, store, _ := service(t)
	whole, narrow := s.For(everywhere(access.Operator)), s.For(within(access.Operator, "clinic.test"))
	look := func(d *Desk) (site live.SiteView, all, held int) {
		t.Helper()
		list, err := d.Sites(t.Context(), time.Second)
		if err != nil || !list.Complete {
			t.Fatalf("%+v, %v", list, err)
		}
		for i, v := range list.Items {
			if v.NextHop == "mx:clinic.test" {
				site = v
			}
			if i > 0 && rank(&list.Items[i-1]) > rank(&v) {
				t.Errorf("%+v comes before %+v", list.Items[i-1], v)
			}
		}
		all, held = list.Waits()
		return site, all, held
	}
	fail := func(key queue.SiteKey) {
		t.Helper()
		state := queue.SiteState{Failures: 3, Since: backlog.Noon, RetryAt: backlog.Noon.Add(time.Hour)}
		if err := store.Settle(t.Context(), queue.Batch{Now: backlog.Noon, Sites: map[queue.SiteKey]queue.SiteState{key: state}}); err != nil {
			t.Fatal(err)
		}
	}
	before, _, others := look(whole)
	if before.Held != 0 || before.Waiting == 0 {
		t.Fatalf("nothing to hold: %+v", before)
	}
	fail(queue.SiteKey(before.Key))
	act := func(kind queue.ActionKind) {
		t.Helper()
		if _, err := whole.Act(t.Context(), waiting.ActRequest{Kind: kind, Domains: []string{"clinic.test"}}); err != nil {
			t.Fatal(err)
		}
	}
	act(queue.Hold)
	for name, d := range map[string]*Desk{"everything": whole, "a domain": narrow} {
		if v, all, held := look(d); !v.InTrouble() || v.Waiting != before.Waiting || v.Held != before.Waiting || held < v.Held || all < held {
			t.Errorf("who sees %s is told of held mail: %+v, %d wait, %d held", name, v, all, held)
		}
	}
	act(queue.Cancel)
	for name, d := range map[string]*Desk{"everything": whole, "a domain": narrow} {
		if v, _, held := look(d); v.InTrouble() || v.Waiting != 0 || held > others {
			t.Errorf("who sees %s is told of an empty site: %+v, %d held", name, v, held)
		}
	}
	if v, _, _ := look(whole); v.Failures != 3 {
		t.Errorf("the site's failures are not told: %+v", v)
	}
}

// rank is the order that a list of sites has.
func rank(v *live.SiteView) int {
	switch {
	case v.Failures > 0 && v.Waiting > 0:
		return 0
	case v.Waiting > 0:
		return 1
	}
	return 2
}
