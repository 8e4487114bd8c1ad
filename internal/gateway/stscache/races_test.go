package stscache_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"postern/internal/gateway/stscache"
	"postern/internal/mail"
	"postern/internal/policy/sts"
)

var clinic = mail.MustDomain("clinic.test")

// A renewal that fails late finds what others did meanwhile, and leaves it.
func TestALateFailureUndoesNothing(t *testing.T) {
	bubble(t, announced, nil, func(t *testing.T, w *world) {
		w.hosts.set("clinic.test", publishes(sts.Enforce, week, "old.clinic.test"))
		w.want("enforce 1 fetched", "clinic.test")
		w.hosts.set("clinic.test", after(30*time.Second, refuses(stscache.BadStatus)))
		elsewhere := &hosts{serve: map[string]serve{"clinic.test": publishes(sts.Testing, week, "new.clinic.test")}, asked: map[string]int{}}
		other := w.open(func(c *stscache.Config) { c.Fetcher = elsewhere })
		defer other.Close()
		var group sync.WaitGroup
		group.Go(func() { _, _, _ = w.cache.Refresh(t.Context(), clinic) })
		time.Sleep(10 * time.Second)
		if found, _, err := other.Refresh(t.Context(), clinic); err != nil || found.Policy.Mode != sts.Testing {
			t.Fatal(found, err)
		}
		group.Wait()
		if found := w.want("testing 1 cache", "clinic.test"); found.Fault.Kind != "" {
			t.Errorf("%+v", found)
		}
		group.Go(func() { _, _, _ = w.cache.Refresh(t.Context(), clinic) })
		time.Sleep(10 * time.Second)
		if there, err := other.Forget(t.Context(), clinic); !there || err != nil {
			t.Fatal(there, err)
		}
		group.Wait()
		w.want("bad-status", "clinic.test")
	})
}

// What was read before somebody forgot it is not put back into memory.
func TestWhatWasReadBeforeItWasForgottenCountsNoMore(t *testing.T) {
	bubble(t, announced, nil, func(t *testing.T, w *world) {
		w.hosts.set("clinic.test", publishes(sts.Enforce, week, "mx.clinic.test"))
		w.want("enforce 1 fetched", "clinic.test")
		time.Sleep(2 * time.Minute) // memory asks the store again
		w.hosts.set("clinic.test", nil)
		w.store.slow.Store(int64(time.Second))
		var group sync.WaitGroup
		group.Go(func() { w.want("host-refused", "clinic.test") })
		time.Sleep(time.Second / 2)
		if there, err := w.cache.Forget(t.Context(), clinic); !there || err != nil {
			t.Fatal(there, err)
		}
		group.Wait()
		w.want("host-refused", "clinic.test")
	})
}

func TestAHostThatRecoversIsFoundWithinAboutAnHour(t *testing.T) {
	bubble(t, announced, nil, func(t *testing.T, w *world) {
		w.hosts.set("clinic.test", publishes(sts.Enforce, week, "mx.clinic.test"))
		w.want("enforce 1 fetched", "clinic.test")
		w.zone.Set(changed)
		w.hosts.set("clinic.test", refuses(stscache.BadStatus))
		w.run(day)
		w.hosts.set("clinic.test", publishes(sts.Testing, week, "mx.clinic.test"))
		w.run(time.Hour + time.Minute)
		w.want("testing 2 cache", "clinic.test")
	})
}

// That we were busy says nothing about the domain, and it is asked again soon.
func TestADomainThatFoundNoSlotIsAskedAgainSoon(t *testing.T) {
	zone := announced + "_mta-sts.slow.test TXT \"v=STSv1; id=1\"\n"
	bubble(t, zone, func(c *stscache.Config) { c.Fetches = 1 }, func(t *testing.T, w *world) {
		w.hosts.set("slow.test", func(context.Context) (sts.Policy, error) { // deaf to the end of its time
			time.Sleep(2 * time.Minute)
			return refuses(stscache.HostSilent)(t.Context())
		})
		w.hosts.set("clinic.test", publishes(sts.Enforce, week, "mx.clinic.test"))
		w.want("not-yet", "slow.test")
		w.want("not-yet", "clinic.test")
		time.Sleep(51 * time.Second)
		w.want("busy", "clinic.test")
		time.Sleep(29 * time.Second)
		w.want("not-yet", "clinic.test")
		time.Sleep(20 * time.Second)
		w.want("enforce 1 cache", "clinic.test")
	})
}

// While one gateway renews, another leaves it alone.
func TestARenewalIsClaimed(t *testing.T) {
	bubble(t, announced, nil, func(t *testing.T, w *world) {
		w.hosts.set("clinic.test", publishes(sts.Enforce, day, "mx.clinic.test"))
		w.want("enforce 1 fetched", "clinic.test")
		w.hosts.set("clinic.test", after(50*time.Second, publishes(sts.Enforce, week, "mx.clinic.test")))
		w.hosts.count("clinic.test")
		time.Sleep(13 * time.Hour) // due, and less than half is left
		other := w.open(nil)
		defer other.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		var group sync.WaitGroup
		group.Go(func() { _ = w.cache.Run(ctx) })
		time.Sleep(15 * time.Second)
		group.Go(func() { _ = other.Run(ctx) })
		group.Wait()
		if n := w.hosts.count("clinic.test"); n != 1 {
			t.Errorf("fetched %d times", n)
		}
	})
}

// Who needs a fetch and meets an asking that saw no reason for one gets it all the same.
func TestAgainFetchesThoughARenewalIsUnderWay(t *testing.T) {
	bubble(t, announced, nil, func(t *testing.T, w *world) {
		w.hosts.set("clinic.test", publishes(sts.Enforce, 4*week, "old.clinic.test"))
		w.want("enforce 1 fetched", "clinic.test")
		list, err := w.cache.List(t.Context(), "", 1)
		if err != nil || len(list) != 1 {
			t.Fatal(list, err)
		}
		time.Sleep(time.Until(list[0].Due) + time.Second)
		w.zone.Set("_mta-sts.clinic.test timeout")
		w.hosts.set("clinic.test", publishes(sts.Enforce, week, "new.clinic.test"))
		w.hosts.count("clinic.test")
		var group sync.WaitGroup
		group.Go(func() { w.run(time.Minute) })
		time.Sleep(31 * time.Second) // Run asks DNS, in vain
		w.wantAgain("enforce 1 cache", "clinic.test")
		w.wantAgain("enforce 1 cache", "clinic.test")
		group.Wait()
		time.Sleep(time.Minute)
		if found := w.want("enforce 1 cache", "clinic.test"); w.hosts.count("clinic.test") != 1 || found.Policy.MX[0] != "new.clinic.test" {
			t.Errorf("%+v", found)
		}
	})
}

func TestWhatEndedIsNotListed(t *testing.T) {
	bubble(t, announced, nil, func(t *testing.T, w *world) {
		w.hosts.set("clinic.test", publishes(sts.Enforce, week, "mx.clinic.test"))
		w.want("enforce 1 fetched", "clinic.test")
		time.Sleep(week)
		if list, err := w.cache.List(t.Context(), "", 10); err != nil || len(list) != 0 {
			t.Errorf("%+v, %v", list, err)
		}
		if shown, _, err := w.cache.Show(t.Context(), clinic); err != nil || shown != nil {
			t.Errorf("%+v, %v", shown, err)
		}
		if there, err := w.cache.Forget(t.Context(), clinic); err != nil || there {
			t.Error(there, err)
		}
	})
}
