package sqlstore

import (
	"cmp"
	"context"
	"strings"

	"postern/internal/operator/accounts"
)

// collect decodes the first column of every row.
func collect[T any](ctx context.Context, s *Store, text string, args ...any) (out []T, err error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	err = s.read(ctx, func(c *conn) error {
		out = nil
		return c.query(ctx, text, func(r row) error {
			var one T
			if err := decode(r.text(0), &one); err != nil {
				return err
			}
			out = append(out, one)
			return nil
		}, args...)
	})
	return out, err
}

// single is collect for at most one row.
func single[T any](ctx context.Context, s *Store, text string, args ...any) (one T, err error) {
	all, err := collect[T](ctx, s, text, args...)
	if err == nil && len(all) == 0 {
		err = accounts.ErrNotFound
	}
	if err != nil {
		return one, err
	}
	return all[0], nil
}

// change runs statements as one transaction.
func (s *Store) change(ctx context.Context, run func(t *txn) error) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	return s.do(ctx, 0, run)
}

// Accounts lists all.
func (s *Store) Accounts(ctx context.Context) ([]accounts.Account, error) {
	return collect[accounts.Account](ctx, s, "SELECT facts FROM account")
}

// PutAccount stores the next version of an account.
func (s *Store) PutAccount(ctx context.Context, a accounts.Account) error {
	return s.change(ctx, func(t *txn) error { return t.putAccount(&a) })
}

func (t *txn) putAccount(a *accounts.Account) error {
	name := strings.ToLower(a.Name)
	others, err := t.c.number(context.Background(), "SELECT count(*) FROM account WHERE name = ? AND id <> ?", name, a.ID)
	if err != nil {
		return err
	}
	if others > 0 {
		return accounts.ErrTaken
	}
	stored, err := t.c.number(context.Background(), "SELECT coalesce((SELECT version FROM account WHERE id = ?), 0)", a.ID)
	if err != nil {
		return err
	}
	if stored != a.Version-1 {
		return accounts.ErrVersion
	}
	text, err := encode(a)
	if err != nil {
		return err
	}
	return t.exec("INSERT OR REPLACE INTO account (id, name, version, facts) VALUES (?, ?, ?, ?)", a.ID, name, a.Version, text)
}

// DeleteAccount deletes an account and what speaks for it.
func (s *Store) DeleteAccount(ctx context.Context, id string) error {
	return s.change(ctx, func(t *txn) error {
		if err := t.silence(id); err != nil {
			return err
		}
		return cmp.Or(t.exec("DELETE FROM invitation WHERE account = ?", id), t.exec("DELETE FROM account WHERE id = ?", id))
	})
}

// silence deletes what speaks for an account.
func (t *txn) silence(id string) error {
	for _, text := range []string{"DELETE FROM session WHERE account = ?", "DELETE FROM token WHERE account = ?", "DELETE FROM passkey WHERE account = ?"} {
		if err := t.exec(text, id); err != nil {
			return err
		}
	}
	return nil
}

// Session returns a session.
func (s *Store) Session(ctx context.Context, hash string) (accounts.Session, error) {
	return single[accounts.Session](ctx, s, "SELECT facts FROM session WHERE hash = ?", hash)
}

// Sessions lists those of an account.
func (s *Store) Sessions(ctx context.Context, account string) ([]accounts.Session, error) {
	return collect[accounts.Session](ctx, s, "SELECT facts FROM session WHERE account = ?", account)
}

// AddSession stores a session.
func (s *Store) AddSession(ctx context.Context, one accounts.Session) error {
	return s.change(ctx, func(t *txn) error { return t.addSession(&one) })
}

func (t *txn) addSession(one *accounts.Session) error {
	text, err := encode(one)
	if err != nil {
		return err
	}
	return t.exec("INSERT INTO session (hash, account, ends, facts) VALUES (?, ?, ?, ?)", one.Hash, one.Account, one.EndsAt.UnixMicro(), text)
}

// ReplaceSession stores a session in place of another.
func (s *Store) ReplaceSession(ctx context.Context, hash string, one accounts.Session) error {
	return s.change(ctx, func(t *txn) error {
		if err := t.must("DELETE FROM session WHERE hash = ?", hash); err != nil {
			return err
		}
		return t.addSession(&one)
	})
}

