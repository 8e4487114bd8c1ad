package memory_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/attempt"
	"postern/internal/event"
	"postern/internal/history/peers"
	"postern/internal/history/peers/memory"
	"postern/internal/mail"
	"postern/internal/platform/records"
	"postern/internal/policy"
	"postern/internal/queue/memstore"
)

// recorder is a Sink that keeps everything, and a store that can be made to fail or wait.
type recorder struct {
	*memstore.Store
	mu     sync.Mutex
	events []event.Event
	fail   error
	stuck  chan struct{} // the book waits until it is closed
	writes int
}

func (r *recorder) Emit(e event.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

func (r *recorder) ChangeRecords(ctx context.Context, do func(t records.Tx) error) error {
	r.mu.Lock()
	fail, stuck := r.fail, r.stuck
	r.writes++
	r.mu.Unlock()
	if stuck != nil {
		<-stuck
	}
	if fail != nil {
		return fail
	}
	return r.Store.ChangeRecords(ctx, do)
}

func (r *recorder) set(fail error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fail = fail
}

// changes are the PeerChanged events so far, as "kind host"; warnings what was warned of.
func (r *recorder) changes() (changes, warnings []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		switch e := e.(type) {
		case event.PeerChanged:
			changes = append(changes, e.Change+" "+e.Host)
		case event.Warned:
			warnings = append(warnings, e.What)
		}
	}
	return changes, warnings
}

func open(t *testing.T, r *recorder, most int) *memory.Memory {
	t.Helper()
	m, err := memory.Open(t.Context(), memory.Config{Book: memory.NewBook(r), Sink: r, Most: most,
		Ratchet: peers.Ratchet{Mode: peers.Hold, After: 5, Days: 3, Hold: 4 * time.Hour}})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// running runs m until the test calls the function it returns.
func running(m *memory.Memory) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = m.Run(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}

func address(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
}

// tried is an attempt at host with TLS, or without.
func tried(host string, ip netip.Addr, withTLS bool, level policy.Level) event.Attempted {
	try := attempt.Try{At: time.Now(), Host: host, IP: ip, Port: 25, Used: true, Offer: &attempt.Offer{StartTLS: withTLS}}
	if withTLS {
		try.Reached = policy.Authenticated
		try.Evidence = &policy.Evidence{TLS: &mail.TLS{Version: "TLSv1.3"}, Chain: []policy.Certificate{{Subject: "CN=" + host, SHA256: host,
			NotAfter: time.Now().AddDate(0, 0, 60)}}}
	} else {
		try.Reason = policy.StartTLSNotOffered
	}
	return event.Attempted{Leg: event.OutWorld, Requires: level, Attempt: &attempt.Attempt{Tries: []attempt.Try{try}}}
}

func TestWhatIsRememberedOutlivesTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{Store: memstore.New()}
		m := open(t, r, 0)
		stop := running(m)
		for range 5 {
			m.Emit(tried("mx.clinic.test", address(1), true, policy.Plaintext))
			time.Sleep(24 * time.Hour)
		}
		m.Emit(tried("mx.shop.test", address(2), false, policy.Plaintext))
		stop()
		next := open(t, r, 0)
		if list := next.List(); len(list) != 2 || list[0].Host != "mx.shop.test" || list[1].TLS != 5 || list[1].TLSDays != 5 {
			t.Fatalf("remembered: %+v", list)
		}
		stand := next.Missing("mx.clinic.test", netip.AddrPortFrom(address(1), 25))
		if stand.Offered.IsZero() || time.Until(stand.HoldUntil) != 4*time.Hour {
			t.Errorf("a known host without TLS: %+v", stand)
		}
		for _, stranger := range []struct {
			host string
			ip   netip.Addr
		}{{"mx.shop.test", address(2)}, {"mx.clinic.test", address(3)}, {"mx.other.test", address(1)}} {
			if s := next.Missing(stranger.host, netip.AddrPortFrom(stranger.ip, 25)); s != (peers.Stand{}) {
				t.Errorf("%s at %s: %+v", stranger.host, stranger.ip, s)
			}
		}
	})
}

