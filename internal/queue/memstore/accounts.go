package memstore

import (
	"context"
	"maps"
	"slices"
	"strings"

	"postern/internal/history/certstore"
	"postern/internal/history/traffic"
	"postern/internal/operator/accounts"
)

// access is who may use the console and the API, and the sums and certificates they look at.
type access struct {
	accounts    map[string]accounts.Account
	sessions    map[string]accounts.Session
	tokens      map[string]accounts.Token
	invitations map[string]accounts.Invitation
	passkeys    map[string]accounts.Passkey
	// certificates are what servers showed, by digest.
	certificates map[string]certstore.Certificate
	traffic      map[traffic.Sum]int64 // keyed by sums without a count
}

func newAccess() access {
	return access{map[string]accounts.Account{}, map[string]accounts.Session{}, map[string]accounts.Token{}, map[string]accounts.Invitation{}, map[string]accounts.Passkey{}, map[string]certstore.Certificate{}, map[traffic.Sum]int64{}}
}

// with runs do under the store's lock.
func (s *Store) with(ctx context.Context, do func(a *access) error) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	return do(&s.access)
}

// chosen lists the values of m that ok takes.
func chosen[T any](ctx context.Context, s *Store, m func(a *access) map[string]T, ok func(T) bool) (out []T, err error) {
	err = s.with(ctx, func(a *access) error {
		for _, v := range m(a) {
			if ok(v) {
				out = append(out, v)
			}
		}
		return nil
	})
	return out, err
}

// single is chosen for at most one.
func single[T any](ctx context.Context, s *Store, m func(a *access) map[string]T, ok func(T) bool) (one T, err error) {
	all, err := chosen(ctx, s, m, ok)
	if err == nil && len(all) == 0 {
		err = accounts.ErrNotFound
	}
	if err != nil {
		return one, err
	}
	return all[0], nil
}

func accountsOf(a *access) map[string]accounts.Account       { return a.accounts }
func sessionsOf(a *access) map[string]accounts.Session       { return a.sessions }
func tokensOf(a *access) map[string]accounts.Token           { return a.tokens }
func invitationsOf(a *access) map[string]accounts.Invitation { return a.invitations }

// Accounts lists all.
func (s *Store) Accounts(ctx context.Context) ([]accounts.Account, error) {
	return chosen(ctx, s, accountsOf, func(accounts.Account) bool { return true })
}

// PutAccount stores the next version of an account.
func (s *Store) PutAccount(ctx context.Context, one accounts.Account) error {
	return s.with(ctx, func(a *access) error { return a.put(one) })
}

func (a *access) put(one accounts.Account) error {
	for _, other := range a.accounts {
		if other.ID != one.ID && strings.EqualFold(other.Name, one.Name) {
			return accounts.ErrTaken
		}
	}
	if a.accounts[one.ID].Version != one.Version-1 {
		return accounts.ErrVersion
	}
	one.Scope.Domains = slices.Clone(one.Scope.Domains)
	a.accounts[one.ID] = one
	return nil
}

// DeleteAccount deletes an account and what speaks for it.
func (s *Store) DeleteAccount(ctx context.Context, id string) error {
	return s.with(ctx, func(a *access) error {
		delete(a.accounts, id)
		a.silence(id)
		maps.DeleteFunc(a.invitations, func(_ string, v accounts.Invitation) bool { return v.Account == id })
		return nil
	})
}

// silence deletes what speaks for an account.
func (a *access) silence(id string) {
	maps.DeleteFunc(a.sessions, func(_ string, v accounts.Session) bool { return v.Account == id })
	maps.DeleteFunc(a.tokens, func(_ string, v accounts.Token) bool { return v.Account == id })
	maps.DeleteFunc(a.passkeys, func(_ string, v accounts.Passkey) bool { return v.Account == id })
}

// Session returns a session.
func (s *Store) Session(ctx context.Context, hash string) (accounts.Session, error) {
	return single(ctx, s, sessionsOf, func(v accounts.Session) bool { return v.Hash == hash })
}

// Sessions lists those of an account.
func (s *Store) Sessions(ctx context.Context, account string) ([]accounts.Session, error) {
	return chosen(ctx, s, sessionsOf, func(v accounts.Session) bool { return v.Account == account })
}

// AddSession stores a session.
func (s *Store) AddSession(ctx context.Context, one accounts.Session) error {
	return s.with(ctx, func(a *access) error {
		a.sessions[one.Hash] = one
		return nil
	})
}

