package told_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/internal/history/told"
	"postern/internal/lab/testkit/stores"
	"postern/internal/platform/records"
)

func TestBook(t *testing.T) { stores.Each(t, testBook) }

func testBook(t *testing.T, s records.Store, again func() records.Store) {
	b := told.NewBook(s)
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	first := func(want string, keys ...string) {
		t.Helper()
		got, err := b.First(t.Context(), keys, now, 24*time.Hour)
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("at %v: %q, %v; want %q", now, got, err, want)
		}
	}
	first("a b", "a", "b", "a")
	first("c", "a", "c")
	b = told.NewBook(again())
	now = now.Add(24*time.Hour - time.Second)
	first("", "a", "b", "c")
	if err := b.Withdraw(t.Context(), "b", "x"); err != nil {
		t.Error(err)
	}
	first("b", "a", "b")
	now = now.Add(time.Second)
	first("a c", "a", "b", "c")
	now = now.Add(-time.Hour) // another's clock
	first("", "a", "b", "c")
	now = now.Add(-48 * time.Hour) // a clock was wrong, and is no more
	first("a", "a")
	long := strings.Repeat("x", 5000)
	first(long+"1 "+long+"2", long+"1", long+"2")
	now = now.Add(told.Longest + 48*time.Hour)
	if _, err := b.First(t.Context(), nil, now, time.Hour); err != nil {
		t.Error(err)
	}
	if n, err := records.Read(t.Context(), s, func(r records.Reader) (int, error) { return r.Count("told") }); n > 3 && err == nil {
		t.Errorf("%d are remembered for ever", n)
	}
	slots := []string{"1", "2", "3"}
	for i := range 5 {
		want := ""
		if i < 3 {
			want = slots[i]
		}
		if got, err := b.OneOf(t.Context(), slots, now, time.Hour); err != nil || got != want {
			t.Errorf("slot %d is %q, %v", i, got, err)
		}
	}
}

// TestOfManyAtOnceOneTells: whoever comes first.
func TestOfManyAtOnceOneTells(t *testing.T) {
	stores.Each(t, func(t *testing.T, s records.Store, _ func() records.Store) {
		now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
		var mu sync.Mutex
		var wg sync.WaitGroup
		count := map[string]int{}
		for g := range 4 {
			wg.Go(func() {
				for i := range 10 {
					keys := []string{fmt.Sprint("m", (i+g)%10), fmt.Sprint("m", i)}
					got, err := told.NewBook(s).First(t.Context(), keys, now, time.Hour)
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					for _, key := range got {
						count[key]++
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		for i := range 10 {
			if n := count[fmt.Sprint("m", i)]; n != 1 {
				t.Errorf("m%d was told %d times", i, n)
			}
		}
	})
}
