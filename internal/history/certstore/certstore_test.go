package certstore_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/attempt"
	"postern/internal/event"
	"postern/internal/history/certstore"
	"postern/internal/platform/records"
	"postern/internal/policy"
	"postern/internal/queue/memstore"
)

// shown is an attempt at which a server showed certificates.
func shown(names ...string) event.Attempted {
	e := &policy.Evidence{}
	for _, n := range names {
		e.Chain = append(e.Chain, policy.Certificate{SHA256: n, Raw: []byte("der of " + n)})
	}
	return event.Attempted{Attempt: &attempt.Attempt{Tries: []attempt.Try{{}, {Evidence: e}}}}
}

// counting is a book on a store that counts what it is given, and fails when told to.
type counting struct {
	*certstore.Book
	records.Store
	given  atomic.Int64
	broken atomic.Bool

	begun, committed func() // told of a change, may be nil
}

func newCounting() *counting {
	c := &counting{Store: memstore.New()}
	c.Book = certstore.NewBook(c)
	return c
}

func (c *counting) ChangeRecords(ctx context.Context, do func(t records.Tx) error) error {
	if c.broken.Load() {
		return errors.New("no disk")
	}
	if c.begun != nil {
		c.begun()
		defer c.committed()
	}
	return c.Store.ChangeRecords(ctx, func(t records.Tx) error { return do(counted{t, c}) })
}

// counted counts what is put.
type counted struct {
	records.Tx
	c *counting
}

func (t counted) Put(r records.Record) error {
	t.c.given.Add(1)
	return t.Tx.Put(r)
}

func has(t *testing.T, b *counting, digest string) bool {
	t.Helper()
	list, err := b.Certificates(context.WithoutCancel(t.Context()), []string{digest})
	if err != nil {
		t.Fatal(err)
	}
	return len(list) == 1 && string(list[0].DER) == "der of "+digest
}

func TestACertificateIsWrittenOnceADayAndForgottenInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		book := newCounting()
		k := certstore.NewKeeper(book.Book, 30*24*time.Hour, func(err error) { t.Error(err) })
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { k.Run(ctx); close(done) }()
		for range 100 {
			k.Emit(shown("leaf", "ca"))
			k.Emit(event.Accepted{})
			k.Emit(event.Attempted{})
		}
		time.Sleep(2 * certstore.Interval)
		synctest.Wait()
		if book.given.Load() != 2 || !has(t, book, "leaf") || !has(t, book, "ca") {
			t.Errorf("%d were given to the book", book.given.Load())
		}
		for range 40 { // the CA is shown for longer than the leaf
			k.Emit(shown("ca"))
			time.Sleep(25 * time.Hour)
		}
		synctest.Wait()
		if has(t, book, "leaf") || !has(t, book, "ca") {
			t.Error("what nobody showed for 30 days is there, or what was shown is not")
		}
		stop()
		<-done
	})
}

func TestWhatCannotBeWrittenIsKeptForTheNextTime(t *testing.T) {
	book := newCounting()
	warned := 0
	k := certstore.NewKeeper(book.Book, time.Hour, func(error) { warned++ })
	book.broken.Store(true)
	k.Emit(shown("leaf"))
	k.Flush(t.Context())
	if list, err := k.Certificates(t.Context(), []string{"leaf", "none"}); err != nil || len(list) != 1 || warned != 1 {
		t.Errorf("before it is written: %v, %v, warned %d times", list, err, warned)
	}
	book.broken.Store(false)
	k.Flush(t.Context())
	if !has(t, book, "leaf") || warned != 1 {
		t.Errorf("it is not kept, or warned %d times", warned)
	}
}

// A page that is asked for in the moment of writing shows what it showed before and will show after.
func TestACertificateIsFoundWhileItIsWritten(t *testing.T) {
	book := newCounting()
	k := certstore.NewKeeper(book.Book, time.Hour, func(err error) { t.Error(err) })
	for _, when := range []string{"begun", "committed"} {
		k.Emit(shown(when))
		looked := false
		look := func() {
			looked = true
			if list, err := k.Certificates(t.Context(), []string{when}); err != nil || len(list) != 1 {
				t.Errorf("%s: %v, %v", when, list, err)
			}
		}
		book.begun, book.committed = func() {}, func() {}
		if when == "begun" {
			book.begun = look
		} else {
			book.committed = look
		}
		if k.Flush(t.Context()); !looked {
			t.Errorf("%s: nothing was written", when)
		}
	}
}

func TestStrangersFillNoMemory(t *testing.T) {
	book := newCounting()
	k := certstore.NewKeeper(book.Book, time.Hour, func(err error) { t.Error(err) })
	for i := range certstore.PendingMost + 100 {
		k.Emit(shown(fmt.Sprint(i)))
	}
	huge := shown("huge")
	huge.Attempt.Tries[1].Evidence.Chain[0].Raw = make([]byte, certstore.LargestDER+1)
	k.Flush(t.Context())
	k.Emit(huge)
	k.Emit(shown(fmt.Sprint(certstore.PendingMost + 50))) // it waited for this
	k.Flush(t.Context())
	if n := book.given.Load(); n != certstore.PendingMost+1 || has(t, book, "huge") || !has(t, book, fmt.Sprint(certstore.PendingMost+50)) {
		t.Errorf("%d were kept", n)
	}
}
