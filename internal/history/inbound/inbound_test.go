package inbound_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/event"
	"postern/internal/history/inbound"
	"postern/internal/lab/pki"
	"postern/internal/lab/testkit/stores"
	"postern/internal/platform/flush"
	"postern/internal/platform/records"
	"postern/internal/queue/memstore"
)

func smtpOnly(listener string) bool { return listener == "smtp" }

func sketch(t *testing.T, b *inbound.Book, address string) string {
	t.Helper()
	today := inbound.DayOf(time.Now())
	seen, err := b.Of(context.WithoutCancel(t.Context()), []netip.Prefix{inbound.Of(netip.MustParseAddr(address))}, today, today)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, c := range seen.Clients {
		for _, k := range c.Kinds {
			out = append(out, fmt.Sprintf("%s %s %d/%d %q %.4s", k.Listener, k.Outcome, k.Sessions, k.Messages, k.Text, k.Certificate))
		}
		if c.More > 0 {
			out = append(out, fmt.Sprint("more ", c.More))
		}
	}
	return strings.Join(out, "\n")
}

func TestSessionsOfStrangersAreRemembered(t *testing.T) {
	stores.Each(t, func(t *testing.T, s records.Store, again func() records.Store) {
		der := pki.New(time.Now(), "CA").Issue(pki.Options{Names: []string{"gw.home.test"}}).Chain[0].Raw
		client := netip.MustParseAddr("192.0.2.7")
		open := func(s records.Store) *inbound.Recorder {
			r, err := inbound.Open(t.Context(), inbound.NewBook(s), smtpOnly, func(err error) { t.Error(err) })
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		tell := func(r *inbound.Recorder) {
			r.Emit(event.HandshakeFailed{Listener: "smtp", Client: client, Text: "remote error: tls: bad certificate", Shown: der})
			r.Emit(event.Disconnected{Listener: "smtp", Client: client, Broken: true, Shown: der})
			r.Emit(event.Disconnected{Listener: "smtp", Client: client, Messages: 2})
			r.Emit(event.Disconnected{Listener: "smtp", Client: client, TLS: true, Messages: 1, Why: "quit", Shown: der})
			r.Emit(event.Disconnected{Listener: "smtp", Client: client, TLS: true, Why: "closed by the client", Shown: der})
			r.Emit(event.Disconnected{Listener: "submission", Client: client, TLS: true})
			r.Emit(event.Disconnected{Listener: "smtp", Client: netip.MustParseAddr("2001:db8::1")})
			r.Emit(event.Disconnected{Listener: "smtp", Client: netip.MustParseAddr("2001:db8::2")})
			r.Flush(t.Context())
		}
		tell(open(s))
		s = again()
		tell(open(s))
		want := strings.Join([]string{`smtp failed 2/0 "remote error: tls: bad certificate" X`, `smtp plaintext 2/4 "" `, `smtp tls 2/2 "" X`, `smtp tls 2/0 "closed by the client" X`}, "\n")
		book := inbound.NewBook(s)
		today := inbound.DayOf(time.Now())
		seen, err := book.Of(t.Context(), nil, today, today)
		if err != nil || len(seen.Certificates) != 1 || seen.Certificates[0].Names[0] != "gw.home.test" || len(seen.Days) != 1 {
			t.Fatalf("%+v %v", seen, err)
		}
		want = strings.ReplaceAll(want, "X", seen.Certificates[0].SHA256[:4])
		if got := sketch(t, book, "192.0.2.7"); got != want {
			t.Errorf("%s\nwant\n%s", got, want)
		}
		if got := sketch(t, book, "2001:db8::ffff"); got != `smtp plaintext 4/0 "" ` {
			t.Error(got)
		}
	})
}

func TestAFloodOfStrangersIsCountedAndTold(t *testing.T) {
	book := inbound.NewBook(memstore.New())
	r, err := inbound.Open(t.Context(), book, smtpOnly, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	for i := range inbound.ClientsMost + 100 {
		r.Emit(event.Disconnected{Listener: "smtp", Client: netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})})
	}
	for i := range 100 {
		r.Emit(event.HandshakeFailed{Listener: "smtp", Client: netip.MustParseAddr("10.0.0.1"), Text: fmt.Sprint("fault ", i, "\x1b")})
	}
	r.Flush(t.Context())
	today := inbound.DayOf(time.Now())
	list, err := book.Known(t.Context(), today)
	if err != nil || len(list) != inbound.ClientsMost {
		t.Error(len(list), err)
	}
	if seen, err := book.Of(t.Context(), nil, today, today); err != nil || seen.Days[0].More != 100 {
		t.Error(seen, err)
	}
	if got := sketch(t, book, "10.0.0.1"); strings.Count(got, "\n") != inbound.KindsMost || !strings.HasSuffix(got, "more 93") || strings.Contains(got, "\x1b") {
		t.Error(got)
	}
}

