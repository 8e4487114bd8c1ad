package intake

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func network(i int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32)
}

// try checks one password and returns the code of the answer, 235 when it was right.
func try(t *testing.T, l *Logins, who claim, right bool) int {
	t.Helper()
	end, no := l.begin(t.Context(), who)
	if no != nil {
		return no.Code
	}
	end(right)
	if right {
		return 235
	}
	return 535
}

func TestANetworkThatGuessesPasswordsHasToWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogins(10, 15*time.Minute)
		for i := range 10 {
			if got := try(t, l, claim{network(1), fmt.Sprint("user", i)}, false); got != 535 {
				t.Fatalf("guess %d: %d", i, got)
			}
			time.Sleep(time.Minute)
		}
		if got := try(t, l, claim{network(1), "another"}, true); got != 454 {
			t.Errorf("a guess too many: %d", got)
		}
		if got := try(t, l, claim{network(2), "user1"}, true); got != 235 {
			t.Errorf("the user at another network: %d", got)
		}
		time.Sleep(5 * time.Minute) // 15 since the first
		if got := try(t, l, claim{network(1), "another"}, true); got != 235 {
			t.Errorf("after the window: %d", got)
		}
	})
}

func TestAKnownUserIsNotKeptOutByHisNeighbours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogins(3, 15*time.Minute)
		honest, thief := claim{network(1), "honest"}, claim{network(1), "thief"}
		try(t, l, honest, true)
		for range 5 {
			try(t, l, thief, false)
		}
		if got := try(t, l, thief, false); got != 454 {
			t.Errorf("the thief: %d", got)
		}
		if got := try(t, l, honest, true); got != 235 {
			t.Errorf("the honest user behind the same address: %d", got)
		}
		for range 3 {
			try(t, l, honest, false)
		}
		if got := try(t, l, honest, true); got != 454 {
			t.Errorf("guesses at the known user's own password: %d", got)
		}
		time.Sleep(rememberRight)
		for range 3 {
			try(t, l, thief, false)
		}
		if got := try(t, l, honest, true); got != 454 {
			t.Errorf("a day later he is counted with the others: %d", got)
		}
	})
}

// Connections side by side gain nothing: what is being checked may become a failure.
func TestParallelGuessesAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogins(10, 15*time.Minute)
		var checked, running, most atomic.Int32
		var group sync.WaitGroup
		for i := range 100 {
			group.Go(func() {
				end, no := l.begin(t.Context(), claim{network(1), fmt.Sprint("user", i)})
				if no != nil {
					return
				}
				most.Store(max(most.Load(), running.Add(1)))
				time.Sleep(30 * time.Millisecond)
				running.Add(-1)
				checked.Add(1)
				end(false)
			})
		}
		group.Wait()
		if checked.Load() != 10 || most.Load() > parallelLogins {
			t.Errorf("%d passwords were checked, %d at a time", checked.Load(), most.Load())
		}
	})
}

func TestManyRightPasswordsFromOneNetworkAreTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogins(10, 15*time.Minute)
		var taken atomic.Int32
		var group sync.WaitGroup
		for i := range 200 {
			group.Go(func() {
				end, no := l.begin(t.Context(), claim{network(1), fmt.Sprint("user", i)})
				if no != nil {
					return
				}
				time.Sleep(30 * time.Millisecond)
				end(true)
				taken.Add(1)
			})
		}
		group.Wait()
		if taken.Load() != 200 {
			t.Errorf("%d of 200 logins were taken", taken.Load())
		}
		if len(l.failures) != 0 {
			t.Errorf("%d counts are left though nobody failed", len(l.failures))
		}
	})
}

// A known user does not wait behind guesses from everywhere.
func TestGuessesFromEverywhereDoNotFillTheLaneOfKnownUsers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogins(10, 15*time.Minute)
		known := claim{network(1), "known"}
		try(t, l, known, true)
		ctx, stop := context.WithCancel(t.Context())
		var group sync.WaitGroup
		for i := range 2000 {
			group.Go(func() {
				if end, no := l.begin(ctx, claim{network(100 + i), "x"}); no == nil {
					time.Sleep(time.Hour)
					end(false)
				}
			})
		}
		synctest.Wait()
		began := time.Now()
		if got := try(t, l, known, true); got != 235 || time.Since(began) > time.Second {
			t.Errorf("the known user: %d after %v", got, time.Since(began))
		}
		began = time.Now()
		if got := try(t, l, claim{network(2), "stranger"}, true); got != 454 || time.Since(began) != l.patience {
			t.Errorf("a stranger: %d after %v", got, time.Since(began))
		}
		stop()
		group.Wait()
	})
}

func TestWhatIsRememberedOfLoginsIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogins(2, 15*time.Minute)
		for i := range 3 * maxClaims {
			try(t, l, claim{network(i), "x"}, i%2 == 0)
		}
		if len(l.failures) > maxClaims || len(l.right) > maxClaims {
			t.Errorf("%d failures and %d users are remembered", len(l.failures), len(l.right))
		}
	})
}
