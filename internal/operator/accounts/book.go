package accounts

import (
	"context"
	"time"
)

// Book keeps accounts and what speaks for them. Safe for concurrent use; every change is durable when it returns. Lists
// are small, some thousands at most, in no particular order.
type Book interface {
	Accounts(ctx context.Context) ([]Account, error)
	// PutAccount stores a where none (Version 1) or its version before is stored, else ErrVersion; ErrTaken when another
	// account has the name.
	PutAccount(ctx context.Context, a Account) error
	// DeleteAccount deletes it with its sessions, tokens, passkeys and invitation.
	DeleteAccount(ctx context.Context, id string) error

	// Session returns the one of a hash, ErrNotFound if there is none.
	Session(ctx context.Context, hash string) (Session, error)
	Sessions(ctx context.Context, account string) ([]Session, error)
	AddSession(ctx context.Context, s Session) error
	// ReplaceSession stores s in place of the one of a hash, ErrNotFound if that is gone.
	ReplaceSession(ctx context.Context, hash string, s Session) error
	// DeleteSessions deletes those of a filter, of which exactly one field besides Except is set.
	DeleteSessions(ctx context.Context, f SessionFilter) error

	// Tokens lists an account's, "" everybody's.
	Tokens(ctx context.Context, account string) ([]Token, error)
	TokenByHash(ctx context.Context, hash string) (Token, error) // ErrNotFound if there is none
	AddToken(ctx context.Context, t Token) error
	// ReplaceToken stores t in place of the one of its ID, ErrNotFound if that is gone.
	ReplaceToken(ctx context.Context, t Token) error
	DeleteToken(ctx context.Context, id string) error
	// DeleteTokens deletes all of an account.
	DeleteTokens(ctx context.Context, account string) error

	Passkeys(ctx context.Context, account string) ([]Passkey, error)
	PutPasskey(ctx context.Context, p Passkey) error // in place of the one of its ID
	DeletePasskey(ctx context.Context, id string) error

	PutInvitation(ctx context.Context, i Invitation) error // in place of another one for the same account
	Invitation(ctx context.Context, hash string) (Invitation, error)
	// UseInvitation stores a as PutAccount does and deletes the invitation with the account's sessions, tokens and passkeys,
	// all or nothing; ErrNotFound if it is gone.
	UseInvitation(ctx context.Context, hash string, a Account) error
}

// SessionFilter chooses sessions: one, all of an account but one, or those that ended.
type SessionFilter struct {
	Hash        string
	Account     string
	Except      string // hash; with Account
	EndedBefore time.Time
}
