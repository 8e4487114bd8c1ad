package stscache_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"postern/internal/dns"
	"postern/internal/gateway/stscache"
	"postern/internal/mail"
	"postern/internal/platform/records"
	"postern/internal/policy/sts"
	"postern/internal/queue/memstore"
)

// texts answers every question for a record alike.
type texts []string

func (r texts) TXT(context.Context, mail.Domain) (dns.TXTAnswer, error) {
	return dns.TXTAnswer{Texts: r}, nil
}

// each serves every domain the same body.
type each string

func (body each) Fetch(context.Context, mail.Domain) (sts.Policy, error) {
	return sts.ParsePolicy([]byte(body))
}

// Memory is measured, not believed: of policies as large as they may be, of small ones and of domains without any, what
// is held takes no more than the bound says.
func TestWhatMemoryHoldsIsBounded(t *testing.T) {
	const bound = 2 << 20
	large := "version: STSv1\nmode: enforce\nmax_age: 604800\n"
	for i := 0; len(large) < sts.MaxBody-30; i++ {
		large += fmt.Sprintf("mx: m%d.test\n", i)
	}
	for name, c := range map[string]struct {
		texts   texts
		body    string
		domains int
	}{
		"large policies":         {texts{"v=STSv1; id=1"}, large, 70},
		"small policies":         {texts{"v=STSv1; id=1"}, "version: STSv1\nmode: enforce\nmx: mx.clinic.test\nmax_age: 604800\n", 5_000},
		"domains without policy": {nil, "", 8_000},
	} {
		store := discards{memstore.New()}
		cache := stscache.New(stscache.Config{Store: store, Resolver: c.texts, Fetcher: each(c.body), Memory: bound, MemoryMost: 100_000})
		before := inUse()
		for i := range c.domains {
			if _, _, err := cache.Policy(t.Context(), mail.MustDomain(fmt.Sprintf("d%d.%s.test", i, strings.Repeat("x", 40)))); err != nil {
				t.Fatal(err)
			}
		}
		if took := inUse() - before; took > bound+bound/4 {
			t.Errorf("%s: %d KiB in use, more than %d", name, took>>10, bound>>10)
		} else {
			t.Logf("%s: %d KiB in use of %d", name, took>>10, bound>>10)
		}
		cache.Close()
		runtime.KeepAlive(cache)
	}
}

func inUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// The store is full: a policy counts all the same as long as memory has it.
func TestAFullStoreTakesNoMoreAndMailIsProtectedAllTheSame(t *testing.T) {
	bubble(t, announced+"_mta-sts.bank.test TXT \"v=STSv1; id=7\"\n", func(c *stscache.Config) { c.Most = 1 }, func(t *testing.T, w *world) {
		w.hosts.set("clinic.test", publishes(sts.Enforce, week, "mx.clinic.test"))
		w.hosts.set("bank.test", publishes(sts.Enforce, day, "mx.bank.test"))
		w.want("enforce 1 fetched", "clinic.test")
		w.want("enforce 7 fetched", "bank.test")
		if list, err := w.cache.List(t.Context(), "", 10); err != nil || len(list) != 1 {
			t.Errorf("%+v, %v", list, err)
		}
		time.Sleep(23 * time.Hour)
		w.hosts.set("bank.test", nil)
		w.want("enforce 7 cache", "bank.test")
		w.hosts.set("clinic.test", publishes(sts.None, day))
		w.run(5 * day) // what is there may change
		w.want("none 1 cache", "clinic.test")
		w.want("host-refused", "bank.test")
	})
}

// discards is a store that forgets at once, so that only memory is measured.
type discards struct{ *memstore.Store }

func (d discards) ChangeRecords(ctx context.Context, do func(records.Tx) error) error {
	return d.Store.ChangeRecords(ctx, func(t records.Tx) error { return do(forgetful{t}) })
}

type forgetful struct{ records.Tx }

func (forgetful) Put(records.Record) error { return nil }
