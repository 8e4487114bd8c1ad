package schedule

import (
	"fmt"
	"testing"
	"time"
)

// TestLawPartsOfALimitComeToIt: of any number of gateways, at any site, and no gateway is always the one that has less.
// Where there are more gateways than the limit each has one.
func TestLawPartsOfALimitComeToIt(t *testing.T) {
	for limit := 1; limit <= 20; limit++ {
		for n := 1; n <= 12; n++ {
			sums := make([]int, n)
			for site := range 200 {
				all := 0
				for rank := range n {
					s := New(Config{PerSite: limit}, 1)
					s.Among(n, rank)
					share := s.share(fmt.Sprint("mx:", site, ".test"))
					if share < limit/n || share > limit/n+1 {
						t.Fatalf("%d of %d for one of %d", share, limit, n)
					}
					all += share
					sums[rank] += share
				}
				if all != max(limit, n) {
					t.Fatalf("%d gateways have %d, and the limit is %d", n, all, limit)
				}
			}
			for rank, sum := range sums {
				if least := 200*max(limit, n)/n - 60; sum < least {
					t.Errorf("gateway %d of %d has %d at 200 sites with a limit of %d", rank, n, sum, limit)
				}
			}
		}
	}
}

// TestGatewaysComeAndGo: workers that are too many are asked for, one after the other, and more start at once when there
// is room again.
func TestGatewaysComeAndGo(t *testing.T) {
	start := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	s := New(Config{PerSite: 6}, 1)
	s.TookMail("x", start)
	s.Added("x", start, Origin{Lane: 1})
	var held []*Place
	begin := func(want int) {
		t.Helper()
		for {
			p, ok := s.Next(start)
			if !ok {
				break
			}
			held = append(held, p)
			s.Claimed(p, true, Origin{Lane: 1}, start)
		}
		if len(held) != want {
			t.Fatalf("%d workers, want %d", len(held), want)
		}
	}
	begin(6)
	s.Among(3, 1)
	for _, want := range []bool{true, true, true, true, false, false} {
		p := held[0]
		held = held[1:]
		if s.Surplus(p) != want {
			t.Errorf("with %d beside it, it is too many: %v", len(held), !want)
		}
		if want {
			s.Done(p, Result{Now: start, Passed: true, Due: start})
		} else {
			held = append(held, p)
		}
	}
	begin(2)
	s.Among(2, 0)
	begin(3)
	s.Among(1, 0)
	begin(6)
}