// TestAFloodStaysBounded: a million attempts at a million addresses while the book is stuck neither wait for it nor
// grow without bound, and afterwards the book is bounded too.
func TestAFloodStaysBounded(t *testing.T) {
	flood := 1_000_000
	if testing.Short() { // under the race detector, which has seen all after a few
		flood = 50_000
	}
	r := &recorder{Store: memstore.New(), stuck: make(chan struct{})}
	m := open(t, r, 1000)
	stop := running(m)
	first := tried("mx.flood.test", address(0), true, policy.Plaintext)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	began := time.Now()
	for n := range flood {
		first.Attempt.Tries[0].IP = address(n)
		first.Attempt.Tries[0].At = began.Add(time.Duration(n) * time.Microsecond)
		m.Emit(first)
	}
	took := time.Since(began)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if n := len(m.List()); n < 1000 || n > 1250 {
		t.Errorf("%d records are remembered, want 1000 to 1250", n)
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 20<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
	t.Logf("%v for each attempt", took/time.Duration(flood))
	close(r.stuck)
	stop()
	kept, err := memory.NewBook(r).Peers(t.Context())
	if err != nil || len(kept) > 1000 || len(kept) == 0 {
		t.Errorf("the book keeps %d records, %v", len(kept), err)
	}
	if kept[0].IP != address(flood-1) {
		t.Errorf("the newest is %s", kept[0].IP)
	}
}

func TestABookThatFailsCostsOneWarningAndNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{Store: memstore.New(), fail: errors.New("disk full")}
		m := open(t, r, 0)
		stop := running(m)
		m.Emit(tried("mx.clinic.test", address(1), true, policy.Plaintext))
		time.Sleep(time.Minute)
		if _, warnings := r.changes(); !slices.Equal(warnings, []string{"peers"}) {
			t.Errorf("warned of %q", warnings)
		}
		r.set(nil)
		time.Sleep(11 * time.Second)
		if kept, _ := memory.NewBook(r).Peers(t.Context()); len(kept) != 1 {
			t.Errorf("after the repair the book has %d records", len(kept))
		}
		stop()
	})
}

func TestLossReturnAndEveryHostAtOnceAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{Store: memstore.New()}
		m := open(t, r, 0)
		defer running(m)()
		hosts := []string{"mx.a.test", "mx.b.test", "mx.c.test", "mx.d.test"}
		for n, h := range hosts {
			m.Emit(tried(h, address(n), true, policy.Plaintext))
		}
		time.Sleep(time.Minute)
		m.Emit(tried("mx.plain.test", address(9), false, policy.Plaintext))
		inside := tried("mail.internal.test", address(8), true, policy.Plaintext) // what works inside says nothing about the way out
		inside.Leg = event.OutOwn
		for n, h := range hosts[:3] {
			m.Emit(inside)
			m.Emit(tried(h, address(n), false, policy.Plaintext))
			m.Emit(tried(h, address(n), false, policy.Plaintext))
		}
		synctest.Wait()
		changes, warnings := r.changes()
		if !slices.Equal(changes, []string{"tls-lost mx.a.test", "tls-lost mx.b.test", "tls-lost mx.c.test"}) ||
			!slices.Equal(warnings, []string{"starttls lost everywhere"}) {
			t.Errorf("told %q and warned of %q", changes, warnings)
		}
		m.Emit(tried("mx.a.test", address(0), true, policy.Plaintext))
		synctest.Wait()
		if changes, _ := r.changes(); changes[len(changes)-1] != "tls-returned mx.a.test" {
			t.Errorf("told %q", changes)
		}
	})
}

func TestACertificateThatRunsOutIsToldOnceForAllItsAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{Store: memstore.New()}
		m := open(t, r, 0)
		stop := running(m)
		m.Emit(tried("mx.clinic.test", address(1), true, policy.Authenticated))
		m.Emit(tried("mx.clinic.test", address(2), true, policy.Authenticated))
		m.Emit(tried("mx.shop.test", address(3), true, policy.Plaintext))
		time.Sleep(31 * 24 * time.Hour)
		stop()
		m = open(t, r, 0) // a restart tells nothing again
		stop = running(m)
		time.Sleep(10 * 24 * time.Hour)
		stop()
		changes, _ := r.changes()
		if !slices.Equal(changes, []string{"certificate-expiring mx.clinic.test"}) {
			t.Errorf("told %q", changes)
		}
	})
}

func TestForgottenIsForgottenInTheBookToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{Store: memstore.New()}
		m := open(t, r, 0)
		defer running(m)()
		for n := range 4 {
			m.Emit(tried(fmt.Sprintf("mx%d.clinic.test", n), address(n), true, policy.Plaintext))
		}
		time.Sleep(11 * time.Second)
		m.Emit(tried("mx0.clinic.test", address(0), true, policy.Plaintext))
		gone, err := m.Forget(t.Context(), func(r *peers.Record) bool { return r.Host < "mx2" })
		if err != nil || len(gone) != 2 {
			t.Fatalf("forgot %d, %v", len(gone), err)
		}
		time.Sleep(time.Minute)
		if kept, _ := memory.NewBook(r).Peers(t.Context()); len(kept) != 2 || len(m.List()) != 2 {
			t.Errorf("kept: %+v", kept)
		}
	})
}