// ReplaceSession stores a session in place of another.
func (s *Store) ReplaceSession(ctx context.Context, hash string, one accounts.Session) error {
	return s.with(ctx, func(a *access) error {
		if _, ok := a.sessions[hash]; !ok {
			return accounts.ErrNotFound
		}
		delete(a.sessions, hash)
		a.sessions[one.Hash] = one
		return nil
	})
}

// DeleteSessions deletes what f chooses.
func (s *Store) DeleteSessions(ctx context.Context, f accounts.SessionFilter) error {
	return s.with(ctx, func(a *access) error {
		maps.DeleteFunc(a.sessions, func(_ string, v accounts.Session) bool {
			switch {
			case f.Hash != "":
				return v.Hash == f.Hash
			case f.Account != "":
				return v.Account == f.Account && v.Hash != f.Except
			}
			return v.EndsAt.Before(f.EndedBefore)
		})
		return nil
	})
}

// Tokens lists those of an account, or all.
func (s *Store) Tokens(ctx context.Context, account string) ([]accounts.Token, error) {
	return chosen(ctx, s, tokensOf, func(v accounts.Token) bool { return account == "" || v.Account == account })
}

// TokenByHash returns a token.
func (s *Store) TokenByHash(ctx context.Context, hash string) (accounts.Token, error) {
	return single(ctx, s, tokensOf, func(v accounts.Token) bool { return v.Hash == hash })
}

// AddToken stores a token.
func (s *Store) AddToken(ctx context.Context, one accounts.Token) error {
	return s.with(ctx, func(a *access) error {
		one.Scopes = slices.Clone(one.Scopes)
		a.tokens[one.ID] = one
		return nil
	})
}

// ReplaceToken stores a token as it is now.
func (s *Store) ReplaceToken(ctx context.Context, one accounts.Token) error {
	return s.with(ctx, func(a *access) error {
		if _, ok := a.tokens[one.ID]; !ok {
			return accounts.ErrNotFound
		}
		one.Scopes = slices.Clone(one.Scopes)
		a.tokens[one.ID] = one
		return nil
	})
}

// DeleteToken deletes a token.
func (s *Store) DeleteToken(ctx context.Context, id string) error {
	return s.with(ctx, func(a *access) error {
		delete(a.tokens, id)
		return nil
	})
}

// DeleteTokens deletes all of an account.
func (s *Store) DeleteTokens(ctx context.Context, account string) error {
	return s.with(ctx, func(a *access) error {
		maps.DeleteFunc(a.tokens, func(_ string, v accounts.Token) bool { return v.Account == account })
		return nil
	})
}

// Passkeys lists those of an account.
func (s *Store) Passkeys(ctx context.Context, account string) (out []accounts.Passkey, err error) {
	err = s.with(ctx, func(a *access) error {
		for _, one := range a.passkeys {
			if one.Account == account {
				out = append(out, one)
			}
		}
		return nil
	})
	return out, err
}

// PutPasskey stores a passkey.
func (s *Store) PutPasskey(ctx context.Context, one accounts.Passkey) error {
	return s.with(ctx, func(a *access) error {
		a.passkeys[one.ID] = one
		return nil
	})
}

// DeletePasskey deletes a passkey.
func (s *Store) DeletePasskey(ctx context.Context, id string) error {
	return s.with(ctx, func(a *access) error {
		delete(a.passkeys, id)
		return nil
	})
}

// PutInvitation stores an invitation.
func (s *Store) PutInvitation(ctx context.Context, one accounts.Invitation) error {
	return s.with(ctx, func(a *access) error {
		maps.DeleteFunc(a.invitations, func(_ string, v accounts.Invitation) bool { return v.Account == one.Account })
		a.invitations[one.Hash] = one
		return nil
	})
}

// Invitation returns an invitation.
func (s *Store) Invitation(ctx context.Context, hash string) (accounts.Invitation, error) {
	return single(ctx, s, invitationsOf, func(v accounts.Invitation) bool { return v.Hash == hash })
}

// UseInvitation stores what an invitation was for, and deletes it with what spoke for the account.
func (s *Store) UseInvitation(ctx context.Context, hash string, one accounts.Account) error {
	return s.with(ctx, func(a *access) error {
		if _, ok := a.invitations[hash]; !ok {
			return accounts.ErrNotFound
		}
		if err := a.put(one); err != nil {
			return err
		}
		delete(a.invitations, hash)
		a.silence(one.ID)
		return nil
	})
}
