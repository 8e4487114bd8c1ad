package accounts_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/operator/access"
	"postern/internal/operator/accounts"
	"postern/internal/queue/memstore"
)

// Where nobody says what a password costs, it is the gateway's cost; the other tests here say another one.
func TestPasswordsCostWhatTheGatewayAsks(t *testing.T) {
	book := memstore.New()
	o := &office{T: t, book: book, s: accounts.New(accounts.Config{Book: accounts.NewBook(book), Ledger: book})}
	link, err := o.s.First(t.Context(), access.Root("root"))
	o.no(err)
	_, err = o.s.Accept(t.Context(), link, "anna", good, from("192.0.2.1"))
	o.no(err)
	list, err := accounts.NewBook(book).Accounts(t.Context())
	o.no(err)
	if len(list) != 1 || !strings.HasPrefix(list[0].Password, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("kept as %+v", list)
	}
	begun := time.Now()
	_, err = o.s.SignIn(t.Context(), "anna", wrong, "", from("192.0.2.1"))
	o.fails(err, accounts.ErrWrong)
	known := time.Since(begun)
	begun = time.Now()
	_, err = o.s.SignIn(t.Context(), "nobody", wrong, "", from("192.0.2.1"))
	o.fails(err, accounts.ErrWrong)
	if unknown := time.Since(begun); unknown < known/20 {
		t.Errorf("a name that is none takes %v, one that is %v", unknown, known)
	}
}

// token makes a token of whoever holds a session, and returns how to ask whether it still speaks.
func (o *office) token(session, name string) func() bool {
	o.Helper()
	_, key, err := o.s.CreateToken(o.Context(), o.who(session), name, []access.Capability{access.ReadTrace}, time.Now().Add(time.Hour))
	o.no(err)
	return func() bool {
		o.Helper()
		_, err := o.s.ByToken(o.Context(), key, from("192.0.2.1"))
		if err != nil && !errors.Is(err, accounts.ErrNotFound) {
			o.Fatal(err)
		}
		return err == nil
	}
}

func (o *office) newest() (text string) {
	o.Helper()
	list, err := o.book.Entries(o.Context(), 0, 10)
	o.no(err)
	for _, e := range list {
		text += e.By + ": " + e.Action + " " + e.Target + "; " + e.Before + "; " + e.After + "\n"
	}
	return text
}

// A password that is set by a link ends everything that spoke for the account, and nothing that speaks for others.
func TestALinkEndsWhatSpokeForTheAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		olga, session := o.hire("olga", access.Operator, everything())
		hers, annas := o.token(session, "ci"), o.token(o.key, "backup")
		o.no(accounts.NewBook(o.book).PutPasskey(t.Context(), accounts.Passkey{ID: "k", Account: olga.ID, Name: "phone", CreatedAt: time.Now()}))
		link, err := o.s.InviteAgain(t.Context(), o.who(o.key), olga.ID)
		o.no(err)
		_, err = o.s.Accept(t.Context(), link, "", "short", from("192.0.2.9"))
		o.fails(err, accounts.ErrBad)
		if !hers() {
			t.Error("a link that was not used ended a token")
		}
		fresh, err := o.s.Accept(t.Context(), link, "", good+"!", from("192.0.2.9"))
		o.no(err)
		keys, err := o.s.Passkeys(t.Context(), o.who(fresh))
		o.no(err)
		_, _, before := o.s.BySession(t.Context(), session)
		if hers() || len(keys) > 0 || !errors.Is(before, accounts.ErrNotFound) {
			t.Errorf("afterwards: token %v, passkeys %v, session %v", hers(), keys, before)
		}
		if !annas() {
			t.Error("somebody else's token has ended")
		}
		if text := o.newest(); !strings.Contains(text, "accounts accept olga; token ci, passkey phone;") {
			t.Errorf("the audit trail:\n%s", text)
		}
		if again := o.token(fresh, "ci"); !again() {
			t.Error("a token made afterwards does not speak")
		}
	})
}

// Whoever changes the own password chooses whether the own tokens end.
func TestANewPasswordEndsTokensWhereThatIsWanted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		_, session := o.hire("olga", access.Operator, everything())
		hers, annas := o.token(session, "ci"), o.token(o.key, "backup")
		o.no(o.s.SetPassword(t.Context(), o.key, good, good+"!", false, from("192.0.2.1")))
		if !annas() {
			t.Error("a token ended that was to stay")
		}
		o.fails(o.s.SetPassword(t.Context(), o.key, wrong, good+"?", true, from("192.0.2.1")), accounts.ErrWrong)
		if !annas() {
			t.Error("a change that was refused ended a token")
		}
		o.no(o.s.SetPassword(t.Context(), o.key, good+"!", good+"?", true, from("192.0.2.1")))
		if annas() || !hers() {
			t.Errorf("afterwards: own token %v, another's %v", annas(), hers())
		}
		if text := o.newest(); !strings.Contains(text, "accounts password anna; token backup;") {
			t.Errorf("the audit trail:\n%s", text)
		}
	})
}

// Whoever administers accounts sees everybody's tokens and ends any of them.
func TestAnAdministratorEndsAnybodysToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		olga, session := o.hire("olga", access.Operator, everything())
		hers := o.token(session, "ci")
		list, err := o.s.Tokens(t.Context(), o.who(o.key), true)
		o.no(err)
		if len(list) != 1 || list[0].Account != olga.ID || !list[0].LastUsed.IsZero() {
			t.Fatalf("the tokens: %+v", list)
		}
		hers()
		list, err = o.s.Tokens(t.Context(), o.who(o.key), true)
		o.no(err)
		if list[0].LastUsed.IsZero() {
			t.Error("its use is not seen")
		}
		_, err = o.s.Tokens(t.Context(), o.who(session), true)
		o.fails(err, accounts.ErrForbidden)
		o.no(o.s.DeleteToken(t.Context(), o.who(o.key), list[0].ID))
		if hers() {
			t.Error("it still speaks")
		}
		if text := o.newest(); !strings.Contains(text, "anna: tokens delete ci; of olga, scopes trace:read;") {
			t.Errorf("the audit trail:\n%s", text)
		}
	})
}
