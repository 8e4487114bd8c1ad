package stscache_test

import (
	"testing"
	"time"

	"postern/internal/gateway/stscache"
	"postern/internal/mail"
	"postern/internal/policy/sts"
)

// What failed a moment ago is asked again where an administrator says that it is mended, and each domain once.
func TestAnAdministratorHasDomainsAskedAnew(t *testing.T) {
	bubble(t, announced, nil, func(t *testing.T, w *world) {
		w.want("host-refused", "clinic.test")
		time.Sleep(time.Second)
		w.hosts.set("clinic.test", publishes(sts.Enforce, week, "old.clinic.test"))
		w.want("host-refused", "clinic.test")
		w.cache.Anew()
		time.Sleep(time.Second)
		w.want("enforce 1 fetched", "clinic.test")
		w.hosts.set("clinic.test", publishes(sts.Enforce, week, "mx.clinic.test"))
		w.wantAgain("enforce 1 cache", "clinic.test") // it was fetched a moment ago
		time.Sleep(time.Second)
		w.cache.Anew()
		time.Sleep(time.Second)
		w.hosts.count("clinic.test")
		w.want("enforce 1 cache", "clinic.test") // a policy that counts needs no asking
		if found := w.wantAgain("enforce 1 fetched", "clinic.test"); !found.Policy.Matches(mail.MustDomain("mx.clinic.test")) {
			t.Errorf("%+v", found)
		}
		w.wantAgain("enforce 1 cache", "clinic.test")
		w.cache.Close()
		w.cache = w.open(nil) // what is only in the store is asked about anew as well
		time.Sleep(time.Second)
		w.cache.Anew()
		time.Sleep(time.Second)
		w.wantAgain("enforce 1 fetched", "clinic.test")
		if n := w.hosts.count("clinic.test"); n != 2 {
			t.Errorf("fetched %d times", n)
		}
		w.cache.Anew()
		w.want("no-record", "[192.0.2.1]") // nothing to ask
	})
}

// As long as policies are not kept to, nobody is asked ahead of time.
func TestAnIdleCacheRenewsNothing(t *testing.T) {
	idle := true
	bubble(t, announced, func(c *stscache.Config) { c.Idle = func() bool { return idle } }, func(t *testing.T, w *world) {
		w.hosts.set("clinic.test", publishes(sts.Enforce, 2*day, "mx.clinic.test"))
		w.want("enforce 1 fetched", "clinic.test")
		w.hosts.count("clinic.test")
		w.run(36 * time.Hour)
		if n := w.hosts.count("clinic.test"); n != 0 {
			t.Errorf("fetched %d times", n)
		}
		idle = false
		w.run(time.Hour)
		if n := w.hosts.count("clinic.test"); n != 1 {
			t.Errorf("fetched %d times", n)
		}
	})
}

func TestWhatADomainAnnouncesNow(t *testing.T) {
	bubble(t, announced+"_mta-sts.bank.test servfail\n", nil, func(t *testing.T, w *world) {
		for domain, want := range map[string]struct {
			id   string
			kind stscache.Kind
		}{"clinic.test": {"1", ""}, "bank.test": {"", stscache.RecordUnknown}, "shop.test": {"", stscache.NoRecord}, "[192.0.2.1]": {"", stscache.NoRecord}} {
			if id, note := w.cache.Record(t.Context(), mail.MustDomain(domain)); id != want.id || note.Kind != want.kind {
				t.Errorf("%s: %q, %+v", domain, id, note)
			}
		}
		if list, err := w.cache.List(t.Context(), "", 10); err != nil || len(list) > 0 {
			t.Errorf("kept: %+v, %v", list, err)
		}
	})
}
