package accounts

import (
	"context"
	"errors"
	"strings"
	"time"

	"postern/internal/platform/records"
)

// Book keeps accounts and what speaks for them. Safe for concurrent use; every change is durable when it returns. Lists
// are small, some thousands at most, in no particular order.
type Book struct{ store records.Store }

// NewBook returns the Book of a store.
func NewBook(store records.Store) *Book { return &Book{store} }

// What is kept, by what it is found. The version of an account's record is the account's.
var (
	accountShelf = records.Shelf[Account]{Kind: "account", Key: func(a *Account) string { return a.ID },
		Index: func(a *Account) string { return strings.ToLower(a.Name) }}
	sessionShelf = records.Shelf[Session]{Kind: "session", Key: func(s *Session) string { return s.Hash },
		Index: func(s *Session) string { return s.Account }, At: func(s *Session) time.Time { return s.EndsAt }}
	tokenShelf = records.Shelf[Token]{Kind: "token", Key: func(t *Token) string { return t.Hash },
		Index: func(t *Token) string { return t.Account }}
	passkeyShelf = records.Shelf[Passkey]{Kind: "passkey", Key: func(p *Passkey) string { return p.ID },
		Index: func(p *Passkey) string { return p.Account }}
	// An account has one invitation at most; that of the first administrator is under "".
	invitationShelf = records.Shelf[Invitation]{Kind: "invitation",
		Key: func(i *Invitation) string { return i.Account }, Index: func(i *Invitation) string { return i.Hash }}
)

// read returns what do reads.
func read[T any](ctx context.Context, b *Book, do func(r records.Reader) (T, error)) (T, error) {
	out, err := records.Read(ctx, b.store, do)
	return out, meaning(err)
}

// change runs do as one transaction.
func (b *Book) change(ctx context.Context, do func(t records.Tx) error) error {
	return meaning(b.store.ChangeRecords(ctx, do))
}

// meaning is what an error of the store means here.
func meaning(err error) error {
	switch {
	case errors.Is(err, records.ErrNotFound):
		return ErrNotFound
	case errors.Is(err, records.ErrChanged):
		return ErrVersion
	}
	return err
}

// ofAccount lists what an account has; nothing is nobody's.
func ofAccount[T any](ctx context.Context, b *Book, shelf records.Shelf[T], account string) ([]T, error) {
	if account == "" {
		return nil, nil
	}
	return read(ctx, b, func(r records.Reader) ([]T, error) { return shelf.List(r, records.Query{Index: account}) })
}

// Accounts lists all.
func (b *Book) Accounts(ctx context.Context) ([]Account, error) {
	return read(ctx, b, func(r records.Reader) ([]Account, error) { return accountShelf.List(r, records.Query{}) })
}

// PutAccount stores a where none (Version 1) or its version before is stored, else ErrVersion; ErrTaken when another
// account has the name.
func (b *Book) PutAccount(ctx context.Context, a Account) error {
	return b.change(ctx, func(t records.Tx) error { return putAccount(t, &a) })
}

func putAccount(t records.Tx, a *Account) error {
	named, err := accountShelf.List(t, records.Query{Index: strings.ToLower(a.Name)})
	if err != nil {
		return err
	}
	for i := range named {
		if named[i].ID != a.ID {
			return ErrTaken
		}
	}
	if a.Version < 1 {
		return ErrVersion
	}
	return accountShelf.Put(t, a, a.Version-1)
}

// DeleteAccount deletes it with its sessions, tokens, passkeys and invitation.
func (b *Book) DeleteAccount(ctx context.Context, id string) error {
	return b.change(ctx, func(t records.Tx) error {
		if err := silence(t, id); err != nil {
			return err
		}
		if _, err := t.Delete(invitationShelf.Kind, id); err != nil {
			return err
		}
		_, err := t.Delete(accountShelf.Kind, id)
		return err
	})
}

// silence deletes what speaks for an account.
func silence(t records.Tx, id string) error {
	for _, kind := range []string{sessionShelf.Kind, tokenShelf.Kind, passkeyShelf.Kind} {
		if err := t.DeleteAll(records.Query{Kind: kind, Index: id}); err != nil {
			return err
		}
	}
	return nil
}

// Session returns the one of a hash, ErrNotFound if there is none.
func (b *Book) Session(ctx context.Context, hash string) (Session, error) {
	return read(ctx, b, func(r records.Reader) (Session, error) { return sessionShelf.Get(r, hash) })
}

// Sessions lists those of an account.
func (b *Book) Sessions(ctx context.Context, account string) ([]Session, error) {
	return ofAccount(ctx, b, sessionShelf, account)
}

// AddSession stores a session.
func (b *Book) AddSession(ctx context.Context, s Session) error {
	return b.change(ctx, func(t records.Tx) error { return sessionShelf.Put(t, &s, 0) })
}

// ReplaceSession stores s in place of the one of a hash, ErrNotFound if that is gone.
func (b *Book) ReplaceSession(ctx context.Context, hash string, s Session) error {
	return b.change(ctx, func(t records.Tx) error {
		if was, err := t.Delete(sessionShelf.Kind, hash); err != nil || !was {
			return orNone(err)
		}
		return sessionShelf.Put(t, &s, 0)
	})
}

