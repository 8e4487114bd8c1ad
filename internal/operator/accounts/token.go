package accounts

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"postern/internal/operator/access"
)

// Bounds of tokens.
const (
	// TokenPrefix begins every token, so that searches for leaked secrets find it.
	TokenPrefix = "postern_"
	tokenMost   = 400 * 24 * time.Hour
	tokensEach  = 100 // of one account
)

// CreateToken makes a token of the principal's own account and returns its secret, which nobody can show again. It may
// do scopes, never more than its maker at any time, until ends.
func (s *Service) CreateToken(ctx context.Context, p access.Principal, name string, scopes []access.Capability,
	ends time.Time) (Token, string, error) {
	now := time.Now()
	switch {
	case p.Way != access.BySession:
		return Token{}, "", ErrForbidden // a token that makes tokens would have no end
	case !p.Fresh(now):
		return Token{}, "", ErrStale
	case strings.TrimSpace(name) == "" || len(name) > 100:
		return Token{}, "", bad("name the token, in at most 100 characters: what is it for?")
	case !ends.After(now) || ends.After(now.Add(tokenMost)):
		return Token{}, "", bad("a token ends within 400 days")
	case len(scopes) == 0:
		return Token{}, "", bad("name at least one scope")
	}
	for _, c := range scopes {
		if !slices.Contains(access.All(), c) {
			return Token{}, "", bad("there is no scope %q", string(c))
		}
		if !p.May(c) {
			return Token{}, "", ErrForbidden
		}
	}
	held, err := s.cfg.Book.Tokens(ctx, p.Account)
	if err != nil {
		return Token{}, "", err
	}
	if len(held) >= tokensEach {
		return Token{}, "", bad("an account has at most %d tokens; delete one first", tokensEach)
	}
	key := TokenPrefix + secret()
	t := Token{ID: newID(), Hash: hashOf(key), Account: p.Account, Name: name, Scopes: scopes, CreatedAt: now,
		EndsAt: ends}
	if err := s.record(ctx, p.Name, "tokens create", name, "", "scopes "+scopesText(scopes)+", until "+
		ends.UTC().Format(time.RFC3339)); err != nil {
		return Token{}, "", err
	}
	return t, key, s.cfg.Book.AddToken(ctx, t)
}

func tokenNames(list []Token) (out []string) {
	for _, t := range list {
		out = append(out, "token "+t.Name)
	}
	return out
}

func scopesText(scopes []access.Capability) string {
	var out []string
	for _, c := range scopes {
		out = append(out, string(c))
	}
	return strings.Join(out, " ")
}

// Tokens lists the principal's own tokens, newest first; all administrators of accounts see everybody's with all.
func (s *Service) Tokens(ctx context.Context, p access.Principal, all bool) ([]Token, error) {
	account := p.Account
	if all {
		if err := need(&p, access.ReadAccounts); err != nil {
			return nil, err
		}
		account = ""
	} else if account == "" {
		return nil, nil
	}
	list, err := s.cfg.Book.Tokens(ctx, account)
	slices.SortFunc(list, func(a, b Token) int { return b.CreatedAt.Compare(a.CreatedAt) })
	return list, err
}

// DeleteToken ends a token: one's own, or anybody's for who may administer accounts.
func (s *Service) DeleteToken(ctx context.Context, p access.Principal, id string) error {
	list, err := s.cfg.Book.Tokens(ctx, "")
	if err != nil {
		return err
	}
	i := slices.IndexFunc(list, func(t Token) bool { return t.ID == id })
	if i < 0 {
		return ErrNotFound
	}
	t := list[i]
	if t.Account != p.Account || p.Way != access.BySession {
		if !p.May(access.WriteAccounts) {
			return ErrNotFound
		}
	}
	owner, err := s.find(ctx, t.Account)
	if err != nil {
		return err
	}
	if err := s.record(ctx, p.Name, "tokens delete", t.Name, "of "+owner.Name+", scopes "+scopesText(t.Scopes),
		""); err != nil {
		return err
	}
	return s.cfg.Book.DeleteToken(ctx, id)
}

// ByToken returns who the holder of a token speaks for; ErrNotFound when it is over.
func (s *Service) ByToken(ctx context.Context, key string, c Client) (access.Principal, error) {
	p, err := s.byToken(ctx, key)
	if errors.Is(err, ErrNotFound) {
		s.refuse(tokenRefused, cmp.Or(p.Name, nobody), "", c)
		return access.Principal{}, err
	}
	return p, err
}

// byToken names whose the token was in any case, as far as that is known.
func (s *Service) byToken(ctx context.Context, key string) (access.Principal, error) {
	if !strings.HasPrefix(key, TokenPrefix) {
		return access.Principal{}, ErrNotFound
	}
	t, err := s.cfg.Book.TokenByHash(ctx, hashOf(key))
	if err != nil {
		return access.Principal{}, err
	}
	a, err := s.find(ctx, t.Account)
	if err != nil {
		return access.Principal{}, err
	}
	now := time.Now()
	if name := a.Name + " (token " + t.Name + ")"; a.Disabled || !now.Before(t.EndsAt) {
		return access.Principal{Name: name}, ErrNotFound
	}
	if now.Sub(t.LastUsed) > touchEvery {
		t.LastUsed = now
		if err := s.cfg.Book.ReplaceToken(ctx, t); err != nil {
			return access.Principal{}, err
		}
	}
	return access.Principal{Name: a.Name + " (token " + t.Name + ")", Account: a.ID, Role: a.Role, Scope: a.Scope,
		Way: access.ByToken, Only: append([]access.Capability{}, t.Scopes...)}, nil
}