// must runs a statement that changes a row, ErrNotFound if there is none.
func (t *txn) must(text string, args ...any) error {
	n, err := t.changed(text, args...)
	if err == nil && n == 0 {
		err = accounts.ErrNotFound
	}
	return err
}

// DeleteSessions deletes what f chooses.
func (s *Store) DeleteSessions(ctx context.Context, f accounts.SessionFilter) error {
	return s.change(ctx, func(t *txn) error {
		switch {
		case f.Hash != "":
			return t.exec("DELETE FROM session WHERE hash = ?", f.Hash)
		case f.Account != "":
			return t.exec("DELETE FROM session WHERE account = ? AND hash <> ?", f.Account, f.Except)
		}
		return t.exec("DELETE FROM session WHERE ends < ?", f.EndedBefore.UnixMicro())
	})
}

// Tokens lists those of an account, or all.
func (s *Store) Tokens(ctx context.Context, account string) ([]accounts.Token, error) {
	return collect[accounts.Token](ctx, s, "SELECT facts FROM token WHERE ? = '' OR account = ?", account, account)
}

// TokenByHash returns a token.
func (s *Store) TokenByHash(ctx context.Context, hash string) (accounts.Token, error) {
	return single[accounts.Token](ctx, s, "SELECT facts FROM token WHERE hash = ?", hash)
}

// AddToken stores a token.
func (s *Store) AddToken(ctx context.Context, one accounts.Token) error {
	text, err := encode(one)
	if err != nil {
		return err
	}
	return s.change(ctx, func(t *txn) error {
		return t.exec("INSERT INTO token (id, hash, account, facts) VALUES (?, ?, ?, ?)", one.ID, one.Hash, one.Account, text)
	})
}

// ReplaceToken stores a token as it is now.
func (s *Store) ReplaceToken(ctx context.Context, one accounts.Token) error {
	text, err := encode(one)
	if err != nil {
		return err
	}
	return s.change(ctx, func(t *txn) error { return t.must("UPDATE token SET facts = ? WHERE id = ?", text, one.ID) })
}

// DeleteToken deletes a token.
func (s *Store) DeleteToken(ctx context.Context, id string) error {
	return s.change(ctx, func(t *txn) error { return t.exec("DELETE FROM token WHERE id = ?", id) })
}

// DeleteTokens deletes all of an account.
func (s *Store) DeleteTokens(ctx context.Context, account string) error {
	return s.change(ctx, func(t *txn) error { return t.exec("DELETE FROM token WHERE account = ?", account) })
}

// Passkeys lists those of an account.
func (s *Store) Passkeys(ctx context.Context, account string) ([]accounts.Passkey, error) {
	return collect[accounts.Passkey](ctx, s, "SELECT facts FROM passkey WHERE account = ?", account)
}

// PutPasskey stores a passkey.
func (s *Store) PutPasskey(ctx context.Context, one accounts.Passkey) error {
	text, err := encode(one)
	if err != nil {
		return err
	}
	return s.change(ctx, func(t *txn) error {
		return t.exec("INSERT OR REPLACE INTO passkey (id, account, facts) VALUES (?, ?, ?)", one.ID, one.Account, text)
	})
}

// DeletePasskey deletes a passkey.
func (s *Store) DeletePasskey(ctx context.Context, id string) error {
	return s.change(ctx, func(t *txn) error { return t.exec("DELETE FROM passkey WHERE id = ?", id) })
}

// PutInvitation stores an invitation.
func (s *Store) PutInvitation(ctx context.Context, one accounts.Invitation) error {
	text, err := encode(one)
	if err != nil {
		return err
	}
	return s.change(ctx, func(t *txn) error {
		return t.exec("INSERT OR REPLACE INTO invitation (hash, account, facts) VALUES (?, ?, ?)", one.Hash, one.Account, text)
	})
}

// Invitation returns an invitation.
func (s *Store) Invitation(ctx context.Context, hash string) (accounts.Invitation, error) {
	return single[accounts.Invitation](ctx, s, "SELECT facts FROM invitation WHERE hash = ?", hash)
}

// UseInvitation stores what an invitation was for, and deletes it with what spoke for the account.
func (s *Store) UseInvitation(ctx context.Context, hash string, a accounts.Account) error {
	return s.change(ctx, func(t *txn) error {
		if err := t.must("DELETE FROM invitation WHERE hash = ?", hash); err != nil {
			return err
		}
		if err := t.silence(a.ID); err != nil {
			return err
		}
		return t.putAccount(&a)
	})
}
