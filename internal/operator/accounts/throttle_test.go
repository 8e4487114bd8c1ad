package accounts_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/operator/access"
	"postern/internal/operator/accounts"
)

const wrong = "wrong wrong wrong"

// examined counts how many of n attempts at once came to an answer; the others were put off.
func examined(t *testing.T, n int, attempt func(i int) error) int {
	t.Helper()
	var count atomic.Int64
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			err := attempt(i)
			if throttled := new(accounts.Throttled); errors.As(err, &throttled) {
				return
			}
			if !errors.Is(err, accounts.ErrWrong) {
				t.Errorf("attempt %d: %v", i, err)
			}
			count.Add(1)
		})
	}
	all.Wait()
	return int(count.Load())
}

func TestGuessesAtOnceAreExaminedNoMoreThanMayFail(t *testing.T) {
	site := accounts.Site{Host: "gw.test", Origin: "https://gw.test"}
	guesses := 200
	if testing.Short() {
		guesses = 60
	}
	for what, c := range map[string]struct {
		want    int
		attempt func(o *office, i int) error
	}{
		"from one address": {5, func(o *office, _ int) error {
			_, err := o.s.SignIn(o.Context(), "anna", wrong, "", from("203.0.113.1"))
			return err
		}},
		"from one network": {5, func(o *office, i int) error {
			_, err := o.s.SignIn(o.Context(), "anna", wrong, "", from(fmt.Sprintf("2001:db8::%x", i+1)))
			return err
		}},
		"at names that are none": {5, func(o *office, i int) error {
			_, err := o.s.SignIn(o.Context(), fmt.Sprint("nobody", i), wrong, "", from("203.0.113.1"))
			return err
		}},
		"from everywhere": {50, func(o *office, i int) error {
			_, err := o.s.SignIn(o.Context(), "ANNA", wrong, "", from(fmt.Sprintf("2001:db8:%x::1", i)))
			return err
		}},
		"from where the account is known": {5, func(o *office, _ int) error {
			_, err := o.s.SignIn(o.Context(), "anna", wrong, "", from("192.0.2.1"))
			return err
		}},
		"with a session": {5, func(o *office, i int) error {
			_, err := o.s.Prove(o.Context(), o.key, wrong, from(fmt.Sprintf("2001:db8:%x::1", i)))
			return err
		}},
		"for a new password": {5, func(o *office, i int) error {
			return o.s.SetPassword(o.Context(), o.key, wrong, good+"!", false, from(fmt.Sprintf("2001:db8:%x::1", i)))
		}},
		"with answers of passkeys": {5, func(o *office, _ int) error {
			_, err := o.s.SignInByPasskey(o.Context(), site, []byte("{}"), "", from("203.0.113.1"))
			return err
		}},
		"with a session and answers of passkeys": {5, func(o *office, _ int) error {
			_, err := o.s.ProveByPasskey(o.Context(), o.key, site, []byte("{}"), from("203.0.113.1"))
			return err
		}},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newOffice(t)
				o.T = t
				if got := examined(t, guesses, func(i int) error { return c.attempt(o, i) }); got != c.want {
					t.Errorf("%d of %d guesses at once were examined, want %d", got, guesses, c.want)
				}
			})
		})
	}
}