// orNone is err, or that there is none.
func orNone(err error) error {
	if err == nil {
		return ErrNotFound
	}
	return err
}

// SessionFilter chooses sessions: one, all of an account but one, or those that ended.
type SessionFilter struct {
	Hash        string
	Account     string
	Except      string // hash; with Account
	EndedBefore time.Time
}

// DeleteSessions deletes those of a filter, of which exactly one field besides Except is set.
func (b *Book) DeleteSessions(ctx context.Context, f SessionFilter) error {
	return b.change(ctx, func(t records.Tx) error {
		switch {
		case f.Hash != "":
			_, err := t.Delete(sessionShelf.Kind, f.Hash)
			return err
		case f.Account != "":
			return deleteExcept(t, records.Query{Kind: sessionShelf.Kind, Index: f.Account}, f.Except)
		}
		return t.DeleteAll(records.Query{Kind: sessionShelf.Kind, Before: f.EndedBefore})
	})
}

// deleteExcept deletes what q chooses but for one key.
func deleteExcept(t records.Tx, q records.Query, except string) error {
	list, err := t.List(q)
	for i := 0; i < len(list) && err == nil; i++ {
		if list[i].Key != except {
			_, err = t.Delete(q.Kind, list[i].Key)
		}
	}
	return err
}

// Tokens lists an account's, "" everybody's.
func (b *Book) Tokens(ctx context.Context, account string) ([]Token, error) {
	return read(ctx, b, func(r records.Reader) ([]Token, error) {
		return tokenShelf.List(r, records.Query{Index: account})
	})
}

// TokenByHash returns the one of a hash, ErrNotFound if there is none.
func (b *Book) TokenByHash(ctx context.Context, hash string) (Token, error) {
	return read(ctx, b, func(r records.Reader) (Token, error) { return tokenShelf.Get(r, hash) })
}

// AddToken stores a token.
func (b *Book) AddToken(ctx context.Context, one Token) error {
	return b.change(ctx, func(t records.Tx) error { return tokenShelf.Put(t, &one, 0) })
}

// ReplaceToken stores a token as it is now, ErrNotFound if it is gone. Its hash never changes.
func (b *Book) ReplaceToken(ctx context.Context, one Token) error {
	return b.change(ctx, func(t records.Tx) error {
		if _, err := t.Get(tokenShelf.Kind, one.Hash); err != nil {
			return err
		}
		return tokenShelf.Put(t, &one, records.Any)
	})
}

// DeleteToken deletes the one of an ID.
func (b *Book) DeleteToken(ctx context.Context, id string) error {
	return b.change(ctx, func(t records.Tx) error {
		list, err := tokenShelf.List(t, records.Query{})
		for i := 0; i < len(list) && err == nil; i++ {
			if list[i].ID == id {
				_, err = t.Delete(tokenShelf.Kind, list[i].Hash)
			}
		}
		return err
	})
}

// DeleteTokens deletes all of an account.
func (b *Book) DeleteTokens(ctx context.Context, account string) error {
	return b.change(ctx, func(t records.Tx) error {
		return t.DeleteAll(records.Query{Kind: tokenShelf.Kind, Index: account})
	})
}

// Passkeys lists those of an account.
func (b *Book) Passkeys(ctx context.Context, account string) ([]Passkey, error) {
	return ofAccount(ctx, b, passkeyShelf, account)
}

// PutPasskey stores a passkey, in place of the one of its ID.
func (b *Book) PutPasskey(ctx context.Context, p Passkey) error {
	return b.change(ctx, func(t records.Tx) error { return passkeyShelf.Put(t, &p, records.Any) })
}

// DeletePasskey deletes the one of an ID.
func (b *Book) DeletePasskey(ctx context.Context, id string) error {
	return b.change(ctx, func(t records.Tx) error {
		_, err := t.Delete(passkeyShelf.Kind, id)
		return err
	})
}

// PutInvitation stores an invitation, in place of another one for the same account.
func (b *Book) PutInvitation(ctx context.Context, i Invitation) error {
	return b.change(ctx, func(t records.Tx) error { return invitationShelf.Put(t, &i, records.Any) })
}

// Invitation returns the one of a hash, ErrNotFound if there is none.
func (b *Book) Invitation(ctx context.Context, hash string) (Invitation, error) {
	return read(ctx, b, func(r records.Reader) (Invitation, error) { return invitation(r, hash) })
}

func invitation(r records.Reader, hash string) (Invitation, error) {
	list, err := invitationShelf.List(r, records.Query{Index: hash})
	if err != nil || len(list) == 0 || list[0].Hash != hash {
		return Invitation{}, orNone(err)
	}
	return list[0], nil
}

// UseInvitation stores a as PutAccount does and deletes the invitation with the account's sessions, tokens and
// passkeys, all or nothing; ErrNotFound if it is gone.
func (b *Book) UseInvitation(ctx context.Context, hash string, a Account) error {
	return b.change(ctx, func(t records.Tx) error {
		i, err := invitation(t, hash)
		if err != nil {
			return err
		}
		if err := putAccount(t, &a); err != nil {
			return err
		}
		if _, err := t.Delete(invitationShelf.Kind, i.Account); err != nil {
			return err
		}
		return silence(t, a.ID)
	})
}
