package stscache_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/internal/gateway/stscache"
	"postern/internal/mail"
	"postern/internal/policy/sts"
)

// Ten thousand domains are seen for the first time at the same moment, as after a newsletter or a restart, and every
// one of them has a policy that takes a moment to fetch. No more than ten are fetched at a time; no mail waits longer
// than it may; what was kept before counts at once; and who asks again a while later finds what was fetched in the
// meantime.
func TestTenThousandDomainsAtTheSameMoment(t *testing.T) {
	if testing.Short() {
		t.Skip("ten thousand askers at a time")
	}
	const crowd = 10_000
	some := func(c *stscache.Config) { c.Resolver = texts{"v=STSv1; id=1"} }
	bubble(t, "", some, func(t *testing.T, w *world) {
		w.hosts.set("clinic.test", publishes(sts.Enforce, week, "mx.clinic.test"))
		w.want("enforce 1 fetched", "clinic.test")
		names := make([]mail.Domain, crowd)
		for i := range names {
			names[i] = mail.MustDomain(fmt.Sprintf("d%d.test", i))
			w.hosts.set(names[i].String(), after(100*time.Millisecond, publishes(sts.Enforce, week, "mx.test")))
		}
		before := inUse()
		var mu sync.Mutex
		ask := func() (found int) {
			var group sync.WaitGroup
			for _, name := range names {
				group.Go(func() {
					began := time.Now()
					policy, _, err := w.cache.Policy(t.Context(), name)
					if took := time.Since(began); err != nil || took > 10*time.Second {
						t.Errorf("%s: %v after %v", name, err, took)
					}
					mu.Lock()
					defer mu.Unlock()
					if policy != nil {
						found++
					}
				})
			}
			time.Sleep(time.Second)
			if took := inUse() - before; took > 64<<20 {
				t.Errorf("%d MiB in use", took>>20)
			}
			began := time.Now()
			w.want("enforce 1 cache", "clinic.test")
			if took := time.Since(began); took != 0 {
				t.Errorf("what is kept was waited for: %v", took)
			}
			group.Wait()
			return found
		}
		if n := ask(); n < 900 || n > 1000 {
			t.Errorf("%d domains have their policy within ten seconds, want what ten at a time can fetch", n)
		}
		for rounds := 0; ask() < crowd; rounds++ {
			if rounds == 4 {
				t.Fatal("not all have their policy after five minutes")
			}
			time.Sleep(70 * time.Second)
		}
		if n := w.hosts.peak(); n != 10 {
			t.Errorf("%d fetches at a time", n)
		}
		again := 0 // those whose fetch began in the last moment of their minute
		for _, name := range names {
			again += w.hosts.count(name.String()) - 1
		}
		if again > crowd/100 {
			t.Errorf("%d hosts were asked again", again)
		}
		for _, said := range w.heard() {
			if !strings.Contains(said, string(stscache.Busy)) {
				t.Fatalf("a host is to blame: %s", said)
			}
		}
	})
}
