package mxpins_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"postern/internal/lab/testkit/stores"
	"postern/internal/platform/records"
	"postern/internal/policy/mxpins"
)

// The laws of the book, on each store. again opens the same data anew.
func TestBook(t *testing.T) {
	each := func(name string, test func(t *testing.T, book *mxpins.Book)) {
		t.Run(name, func(t *testing.T) {
			stores.Each(t, func(t *testing.T, s records.Store, _ func() records.Store) { test(t, mxpins.NewBook(s)) })
		})
	}
	at := time.Date(2026, 11, 23, 12, 0, 0, 1500, time.UTC)
	pin := func(domain, rule, name string) mxpins.Pin {
		return mxpins.Pin{Domain: domain, Rule: rule, Name: name, Since: at.Truncate(time.Microsecond), By: "first-use"}
	}
	must := func(t *testing.T) func([]mxpins.Pin, error) []mxpins.Pin {
		return func(pins []mxpins.Pin, err error) []mxpins.Pin {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
			return pins
		}
	}
	same := func(t *testing.T, what string, got []mxpins.Pin, want ...mxpins.Pin) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	a, b, c := pin("clinic.test", "r", "clinic.test"), pin("clinic.test", "r", "backup.test"), pin("clinic.test", "r",
		"evil.test")
	each("FirstCountsOnlyWhereNothingIsRemembered", func(t *testing.T, book *mxpins.Book) {
		ok := must(t)
		same(t, "first", ok(book.Remember(t.Context(), true, []mxpins.Pin{a, b})), a, b)
		same(t, "second", ok(book.Remember(t.Context(), true, []mxpins.Pin{c, a})))
		other, elsewhere := pin("clinic.test", "s", "evil.test"), pin("bank.test", "r", "evil.test")
		same(t, "another rule and another domain", ok(book.Remember(t.Context(), true, []mxpins.Pin{c, other, elsewhere})),
			other, elsewhere)
		same(t, "in order", ok(book.Pins(t.Context(), "clinic.test")), b, a, other)
		same(t, "all", ok(book.Pins(t.Context(), "")), elsewhere, b, a, other)
	})
	each("WhatIsAddedKeepsWhatWasThere", func(t *testing.T, book *mxpins.Book) {
		ok := must(t)
		ok(book.Remember(t.Context(), true, []mxpins.Pin{a}))
		later := a
		later.Since, later.By = at.Add(time.Hour), "administrator"
		same(t, "added", ok(book.Remember(t.Context(), false, []mxpins.Pin{later, c})), c)
		same(t, "kept", ok(book.Pins(t.Context(), "clinic.test")), a, c)
	})
	each("WhatWasOnlySeenIsNoTrustAndGivesWayToIt", func(t *testing.T, book *mxpins.Book) {
		ok := must(t)
		seen := b
		seen.By = mxpins.Seen
		ok(book.Remember(t.Context(), true, []mxpins.Pin{seen}))
		same(t, "a first use after it", ok(book.Remember(t.Context(), true, []mxpins.Pin{a, seen})), a)
		same(t, "a second first use", ok(book.Remember(t.Context(), true, []mxpins.Pin{b})))
		same(t, "beside", ok(book.Pins(t.Context(), "clinic.test")), seen, a)
		same(t, "approved", ok(book.Remember(t.Context(), false, []mxpins.Pin{b})), b)
		same(t, "trust never gives way", ok(book.Remember(t.Context(), false, []mxpins.Pin{seen})))
		same(t, "in its place", ok(book.Pins(t.Context(), "clinic.test")), b, a)
	})
	each("UnpinForgetsOneRuleOrAll", func(t *testing.T, book *mxpins.Book) {
		ok := must(t)
		other := pin("clinic.test", "s", "clinic.test")
		ok(book.Remember(t.Context(), true, []mxpins.Pin{a, b, other}))
		same(t, "of a domain nobody knows", ok(book.Unpin(t.Context(), "bank.test", "")))
		same(t, "of one rule", ok(book.Unpin(t.Context(), "clinic.test", "s")), other)
		same(t, "left", ok(book.Pins(t.Context(), "clinic.test")), b, a)
		same(t, "of all", ok(book.Unpin(t.Context(), "clinic.test", "")), b, a)
		same(t, "first again", ok(book.Remember(t.Context(), true, []mxpins.Pin{c})), c)
	})
	each("OfTwoFirstSuccessesAtOnceOneCounts", func(t *testing.T, book *mxpins.Book) {
		var group sync.WaitGroup
		for _, p := range []mxpins.Pin{a, b, c} {
			group.Go(func() {
				if _, err := book.Remember(t.Context(), true, []mxpins.Pin{p}); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if pins := must(t)(book.Pins(t.Context(), "")); len(pins) != 1 {
			t.Errorf("%v", pins)
		}
	})
}

func TestPinsOutliveTheProcess(t *testing.T) {
	stores.Each(t, func(t *testing.T, s records.Store, again func() records.Store) {
		pin := mxpins.Pin{Domain: "clinic.test", Rule: "clinic", Name: "clinic.test", By: "first-use",
			Since: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
		if _, err := mxpins.NewBook(s).Remember(t.Context(), true, []mxpins.Pin{pin}); err != nil {
			t.Fatal(err)
		}
		if pins, err := mxpins.NewBook(again()).Pins(t.Context(), "clinic.test"); err != nil || len(pins) != 1 ||
			pins[0] != pin {
			t.Errorf("%v, %v", pins, err)
		}
	})
}
