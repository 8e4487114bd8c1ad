package accounts_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"postern/internal/lab/testkit/stores"
	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/operator/accounts"
	"postern/internal/platform/records"
)

// The laws of the book, on each store. again opens the same data anew.
func TestBook(t *testing.T) {
	for name, test := range map[string]func(k *bookTest, b *accounts.Book, again func() *accounts.Book){
		"versions": accountVersions, "names": accountNames, "deletion": accountDeletion, "sessions": sessionsOfAccounts,
		"tokens": tokensOfAccounts, "invitations": invitationsOnce, "passkeys": passkeysOfAccounts,
	} {
		t.Run(name, func(t *testing.T) {
			stores.Each(t, func(t *testing.T, s records.Store, again func() records.Store) {
				k := &bookTest{T: t, now: time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)}
				test(k, accounts.NewBook(s), func() *accounts.Book { return accounts.NewBook(again()) })
			})
		})
	}
}

// bookTest is a test of a book, at a time.
type bookTest struct {
	*testing.T
	now time.Time
}

func (k *bookTest) no(err error) {
	k.Helper()
	if err != nil {
		k.Fatal(err)
	}
}

// same fails the test when got is not want.
func (k *bookTest) same(what string, got, want any) {
	k.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.EquateComparable(mail.Domain{})); diff != "" {
		k.Errorf("%s differs (-want +got):\n%s", what, diff)
	}
}

func (k *bookTest) account(id, name string) accounts.Account {
	return accounts.Account{ID: id, Name: name, Role: access.Operator, Scope: access.Scope{All: true}, Password: "hash",
		CreatedAt: k.now, Version: 1}
}

func (k *bookTest) fails(err, want error) {
	k.Helper()
	if !errors.Is(err, want) {
		k.Errorf("error %v, want %v", err, want)
	}
}

func (k *bookTest) accounts(b *accounts.Book) []accounts.Account {
	k.Helper()
	list, err := b.Accounts(k.Context())
	k.no(err)
	return list
}

func accountVersions(k *bookTest, b *accounts.Book, again func() *accounts.Book) {
	a := k.account("1", "Anna")
	k.no(b.PutAccount(k.Context(), a))
	k.fails(b.PutAccount(k.Context(), a), accounts.ErrVersion)
	next := a
	next.Version, next.Role = 2, access.Auditor
	k.no(b.PutAccount(k.Context(), next))
	k.fails(b.PutAccount(k.Context(), next), accounts.ErrVersion)
	skipped := k.account("2", "Ben")
	skipped.Version = 2
	k.fails(b.PutAccount(k.Context(), skipped), accounts.ErrVersion)
	k.same("accounts", k.accounts(again()), []accounts.Account{next})
}

func accountNames(k *bookTest, b *accounts.Book, _ func() *accounts.Book) {
	k.no(b.PutAccount(k.Context(), k.account("1", "Anna")))
	k.fails(b.PutAccount(k.Context(), k.account("2", "anna")), accounts.ErrTaken)
	k.no(b.PutAccount(k.Context(), k.account("2", "Ben")))
	renamed := k.account("2", "ANNA")
	renamed.Version = 2
	k.fails(b.PutAccount(k.Context(), renamed), accounts.ErrTaken)
	self := k.account("1", "ANNA")
	self.Version = 2
	k.no(b.PutAccount(k.Context(), self))
}