// Whatever strangers do, also at the same address, who is signed in proves again, and who is known signs in.
func TestStrangersMakeNobodyWaitWhoIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		_, olga := o.hire("olga", access.Operator, everything())
		for i := range 120 { // from everywhere, and from both their addresses in other names
			_, err := o.s.SignIn(t.Context(), "anna", wrong, "", from(fmt.Sprintf("2001:db8:%x::1", i)))
			_, other := o.s.SignIn(t.Context(), fmt.Sprint("nobody", i), wrong, "", from("192.0.2.1"))
			_, more := o.s.SignIn(t.Context(), "anna", wrong, "", from("192.0.2.2"))
			if err == nil || other == nil || more == nil {
				t.Fatal("a guess was right")
			}
		}
		throttled := new(accounts.Throttled)
		if _, err := o.s.SignIn(t.Context(), "anna", good, "", from("203.0.113.9")); !errors.As(err, &throttled) {
			t.Errorf("from where she never was: %v", err)
		}
		key, err := o.s.Prove(t.Context(), o.key, good, from("192.0.2.1"))
		o.no(err)
		o.no(o.s.SetPassword(t.Context(), key, good, good+"!", false, from("192.0.2.1")))
		_, err = o.s.SignIn(t.Context(), "Anna", good+"!", "", from("192.0.2.1"))
		o.no(err)
		_, err = o.s.Prove(t.Context(), olga, good, from("192.0.2.2"))
		o.no(err)
		_, err = o.s.SignIn(t.Context(), "olga", good, "", from("192.0.2.2"))
		o.no(err)
	})
}

func TestAnAccountIsKnownWhereItSignedInForAMonth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		var known []bool
		for _, later := range []time.Duration{29 * 24 * time.Hour, 2 * 24 * time.Hour} {
			time.Sleep(later)
			for range 6 {
				_, err := o.s.SignIn(t.Context(), "nobody", wrong, "", from("192.0.2.1"))
				if err == nil {
					t.Fatal("nobody signed in")
				}
			}
			_, err := o.s.SignIn(t.Context(), "anna", wrong, "", from("192.0.2.1"))
			known = append(known, errors.Is(err, accounts.ErrWrong))
		}
		if !known[0] || known[1] {
			t.Errorf("known after 29 and 31 days: %v", known)
		}
	})
}

// Who has an account does not guess at another's without end by signing in to it between, and a proof that came to no
// answer counts as none.
func TestWhatIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		o.hire("eve", access.Auditor, everything()) // from 192.0.2.2
		for range 20 {
			_, err := o.s.SignIn(t.Context(), "anna", good, "", from("203.0.113.1"))
			o.no(err)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		wrongs := 0
		for range 20 {
			_, err := o.s.SignIn(t.Context(), "eve", good, "", from("192.0.2.2"))
			o.no(err)
			if _, err = o.s.SignIn(gone, "anna", wrong, "", from("192.0.2.2")); errors.Is(err, accounts.ErrWrong) {
				wrongs++ // both a place and the end were there; either may be taken
			}
			if _, err = o.s.SignIn(t.Context(), "anna", wrong, "", from("192.0.2.2")); errors.Is(err, accounts.ErrWrong) {
				wrongs++
			}
		}
		if wrongs != 5 {
			t.Errorf("%d guesses were examined, want 5", wrongs)
		}
	})
}

// A client that has to wait is told before it says who it is, but not where an account is known.
func TestWhoMayTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t) // anna is known at 192.0.2.1
		for _, addr := range []string{"203.0.113.1", "192.0.2.1"} {
			o.no(o.s.MayTry(from(addr)))
			for range 5 {
				_, err := o.s.SignIn(t.Context(), "nobody", wrong, "", from(addr))
				o.fails(err, accounts.ErrWrong)
			}
		}
		throttled := new(accounts.Throttled)
		if err := o.s.MayTry(from("203.0.113.1")); !errors.As(err, &throttled) || time.Until(throttled.Until) != time.Second {
			t.Errorf("after five failures: %v", err)
		}
		o.no(o.s.MayTry(from("192.0.2.1")))
		o.no(o.s.MayTry(from("192.0.2.3")))
		time.Sleep(time.Second)
		o.no(o.s.MayTry(from("203.0.113.1")))
	})
}

// Names that nobody has cost no memory, however long they are.
func TestALongNameIsCountedAtItsClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		long := string(make([]byte, 60_000))
		for i := range 60 {
			_, err := o.s.SignIn(t.Context(), long, wrong, "", from(fmt.Sprintf("2001:db8:%x::1", i)))
			o.fails(err, accounts.ErrWrong) // an account's row would be full
		}
	})
}
