// Package accounts knows who the people and programs are that use the console and the API: how each proves it, what
// each may do (access), and since when a browser or a token speaks for one.
//
//	Invitation  a one-time link; the first one, on a new data folder, makes the first administrator
//	Account     a person, who proves it by a password, kept as argon2id
//	Session     a browser that proved to be an account; ends idle, ends for good, ends when the account changes
//	Token       a program that speaks for an account with some of its capabilities, until a day
//
// Secrets (of links, sessions, tokens) are 256 random bits, given out once and kept as SHA-256; whoever reads the store
// can use none of them; they are not guessed, so that only passwords and answers of passkeys are throttled (throttle).
// No more of those are examined than may fail, however many come at once, and strangers make nobody wait who is signed
// in, or who signs in from where the account did lately. Every change is an entry of the ledger, on stable storage
// before it counts. Proofs that were refused are gathered, so that a burst is one entry (refusals); Service.Run writes
// them.
package accounts

import (
	"errors"
	"time"

	"postern/internal/operator/access"
)

// Errors callers branch on.
var (
	// ErrNotFound: no such account, token, session or invitation, or it is over.
	ErrNotFound = errors.New("there is no such account, or it is over")
	// ErrTaken: the name is another account's.
	ErrTaken = errors.New("the name is taken")
	// ErrVersion: the account was changed since the caller read it.
	ErrVersion = errors.New("the account was changed by somebody else in the meantime")
)

// Account is one person. The zero value may nothing and can prove nothing.
type Account struct {
	ID       string       `json:"id"`   // random, never used again
	Name     string       `json:"name"` // what is typed at sign-in; unique without regard to case
	Role     access.Role  `json:"role"`
	Scope    access.Scope `json:"scope"`
	Disabled bool         `json:"disabled,omitempty"`
	// Password is the encoded argon2id hash, "" for none.
	Password  string    `json:"password,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	// Version counts changes; a Book refuses to replace another version than the one before.
	Version int64 `json:"version"`
}

// Session is a browser that proved to be an account.
type Session struct {
	Hash      string    `json:"hash"` // SHA-256 of its secret, hexadecimal
	Account   string    `json:"account"`
	Version   int64     `json:"version"` // of the account; when that changes, the session is over
	CreatedAt time.Time `json:"created_at"`
	LastSeen  time.Time `json:"last_seen"`
	EndsAt    time.Time `json:"ends_at"`
	ProvenAt  time.Time `json:"proven_at"` // of the newest proof, for dangerous actions
	Client    string    `json:"client"`    // address
	Agent     string    `json:"agent"`     // browser, bounded
}

// Token is a program's right to speak for an account.
type Token struct {
	ID        string              `json:"id"`
	Hash      string              `json:"hash"`
	Account   string              `json:"account"`
	Name      string              `json:"name"`
	Scopes    []access.Capability `json:"scopes"`
	CreatedAt time.Time           `json:"created_at"`
	EndsAt    time.Time           `json:"ends_at"`
	LastUsed  time.Time           `json:"last_used,omitzero"`
}

// Invitation is a link that lets somebody set a password once: for a new account, or for one that lost it.
type Invitation struct {
	Hash string `json:"hash"`
	// Account is the account it is for; "" makes the first administrator.
	Account   string    `json:"account"`
	CreatedAt time.Time `json:"created_at"`
	EndsAt    time.Time `json:"ends_at"`
	By        string    `json:"by"`
}