func accountDeletion(k *bookTest, b *accounts.Book, again func() *accounts.Book) {
	for _, id := range []string{"1", "2"} {
		k.no(b.PutAccount(k.Context(), k.account(id, "name"+id)))
		k.no(b.AddSession(k.Context(), accounts.Session{Hash: "s" + id, Account: id, EndsAt: k.now}))
		k.no(b.AddToken(k.Context(), accounts.Token{ID: "t" + id, Hash: "h" + id, Account: id}))
		k.no(b.PutInvitation(k.Context(), accounts.Invitation{Hash: "i" + id, Account: id}))
	}
	k.no(b.DeleteAccount(k.Context(), "1"))
	b = again()
	_, err := b.Session(k.Context(), "s1")
	k.fails(err, accounts.ErrNotFound)
	_, err = b.TokenByHash(k.Context(), "h1")
	k.fails(err, accounts.ErrNotFound)
	_, err = b.Invitation(k.Context(), "i1")
	k.fails(err, accounts.ErrNotFound)
	k.same("the others", k.accounts(b), []accounts.Account{k.account("2", "name2")})
	for _, err := range []error{sessionOf(k, b, "s2"), tokenOf(k, b, "h2"), invitationOf(k, b, "i2")} {
		k.no(err)
	}
}

func passkeysOfAccounts(k *bookTest, b *accounts.Book, again func() *accounts.Book) {
	list := func(account string) (ids []string) {
		k.Helper()
		all, err := b.Passkeys(k.Context(), account)
		k.no(err)
		for _, p := range all {
			ids = append(ids, p.ID+"="+p.Name)
		}
		slices.Sort(ids)
		return ids
	}
	k.no(b.PutAccount(k.Context(), k.account("1", "anna")))
	for _, p := range []accounts.Passkey{{ID: "a", Account: "1", Name: "phone"}, {ID: "b", Account: "1", Name: "key"},
		{ID: "c", Account: "2", Name: "other"},
		{ID: "a", Account: "1", Name: "new phone", CreatedAt: k.now}} {
		p.Credential = []byte(`{"id":"x"}`)
		k.no(b.PutPasskey(k.Context(), p))
	}
	b = again()
	k.same("of one", list("1"), []string{"a=new phone", "b=key"})
	k.no(b.DeletePasskey(k.Context(), "b"))
	k.same("without the deleted", list("1"), []string{"a=new phone"})
	k.no(b.DeleteAccount(k.Context(), "1"))
	k.same("without the account", list("1"), []string(nil))
	k.same("the others", list("2"), []string{"c=other"})
}

func sessionOf(k *bookTest, b *accounts.Book, hash string) error {
	_, err := b.Session(k.Context(), hash)
	return err
}

func tokenOf(k *bookTest, b *accounts.Book, hash string) error {
	_, err := b.TokenByHash(k.Context(), hash)
	return err
}

func invitationOf(k *bookTest, b *accounts.Book, hash string) error {
	_, err := b.Invitation(k.Context(), hash)
	return err
}

func sessionsOfAccounts(k *bookTest, b *accounts.Book, again func() *accounts.Book) {
	one := accounts.Session{Hash: "a", Account: "1", CreatedAt: k.now, LastSeen: k.now, EndsAt: k.now.Add(time.Hour),
		ProvenAt: k.now,
		Client:   "192.0.2.1", Agent: "browser"}
	k.no(b.AddSession(k.Context(), one))
	one.LastSeen = k.now.Add(time.Minute)
	k.no(b.ReplaceSession(k.Context(), "a", one))
	k.fails(b.ReplaceSession(k.Context(), "gone", accounts.Session{Hash: "z", Account: "1", EndsAt: k.now}),
		accounts.ErrNotFound)
	got, err := again().Session(k.Context(), "a")
	k.no(err)
	k.same("session", got, one)
	b = again()
	for hash, account := range map[string]string{"b": "1", "c": "1", "d": "2"} {
		k.no(b.AddSession(k.Context(), accounts.Session{Hash: hash, Account: account, EndsAt: k.now.Add(-time.Hour)}))
	}
	left := func(want ...string) {
		k.Helper()
		var all []string
		for _, account := range []string{"1", "2"} {
			list, err := b.Sessions(k.Context(), account)
			k.no(err)
			for _, s := range list {
				all = append(all, s.Hash)
			}
		}
		slices.Sort(all)
		k.same("sessions left", all, want)
	}
	k.no(b.DeleteSessions(k.Context(), accounts.SessionFilter{Hash: "c"}))
	left("a", "b", "d")
	k.no(b.DeleteSessions(k.Context(), accounts.SessionFilter{Account: "1", Except: "b"}))
	left("b", "d")
	k.no(b.DeleteSessions(k.Context(), accounts.SessionFilter{EndedBefore: k.now}))
	left()
}

