package traffic_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/event"
	"postern/internal/history/traffic"
	"postern/internal/mail"
	"postern/internal/platform/records"
	"postern/internal/policy"
	"postern/internal/queue/memstore"
)

// counts reads what a book holds, as "kind name level outcome" -> count.
func counts(t *testing.T, b *traffic.Book) map[string]int64 {
	t.Helper()
	out := map[string]int64{}
	for _, kind := range []traffic.Kind{traffic.OfLeg, traffic.OfRule, traffic.OfDomain} {
		list, err := b.Traffic(context.WithoutCancel(t.Context()), traffic.Query{Kind: kind})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range list {
			out[fmt.Sprintf("%s %s %s %s", s.Kind, s.Name, s.Level, s.Outcome)] += s.Count
		}
	}
	return out
}

func same(t *testing.T, got, want map[string]int64) {
	t.Helper()
	for key, n := range want {
		if got[key] != n {
			t.Errorf("%s: %d, want %d", key, got[key], n)
		}
	}
	for key, n := range got {
		if _, ok := want[key]; !ok {
			t.Errorf("%s: %d, want none", key, n)
		}
	}
}

func to(domain string) mail.Address {
	return mail.Address{Local: "a", Domain: mail.MustDomain(domain)}
}

func TestEachEventIsCountedWhereItBelongs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := traffic.NewBook(memstore.New())
		r := traffic.NewRecorder(store, func(err error) { t.Error(err) })
		for _, e := range []event.Event{
			event.Accepted{Leg: event.InOwn, TLS: &mail.TLS{}}, event.Accepted{Leg: event.InOwn}, event.Accepted{Leg: event.InOwn},
			event.Accepted{Leg: event.InWorld, TLS: &mail.TLS{Client: &mail.ClientCertificate{Presented: true, Verified: true}}},
			event.Settled{Leg: event.OutWorld, State: "deferred", Requires: policy.Authenticated, Rule: "clinic, bank", To: to("clinic.test")},
			event.Settled{Leg: event.OutWorld, State: "delivered", Requires: policy.Authenticated, Reached: policy.Authenticated, Rule: "clinic", To: to("clinic.test")},
			event.Settled{Leg: event.OutWorld, State: "failed", Requires: policy.Authenticated, Rule: "bank", To: to("bank.test")},
			event.Settled{Leg: event.OutWorld, State: "delivered", Reached: policy.Encrypted, Would: "trial", To: to("shop.test")},
			event.Settled{Leg: event.OutOwn, State: "delivered", Reached: policy.Plaintext, To: to("home.test")},
			event.Settled{Leg: event.OutWorld, State: "held", Requires: policy.Authenticated, Rule: "clinic", To: to("clinic.test")},
			event.Refused{}, event.AdminActed{},
		} {
			r.Emit(e)
		}
		same(t, counts(t, store), nil)
		r.Flush(t.Context())
		same(t, counts(t, store), map[string]int64{
			"leg own-gateway encrypted accepted": 1, "leg own-gateway plaintext accepted": 2, "leg world-gateway authenticated accepted": 1,
			"leg gateway-world authenticated deferred": 1, "leg gateway-world authenticated delivered": 1, "leg gateway-world authenticated failed": 1,
			"leg gateway-world encrypted delivered": 1, "leg gateway-own plaintext delivered": 1,
			"rule clinic authenticated deferred": 1, "rule bank authenticated deferred": 1, "rule clinic authenticated delivered": 1,
			"rule bank authenticated failed": 1, "rule trial encrypted would": 1,
			"domain clinic.test authenticated delivered": 1, "domain bank.test authenticated failed": 1, "domain shop.test encrypted delivered": 1,
		})
	})
}

// unsteady is a store that fails until it is told to work.
type unsteady struct {
	records.Store
	mu     sync.Mutex
	broken bool
}

func (u *unsteady) ChangeRecords(ctx context.Context, do func(t records.Tx) error) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.broken {
		return errors.New("no disk")
	}
	return u.Store.ChangeRecords(ctx, do)
}

// Law: whatever happens to the book, what was counted is in it once in the end.
func TestWhatCannotBeWrittenIsWrittenLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &unsteady{Store: memstore.New(), broken: true}
		book := traffic.NewBook(disk)
		warned := 0
		r := traffic.NewRecorder(book, func(error) { warned++ })
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { r.Run(ctx); close(done) }()
		for range 5 {
			r.Emit(event.Accepted{Leg: event.InOwn})
			time.Sleep(traffic.Interval)
			synctest.Wait()
		}
		if warned == 0 {
			t.Error("nobody was told")
		}
		disk.mu.Lock()
		disk.broken = false
		disk.mu.Unlock()
		r.Emit(event.Accepted{Leg: event.InOwn})
		stop()
		<-done
		same(t, counts(t, book), map[string]int64{"leg own-gateway plaintext accepted": 6})
	})
}

func TestManyDomainsCostNoMemory(t *testing.T) {
	store := traffic.NewBook(memstore.New())
	r := traffic.NewRecorder(store, func(err error) { t.Error(err) })
	for i := range traffic.DomainsMost + 500 {
		r.Emit(event.Settled{Leg: event.OutWorld, State: "delivered", Reached: policy.Encrypted, To: to(fmt.Sprintf("d%d.test", i))})
	}
	r.Flush(t.Context())
	list, err := store.Traffic(t.Context(), traffic.Query{Kind: traffic.OfDomain})
	if err != nil || len(list) != traffic.DomainsMost {
		t.Errorf("%d domains, %v", len(list), err)
	}
	if got := counts(t, store)["leg gateway-world encrypted delivered"]; got != traffic.DomainsMost+500 {
		t.Errorf("the leg counts %d", got)
	}
}

// What is too old is forgotten once a day.
func TestOldSumsGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := traffic.NewBook(memstore.New())
		r := traffic.NewRecorder(store, func(err error) { t.Error(err) })
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { r.Run(ctx); close(done) }()
		r.Emit(event.Settled{Leg: event.OutWorld, State: "delivered", Reached: policy.Encrypted, Rule: "clinic", To: to("clinic.test")})
		time.Sleep(traffic.Keep(traffic.OfRule) + 49*time.Hour)
		synctest.Wait()
		same(t, counts(t, store), map[string]int64{"leg gateway-world encrypted delivered": 1})
		stop()
		<-done
	})
}
