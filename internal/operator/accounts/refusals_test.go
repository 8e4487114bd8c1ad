package accounts_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/operator/access"
	"postern/internal/operator/accounts"
	"postern/internal/operator/audit"
)

// written are the entries of the audit trail of one action, oldest first.
func (o *office) written(action string) (out []audit.Entry) {
	o.Helper()
	list, err := o.book.Entries(o.Context(), 0, 500)
	o.no(err)
	for _, e := range list {
		if e.Action == action {
			out = append([]audit.Entry{e}, out...)
		}
	}
	return out
}

// running runs what writes refused proofs, until stop is called.
func (o *office) running() (stop func()) {
	ctx, cancel := context.WithCancel(o.Context())
	var all sync.WaitGroup
	all.Go(func() { o.s.Run(ctx) })
	return func() { cancel(); all.Wait() }
}

// Every way to fail at a proof leaves a line that says who, where from and by what, as soon as anybody looks.
func TestEveryRefusedProofIsTold(t *testing.T) {
	site := accounts.Site{Host: "gw.test", Origin: "https://gw.test"}
	at := from("192.0.2.7")
	for what, c := range map[string]struct {
		fail func(o *office) error
		want string
	}{
		"signing in":          {func(o *office) error { _, err := o.s.SignIn(o.Context(), "ANNA", wrong, "", at); return err }, "anna (not proven): sign-in refused 192.0.2.7 "},
		"a name that is none": {func(o *office) error { _, err := o.s.SignIn(o.Context(), "eve", wrong, "", at); return err }, "somebody (not proven): sign-in refused 192.0.2.7 "},
		"a passkey": {func(o *office) error {
			_, err := o.s.SignInByPasskey(o.Context(), site, []byte("{}"), "", at)
			return err
		}, "somebody (not proven): sign-in refused 192.0.2.7 passkey"},
		"elsewhere": {func(o *office) error {
			_, err := o.s.SignInAs(o.Context(), "eve@a.test", "oidc", time.Now(), "", at)
			return err
		}, "eve@a.test (no account): sign-in refused 192.0.2.7 oidc"},
		"proving again": {func(o *office) error { _, err := o.s.Prove(o.Context(), o.key, wrong, at); return err }, "anna (not proven): proof refused 192.0.2.7 "},
		"proving by a passkey": {func(o *office) error {
			_, err := o.s.ProveByPasskey(o.Context(), o.key, site, []byte("{}"), at)
			return err
		}, "anna (not proven): proof refused 192.0.2.7 passkey"},
		"a new password":        {func(o *office) error { return o.s.SetPassword(o.Context(), o.key, wrong, good+"!", false, at) }, "anna (not proven): accounts password refused 192.0.2.7 "},
		"a link":                {func(o *office) error { _, err := o.s.Invited(o.Context(), "used", at); return err }, "somebody (not proven): link refused 192.0.2.7 "},
		"a token":               {func(o *office) error { _, err := o.s.ByToken(o.Context(), "postern_x", at); return err }, "somebody (not proven): token refused 192.0.2.7 "},
		"a token that is over":  {func(o *office) error { return o.overToken(at) }, "anna (token ci): token refused 192.0.2.7 "},
		"before who is claimed": {func(o *office) error { o.s.Refused("oidc", at); return accounts.ErrWrong }, "somebody (not proven): sign-in refused 192.0.2.7 oidc"},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newOffice(t)
				o.T = t
				if err := c.fail(o); !errors.Is(err, accounts.ErrWrong) && !errors.Is(err, accounts.ErrNotFound) {
					t.Fatalf("it was not refused: %v", err)
				}
				list := o.s.Refusals()
				if len(list) != 1 {
					t.Fatalf("told: %+v", list)
				}
				e := list[0]
				if got := e.By + ": " + e.Action + " " + e.Target + " " + e.After; got != c.want || e.Count != 1 {
					t.Errorf("told %q %d, want %q", got, e.Count, c.want)
				}
				stop := o.running()
				time.Sleep(time.Minute)
				stop()
				if got := o.written(e.Action); len(got) != 1 || len(o.s.Refusals()) != 0 {
					t.Errorf("written: %+v, still to be: %+v", got, o.s.Refusals())
				}
			})
		})
	}
}

// overToken shows a token after its end.
func (o *office) overToken(at accounts.Client) error {
	_, key, err := o.s.CreateToken(o.Context(), o.who(o.key), "ci", []access.Capability{access.ReadTrace}, time.Now().Add(time.Minute))
	o.no(err)
	time.Sleep(time.Minute)
	_, err = o.s.ByToken(o.Context(), key, at)
	return err
}