func tokensOfAccounts(k *bookTest, b *accounts.Book, again func() *accounts.Book) {
	one := accounts.Token{ID: "1", Hash: "h", Account: "a", Name: "ci", Scopes: []access.Capability{access.ReadTrace},
		CreatedAt: k.now,
		EndsAt:    k.now.Add(time.Hour)}
	k.no(b.AddToken(k.Context(), one))
	one.LastUsed = k.now
	k.no(b.ReplaceToken(k.Context(), one))
	k.fails(b.ReplaceToken(k.Context(), accounts.Token{ID: "9", Hash: "x", Account: "a"}), accounts.ErrNotFound)
	k.no(b.AddToken(k.Context(), accounts.Token{ID: "2", Hash: "g", Account: "b"}))
	b = again()
	got, err := b.TokenByHash(k.Context(), "h")
	k.no(err)
	k.same("token", got, one)
	for account, want := range map[string]int{"a": 1, "b": 1, "": 2, "c": 0} {
		list, err := b.Tokens(k.Context(), account)
		k.no(err)
		k.same("tokens of "+account, len(list), want)
	}
	k.no(b.DeleteToken(k.Context(), "1"))
	k.fails(tokenOf(k, b, "h"), accounts.ErrNotFound)
}

func invitationsOnce(k *bookTest, b *accounts.Book, again func() *accounts.Book) {
	k.no(b.PutInvitation(k.Context(), accounts.Invitation{Hash: "old", EndsAt: k.now}))
	k.no(b.PutInvitation(k.Context(), accounts.Invitation{Hash: "new", EndsAt: k.now}))
	b = again()
	k.fails(invitationOf(k, b, "old"), accounts.ErrNotFound)
	k.no(b.PutAccount(k.Context(), k.account("9", "Ben")))
	// What cannot be stored leaves the invitation as it is.
	k.fails(b.UseInvitation(k.Context(), "new", k.account("1", "ben")), accounts.ErrTaken)
	speaks := func(account string) {
		k.no(b.AddSession(k.Context(), accounts.Session{Hash: "s" + account, Account: account, EndsAt: k.now}))
		k.no(b.AddToken(k.Context(), accounts.Token{ID: "t" + account, Hash: "h" + account, Account: account}))
		k.no(b.PutPasskey(k.Context(), accounts.Passkey{ID: "p" + account, Account: account}))
	}
	spoken := func(account string) int {
		sessions, err := b.Sessions(k.Context(), account)
		k.no(err)
		tokens, err := b.Tokens(k.Context(), account)
		k.no(err)
		passkeys, err := b.Passkeys(k.Context(), account)
		k.no(err)
		return len(sessions) + len(tokens) + len(passkeys)
	}
	speaks("1")
	speaks("9")
	k.fails(b.UseInvitation(k.Context(), "new", k.account("1", "ben")), accounts.ErrTaken)
	k.same("what speaks for it where nothing was stored", spoken("1"), 3)
	k.no(b.UseInvitation(k.Context(), "new", k.account("1", "Anna")))
	k.same("what speaks for it now", spoken("1"), 0)
	k.same("what speaks for the other", spoken("9"), 3)
	k.no(b.DeleteTokens(k.Context(), "9"))
	k.same("what speaks for the other without its tokens", spoken("9"), 2)
	k.fails(b.UseInvitation(k.Context(), "new", k.account("2", "Carl")), accounts.ErrNotFound)
	b = again()
	k.same("accounts", len(k.accounts(b)), 2)
}
