package accounts_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/operator/accounts"
	"postern/internal/platform/passhash"
	"postern/internal/queue/memstore"
)

const good = "a long sentence about 7 horses"

// office is a service with an administrator who is signed in.
type office struct {
	*testing.T
	book *memstore.Store
	s    *accounts.Service
	key  string // of the administrator's session
}

// cheap is a cost of passwords that lets a test have hundreds of them; what they are kept as is the same.
func cheap() passhash.Cost { return passhash.Cost{KiB: 64, Passes: 1} }

func from(addr string) accounts.Client {
	return accounts.Client{Addr: netip.MustParseAddr(addr), Agent: "browser"}
}

func newOffice(t *testing.T) *office {
	t.Helper()
	book := memstore.New()
	o := &office{T: t, book: book, s: accounts.New(accounts.Config{Book: accounts.NewBook(book), Ledger: book, Cost: cheap()})}
	link, err := o.s.First(t.Context(), access.Root("root"))
	o.no(err)
	o.key, err = o.s.Accept(t.Context(), link, "anna", good, from("192.0.2.1"))
	o.no(err)
	return o
}

func (o *office) no(err error) {
	o.Helper()
	if err != nil {
		o.Fatal(err)
	}
}

func (o *office) fails(err, want error) {
	o.Helper()
	if !errors.Is(err, want) {
		o.Errorf("error %v, want %v", err, want)
	}
}

func (o *office) who(key string) access.Principal {
	o.Helper()
	p, _, err := o.s.BySession(o.Context(), key)
	o.no(err)
	return p
}

// hire invites somebody, who accepts, and returns his account and session.
func (o *office) hire(name string, role access.Role, scope access.Scope) (accounts.Account, string) {
	o.Helper()
	a, link, err := o.s.Invite(o.Context(), o.who(o.key), name, role, scope)
	o.no(err)
	key, err := o.s.Accept(o.Context(), link, "ignored", good, from("192.0.2.2"))
	o.no(err)
	return a, key
}

func (o *office) actions() (out []string) {
	o.Helper()
	list, err := o.book.Entries(o.Context(), 0, 100)
	o.no(err)
	list = append(o.s.Refusals(), list...)
	for _, e := range list {
		if strings.Contains(fmt.Sprint(e), "argon2") || strings.Contains(fmt.Sprint(e), good) {
			o.Errorf("a secret stands in the audit trail: %v", e)
		}
		out = append(out, e.By+": "+e.Action+" "+e.Target)
	}
	slices.Reverse(out)
	return out
}

func everything() access.Scope { return access.Scope{All: true} }

func TestTheFirstAdministratorComesByALinkThatWorksOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		book := memstore.New()
		s := accounts.New(accounts.Config{Book: accounts.NewBook(book), Ledger: book, Cost: cheap()})
		o := &office{T: t, book: book, s: s}
		old, err := s.First(t.Context(), access.Root("root"))
		o.no(err)
		link, err := s.First(t.Context(), access.Root("root"))
		o.no(err)
		_, err = s.Accept(t.Context(), old, "eve", good, from("192.0.2.9"))
		o.fails(err, accounts.ErrNotFound)
		_, err = s.Accept(t.Context(), link, "bad name", good, from("192.0.2.1"))
		o.fails(err, accounts.ErrBad)
		_, err = s.Accept(t.Context(), link, "anna", "short", from("192.0.2.1"))
		o.fails(err, accounts.ErrBad)
		key, err := s.Accept(t.Context(), link, "anna", good, from("192.0.2.1"))
		o.no(err)
		if p := o.who(key); p.Role != access.Administrator || !p.Scope.All || p.Name != "anna" || !p.Fresh(time.Now()) {
			t.Errorf("the first administrator is %+v", p)
		}
		_, err = s.Accept(t.Context(), link, "eve", good, from("192.0.2.9"))
		o.fails(err, accounts.ErrNotFound)
		_, err = s.First(t.Context(), access.Root("root"))
		o.fails(err, accounts.ErrSetUp)
	})
}

func TestALinkEndsAfterAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		book := memstore.New()
		s := accounts.New(accounts.Config{Book: accounts.NewBook(book), Ledger: book, Cost: cheap()})
		link, err := s.First(t.Context(), access.Root("root"))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if _, err := s.Accept(t.Context(), link, "anna", good, from("192.0.2.1")); !errors.Is(err, accounts.ErrNotFound) {
			t.Errorf("error %v", err)
		}
	})
}

func TestSignIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		for _, name := range []string{"anna", "ANNA"} {
			key, err := o.s.SignIn(t.Context(), name, good, "", from("192.0.2.1"))
			o.no(err)
			o.who(key)
		}
		_, err := o.s.SignIn(t.Context(), "anna", good+" ", "", from("192.0.2.1"))
		o.fails(err, accounts.ErrWrong)
		_, err = o.s.SignIn(t.Context(), "nobody", good, "", from("192.0.2.1"))
		o.fails(err, accounts.ErrWrong)
		_, err = o.s.SignIn(t.Context(), "\x1b[2Jx\n", good, "", from("192.0.2.1"))
		o.fails(err, accounts.ErrWrong)
		want := []string{"root: accounts first ", "anna: accounts accept anna", "anna: sign-in 192.0.2.1", "anna: sign-in 192.0.2.1",
			"somebody (not proven): sign-in refused 192.0.2.1"}
		if got := o.actions(); !slices.Equal(got, want) {
			t.Errorf("audit trail %q\nwant %q", got, want)
		}
		if e := o.s.Refusals()[0]; e.Count != 3 || !strings.Contains(e.After, "anna 1; somebody 2") {
			t.Errorf("refused: %+v", e)
		}
	})
}

// A browser's session before sign-in is not the one after it, and ends: whoever planted its secret holds nothing.
func TestSignInEndsTheSessionBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		next, err := o.s.SignIn(t.Context(), "anna", good, o.key, from("192.0.2.1"))
		o.no(err)
		if next == o.key {
			t.Error("the secret stayed")
		}
		_, _, err = o.s.BySession(t.Context(), o.key)
		o.fails(err, accounts.ErrNotFound)
	})
}

func TestSessionsEnd(t *testing.T) {
	for name, test := range map[string]func(o *office){
		"idle": func(o *office) { time.Sleep(31 * time.Minute) },
		"idle, though a page is left open": func(o *office) {
			for range 30 {
				if _, err := o.s.Glance(o.Context(), o.key); err != nil {
					o.Error(err)
				}
				time.Sleep(61 * time.Second)
			}
			time.Sleep(time.Minute)
		},
		"life, though used": func(o *office) {
			for range 12 * 60 / 20 {
				o.who(o.key)
				time.Sleep(20 * time.Minute)
			}
		},
		"sign-out": func(o *office) { o.no(o.s.SignOut(o.Context(), o.key, from("192.0.2.1"))) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newOffice(t)
				test(o)
				_, _, err := o.s.BySession(t.Context(), o.key)
				o.fails(err, accounts.ErrNotFound)
			})
		})
	}
}

// Whatever changes about an account ends its sessions, and its tokens never do more than it may now.
func TestAChangedAccountHoldsOnlyWhatItHasNow(t *testing.T) {
	auditor, yes := access.Auditor, true
	small := access.Scope{Domains: []mail.Domain{mail.MustAddress("x@clinic.test").Domain}}
	for name, change := range map[string]accounts.Change{"role": {Role: &auditor}, "scope": {Scope: &small}, "disabled": {Disabled: &yes}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newOffice(t)
				a, key := o.hire("ben", access.Operator, everything())
				_, token, err := o.s.CreateToken(t.Context(), o.who(key), "ci", []access.Capability{access.ActOnQueue}, time.Now().Add(time.Hour))
				o.no(err)
				list, err := o.s.List(t.Context(), o.who(o.key))
				o.no(err)
				version := list[slices.IndexFunc(list, func(b accounts.Account) bool { return b.ID == a.ID })].Version
				_, err = o.s.Update(t.Context(), o.who(o.key), a.ID, version-1, change)
				o.fails(err, accounts.ErrVersion)
				_, err = o.s.Update(t.Context(), o.who(o.key), a.ID, version, change)
				o.no(err)
				_, _, err = o.s.BySession(t.Context(), key)
				o.fails(err, accounts.ErrNotFound)
				p, err := o.s.ByToken(t.Context(), token, from("192.0.2.1"))
				switch name {
				case "disabled":
					o.fails(err, accounts.ErrNotFound)
				case "role":
					if p.May(access.ActOnQueue) {
						t.Error("the token acts on the queue, which its account may no more")
					}
				case "scope":
					if p.Scope.All {
						t.Error("the token's scope is what its account's was")
					}
				}
			})
		})
	}
}

func TestGuessersWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		try := func(client, password string) error {
			_, err := o.s.SignIn(t.Context(), "anna", password, "", from(client))
			return err
		}
		for range 5 {
			o.fails(try("203.0.113.1", "wrong wrong wrong"), accounts.ErrWrong)
		}
		var wait *accounts.Throttled
		for i := range 6 { // 1 s, 2 s, 4 s ...
			if err := try("203.0.113.1", good); !errors.As(err, &wait) {
				t.Fatalf("attempt %d: %v", i, err)
			}
			if left := time.Until(wait.Until); left != time.Second<<i {
				t.Fatalf("attempt %d waits %v", i, left)
			}
			time.Sleep(time.Until(wait.Until))
			o.fails(try("203.0.113.1", "wrong wrong wrong"), accounts.ErrWrong)
		}
		o.no(try("192.0.2.1", good)) // the administrator comes in meanwhile
		time.Sleep(time.Hour)
		o.no(try("203.0.113.1", good))
	})
}

// From many addresses an account is guessed at no faster than its own wait allows, and its owner waits at most half a
// minute.
func TestGuessersFromEverywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		refused := 0
		for i := range 60 {
			_, err := o.s.SignIn(t.Context(), "anna", "wrong wrong wrong", "", from(fmt.Sprintf("2001:db8:%x::1", i)))
			if throttled := new(accounts.Throttled); errors.As(err, &throttled) {
				refused++
				if time.Until(throttled.Until) > 30*time.Second {
					t.Fatalf("the owner would wait %v", time.Until(throttled.Until))
				}
			}
		}
		if refused != 10 {
			t.Errorf("%d of 60 guesses were put off, want 10", refused)
		}
	})
}

func TestAStaleProofIsNotEnoughForDanger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		time.Sleep(11 * time.Minute)
		_, _, err := o.s.Invite(t.Context(), o.who(o.key), "ben", access.Auditor, everything())
		o.fails(err, accounts.ErrStale)
		_, _, err = o.s.CreateToken(t.Context(), o.who(o.key), "ci", []access.Capability{access.ReadTrace}, time.Now().Add(time.Hour))
		o.fails(err, accounts.ErrStale)
		_, err = o.s.Prove(t.Context(), o.key, "wrong wrong wrong", from("192.0.2.1"))
		o.fails(err, accounts.ErrWrong)
		next, err := o.s.Prove(t.Context(), o.key, good, from("192.0.2.1"))
		o.no(err)
		_, _, err = o.s.BySession(t.Context(), o.key)
		o.fails(err, accounts.ErrNotFound)
		_, _, err = o.s.Invite(t.Context(), o.who(next), "ben", access.Auditor, everything())
		o.no(err)
	})
}

func TestTheLastAdministratorStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		anna := o.who(o.key)
		yes, operator, small := true, access.Operator, access.Scope{Domains: []mail.Domain{mail.MustAddress("x@clinic.test").Domain}}
		for _, c := range []accounts.Change{{Disabled: &yes}, {Role: &operator}, {Scope: &small}} {
			_, err := o.s.Update(t.Context(), anna, anna.Account, 1, c)
			o.fails(err, accounts.ErrLast)
		}
		o.fails(o.s.Delete(t.Context(), anna, anna.Account), accounts.ErrLast)
		// Somebody who was invited and never came is nobody.
		_, _, err := o.s.Invite(t.Context(), anna, "ben", access.Administrator, everything())
		o.no(err)
		o.fails(o.s.Delete(t.Context(), anna, anna.Account), accounts.ErrLast)
		o.hire("carl", access.Administrator, everything())
		o.no(o.s.Delete(t.Context(), anna, anna.Account))
	})
}

func TestWhoMayAdministerAccounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		_, operator := o.hire("ben", access.Operator, everything())
		_, local := o.hire("carl", access.Administrator, access.Scope{Domains: []mail.Domain{mail.MustAddress("x@clinic.test").Domain}})
		for _, key := range []string{operator, local} {
			p := o.who(key)
			_, err := o.s.List(t.Context(), p)
			o.fails(err, accounts.ErrForbidden)
			_, _, err = o.s.Invite(t.Context(), p, "eve", access.Administrator, everything())
			o.fails(err, accounts.ErrForbidden)
			o.fails(o.s.Delete(t.Context(), p, o.who(o.key).Account), accounts.ErrForbidden)
			_, err = o.s.InviteAgain(t.Context(), p, o.who(o.key).Account)
			o.fails(err, accounts.ErrForbidden)
			_, err = o.s.Tokens(t.Context(), p, true)
			o.fails(err, accounts.ErrForbidden)
		}
		_, _, err := o.s.Invite(t.Context(), o.who(o.key), "BEN", access.Auditor, everything())
		o.fails(err, accounts.ErrTaken)
		_, _, err = o.s.Invite(t.Context(), o.who(o.key), "dora", "owner", everything())
		o.fails(err, accounts.ErrBad)
		_, _, err = o.s.Invite(t.Context(), o.who(o.key), "dora", access.Auditor, access.Scope{})
		o.fails(err, accounts.ErrBad)
	})
}

func TestTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		_, ben := o.hire("ben", access.Operator, everything())
		p := o.who(ben)
		in := time.Now().Add(time.Hour)
		create := func(ctx context.Context, ends time.Time, scopes ...access.Capability) error {
			_, _, err := o.s.CreateToken(ctx, p, "ci", scopes, ends)
			return err
		}
		o.fails(create(t.Context(), in, access.WriteRules), accounts.ErrForbidden)
		o.fails(create(t.Context(), in), accounts.ErrBad)
		o.fails(create(t.Context(), in, "all"), accounts.ErrBad)
		o.fails(create(t.Context(), time.Now(), access.ReadTrace), accounts.ErrBad)
		o.fails(create(t.Context(), time.Now().Add(401*24*time.Hour), access.ReadTrace), accounts.ErrBad)
		token, key, err := o.s.CreateToken(t.Context(), p, "ci", []access.Capability{access.ReadTrace}, in)
		o.no(err)
		who, err := o.s.ByToken(t.Context(), key, from("192.0.2.1"))
		o.no(err)
		if who.Name != "ben (token ci)" || !who.May(access.ReadTrace) || who.May(access.ReadRules) || who.May(access.ActOnQueue) {
			t.Errorf("the token is %+v", who)
		}
		if _, _, err := o.s.CreateToken(t.Context(), who, "more", []access.Capability{access.ReadTrace}, in); !errors.Is(err, accounts.ErrForbidden) {
			t.Errorf("a token makes tokens: %v", err)
		}
		for _, wrong := range []string{"", key[1:], key + "x", accounts.TokenPrefix, token.Hash} {
			_, err := o.s.ByToken(t.Context(), wrong, from("192.0.2.1"))
			o.fails(err, accounts.ErrNotFound)
		}
		_, carl := o.hire("carl", access.Auditor, everything())
		o.fails(o.s.DeleteToken(t.Context(), o.who(carl), token.ID), accounts.ErrNotFound)
		o.fails(o.s.DeleteToken(t.Context(), who, token.ID), accounts.ErrNotFound)
		time.Sleep(time.Hour)
		_, err = o.s.ByToken(t.Context(), key, from("192.0.2.1"))
		o.fails(err, accounts.ErrNotFound)
		again, err := o.s.SignIn(t.Context(), "ben", good, "", from("192.0.2.2"))
		o.no(err)
		o.no(o.s.DeleteToken(t.Context(), o.who(again), token.ID))
	})
}

func TestPasswords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		other, err := o.s.SignIn(t.Context(), "anna", good, "", from("192.0.2.7"))
		o.no(err)
		set := func(old, next string) error {
			return o.s.SetPassword(t.Context(), o.key, old, next, false, from("192.0.2.1"))
		}
		o.fails(set("wrong wrong wrong", good+"2"), accounts.ErrWrong)
		for _, poor := range []string{"", "elevenchars", "password1234", "aaaaaaaaaaaaaaaa", "anna12345678", "Changeme2026!", strings.Repeat("long ", 60)} {
			o.fails(set(good, poor), accounts.ErrBad)
		}
		o.no(set(good, "grün ist die Heide"))
		o.who(o.key)
		_, _, err = o.s.BySession(t.Context(), other)
		o.fails(err, accounts.ErrNotFound)
		_, err = o.s.SignIn(t.Context(), "anna", "grün ist die Heide", "", from("192.0.2.1"))
		o.no(err)
	})
}

func TestOwnSessionsAreOnesOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		_, ben := o.hire("ben", access.Operator, everything())
		_, mine, err := o.s.BySession(t.Context(), o.key)
		o.no(err)
		o.fails(o.s.EndSession(t.Context(), o.who(ben), mine.Hash), accounts.ErrNotFound)
		list, err := o.s.Sessions(t.Context(), o.who(ben))
		o.no(err)
		if len(list) != 1 || list[0].Agent != "browser" {
			t.Errorf("sessions %+v", list)
		}
		o.no(o.s.EndSession(t.Context(), o.who(o.key), mine.Hash))
		_, _, err = o.s.BySession(t.Context(), o.key)
		o.fails(err, accounts.ErrNotFound)
	})
}