// unsteady fails until it is told to work.
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

func TestWhatCannotBeWrittenIsWrittenLaterAndOldDaysGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &unsteady{Store: memstore.New(), broken: true}
		book, warned := inbound.NewBook(disk), 0
		r, err := inbound.Open(t.Context(), book, smtpOnly, func(error) { warned++ })
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { r.Run(ctx); close(done) }()
		for range 3 {
			r.Emit(event.Disconnected{Listener: "smtp", Client: netip.MustParseAddr("192.0.2.7")})
			time.Sleep(inbound.Interval)
			synctest.Wait()
		}
		disk.mu.Lock()
		disk.broken = false
		disk.mu.Unlock()
		time.Sleep(inbound.Interval)
		synctest.Wait()
		if got := sketch(t, book, "192.0.2.7"); warned == 0 || got != `smtp plaintext 3/0 "" ` {
			t.Error(warned, got)
		}
		first := inbound.DayOf(time.Now())
		time.Sleep(inbound.Keep + 49*time.Hour)
		synctest.Wait()
		if list, err := book.Known(t.Context(), first); err != nil || len(list) > 0 {
			t.Error(list, err)
		}
		stop()
		<-done
	})
}

// shortDisk takes a few writes and then no more, until it is given room; it remembers the largest of them.
type shortDisk struct {
	*memstore.Store
	room, most int
}

type counting struct {
	records.Tx
	n int
}

func (c *counting) Put(r records.Record) error {
	c.n++
	return c.Tx.Put(r)
}

func (d *shortDisk) ChangeRecords(ctx context.Context, do func(records.Tx) error) error {
	if d.room--; d.room < 0 {
		return errors.New("no room")
	}
	return d.Store.ChangeRecords(ctx, func(t records.Tx) error {
		c := &counting{Tx: t}
		defer func() { d.most = max(d.most, c.n) }()
		return do(c)
	})
}

// A flood is written in portions, between which mail is accepted. Where one cannot be written, those before it are not
// written again: no session counts twice, and none is lost.
func TestAFloodIsWrittenInPortionsAndEachOnce(t *testing.T) {
	disk := &shortDisk{Store: memstore.New(), room: 3}
	book, warned := inbound.NewBook(disk), 0
	r, err := inbound.Open(t.Context(), book, smtpOnly, func(error) { warned++ })
	if err != nil {
		t.Fatal(err)
	}
	const flood = 5*flush.PortionMost + 7
	address := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}) }
	for i := range flood {
		r.Emit(event.Disconnected{Listener: "smtp", Client: address(i)})
	}
	r.Flush(t.Context())
	list, err := book.Known(t.Context(), inbound.DayOf(time.Now()))
	if err != nil || warned != 1 || len(list) != 2*flush.PortionMost || disk.most > flush.PortionMost { // the day took the first write
		t.Fatalf("%d of %d written, %d at most at a time, %d warnings, %v", len(list), flood, disk.most, warned, err)
	}
	disk.room = 100
	r.Flush(t.Context())
	r.Flush(t.Context())
	for i := range flood {
		if got := sketch(t, book, address(i).String()); got != `smtp plaintext 1/0 "" ` {
			t.Fatalf("client %d: %s", i, got)
		}
	}
}
