package api

import (
	"context"
	"net/http"
	"strings"

	"postern/internal/access"
	"postern/internal/accounts"
	"postern/internal/admin"
	"postern/internal/mail"
)

// InviteRequest asks for a link by which somebody sets a password: for a new account, or, where the name has one, for that.
// Role and Domains are of a new account.
type InviteRequest struct {
	By      string        `json:"by"`
	Name    string        `json:"name"`
	Role    access.Role   `json:"role"`
	Domains []mail.Domain `json:"domains,omitempty"` // none is everything
}

// InviteResult is the secret of the link, which stands behind /setup# at the console's address.
type InviteResult struct {
	Secret string `json:"secret"`
	New    bool   `json:"new"` // the account was made now
}

// AccountRequest names an account that is to be disabled, enabled or deleted.
type AccountRequest struct {
	By   string `json:"by"`
	Name string `json:"name"`
	Do   string `json:"do"` // disable, enable, delete
}

// AccountResult is what became of it; nothing more is said.
type AccountResult struct{}

func (s *Server) accountList(w http.ResponseWriter, r *http.Request) {
	list, err := s.accounts.List(r.Context(), access.Root("root"))
	if err != nil {
		s.fail(w, err)
		return
	}
	out := lines{w: w}
	for _, a := range list {
		if out.write(a) != nil {
			return
		}
	}
	out.end()
}

// asker is who asks at the socket, who may do everything.
func asker(ctx context.Context, claimed string) (access.Principal, error) {
	name := by(ctx, claimed)
	if name == "" {
		return access.Principal{}, admin.ErrWho
	}
	return access.Root(name), nil
}

func (s *Server) invite(w http.ResponseWriter, r *http.Request) {
	handle(s, w, r, func(ctx context.Context, q InviteRequest) (InviteResult, error) {
		p, err := asker(ctx, q.By)
		if err != nil {
			return InviteResult{}, err
		}
		if a, ok, err := s.account(ctx, p, q.Name); err != nil || ok {
			if err != nil {
				return InviteResult{}, err
			}
			key, err := s.accounts.InviteAgain(ctx, p, a.ID)
			return InviteResult{Secret: key}, err
		}
		_, key, err := s.accounts.Invite(ctx, p, q.Name, q.Role, access.Scope{All: len(q.Domains) == 0, Domains: q.Domains})
		return InviteResult{Secret: key, New: true}, err
	})
}

func (s *Server) account(ctx context.Context, p access.Principal, name string) (accounts.Account, bool, error) {
	list, err := s.accounts.List(ctx, p)
	for _, a := range list {
		if strings.EqualFold(a.Name, name) {
			return a, true, nil
		}
	}
	return accounts.Account{}, false, err
}

func (s *Server) changeAccount(w http.ResponseWriter, r *http.Request) {
	handle(s, w, r, func(ctx context.Context, q AccountRequest) (AccountResult, error) {
		p, err := asker(ctx, q.By)
		if err != nil {
			return AccountResult{}, err
		}
		a, ok, err := s.account(ctx, p, q.Name)
		if err == nil && !ok {
			err = accounts.ErrNotFound
		}
		if err != nil {
			return AccountResult{}, err
		}
		disabled := q.Do == "disable"
		switch q.Do {
		case "delete":
			err = s.accounts.Delete(ctx, p, a.ID)
		case "disable", "enable":
			_, err = s.accounts.Update(ctx, p, a.ID, a.Version, accounts.Change{Disabled: &disabled})
		default:
			err = admin.ErrBadRequest
		}
		return AccountResult{}, err
	})
}