// A burst is one line with its count, also of guesses that nobody examined; one that goes on is a line a minute.
func TestABurstOfRefusedGuessesIsOneLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		stop := o.running()
		for range 300 {
			_, err := o.s.SignIn(t.Context(), "anna", wrong, "", from("203.0.113.1"))
			if err == nil {
				t.Fatal("a guess was right")
			}
		}
		time.Sleep(30 * time.Second)
		got := o.written("sign-in refused")
		if len(got) != 1 || got[0].Count != 300 || got[0].By != "anna (not proven)" || !strings.Contains(got[0].After, "5 examined, 295 put off") {
			t.Errorf("the audit trail has %+v", got)
		}
		for range 600 { // ten minutes
			_, err := o.s.SignIn(t.Context(), "anna", wrong, "", from("203.0.113.1"))
			if err == nil {
				t.Fatal("a guess was right")
			}
			time.Sleep(time.Second)
		}
		stop()
		count := 0
		got = o.written("sign-in refused")
		for _, e := range got {
			count += e.Count
		}
		if len(got) > 12 || count != 900 {
			t.Errorf("%d guesses are told in %d lines", count, len(got))
		}
	})
}

// However many strangers come, and whatever they call themselves, little is kept, and every guess is counted.
func TestRefusedGuessesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		for i := range 30 {
			o.hire(fmt.Sprint("person", i), access.Auditor, everything())
		}
		for i := range 500 {
			_, err := o.s.SignIn(t.Context(), fmt.Sprint("person", i%30), wrong, "", from(fmt.Sprintf("2001:db8:%x::1", i)))
			_, other := o.s.SignInAs(t.Context(), fmt.Sprint("stranger", i), "oidc", time.Time{}, "", from("203.0.113.1"))
			if err == nil || other == nil {
				t.Fatal("a guess was right")
			}
		}
		count, list := 0, o.s.Refusals()
		for _, e := range list {
			count += e.Count
			if len(e.After) > 1000 {
				t.Errorf("a line is long: %q", e.After)
			}
		}
		if len(list) > 66 || count != 1000 {
			t.Errorf("%d guesses in %d lines", count, len(list))
		}
		o.running()() // the end writes them all
		if got := o.written("sign-in refused"); len(got) != len(list) {
			t.Errorf("%d lines were written of %d", len(got), len(list))
		}
	})
}

// What cannot be written is not lost, and is written when it can be.
func TestRefusalsWaitForTheAuditTrail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		full := &fullLedger{book: o.book, full: true}
		o.s = accounts.New(accounts.Config{Book: accounts.NewBook(o.book), Ledger: full, Cost: cheap()})
		stop := o.running()
		for range 3 {
			_, err := o.s.SignIn(t.Context(), "anna", wrong, "", from("203.0.113.1"))
			o.fails(err, accounts.ErrWrong)
			time.Sleep(time.Minute)
		}
		full.allow()
		time.Sleep(time.Minute)
		stop()
		if got := o.written("sign-in refused"); len(got) != 1 || got[0].Count != 3 {
			t.Errorf("written: %+v", got)
		}
	})
}

// fullLedger is an audit trail on a disk that is full at first.
type fullLedger struct {
	book accounts.Recorder
	mu   sync.Mutex
	full bool
}

func (f *fullLedger) allow() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.full = false
}

func (f *fullLedger) Append(ctx context.Context, e audit.Entry) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.full {
		return errors.New("the disk is full")
	}
	return f.book.Append(ctx, e)
}

// What ends a session and what proves again is told too.
func TestSessionsAndProofsAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		other, err := o.s.SignIn(t.Context(), "anna", good, "", from("192.0.2.9"))
		o.no(err)
		key, err := o.s.Prove(t.Context(), o.key, good, from("192.0.2.1"))
		o.no(err)
		_, second, err := o.s.BySession(t.Context(), other)
		o.no(err)
		o.no(o.s.EndSession(t.Context(), o.who(key), second.Hash))
		o.no(o.s.SignOut(t.Context(), key, from("192.0.2.1")))
		o.no(o.s.SignOut(t.Context(), key, from("192.0.2.1"))) // nothing ends
		for action, target := range map[string]string{"proof": "192.0.2.1", "sessions end": "192.0.2.9", "sign-out": "192.0.2.1"} {
			if got := o.written(action); len(got) != 1 || got[0].Target != target || got[0].By != "anna" {
				t.Errorf("%s: %+v", action, got)
			}
		}
	})
}
