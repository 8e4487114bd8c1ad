package api

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/operator/accounts"
)

// Account is who may sign in.
type Account struct {
	Name     string       `json:"name"`
	Role     access.Role  `json:"role"`
	Scope    access.Scope `json:"scope"`
	Disabled bool         `json:"disabled,omitempty"`
}

// Token is what programs show. Nobody can show its secret again. What it may do is its scopes as far as its account may
// the same.
type Token struct {
	ID        string              `json:"id"`
	Account   string              `json:"account"`
	Name      string              `json:"name"` // what it is for
	Scopes    []access.Capability `json:"scopes"`
	CreatedAt time.Time           `json:"created_at"`
	EndsAt    time.Time           `json:"ends_at"`
	LastUsed  time.Time           `json:"last_used,omitzero"`
}

// InviteRequest asks for a link by which somebody sets a password: with New for an account that is made now, else for
// the one that has the name. Role and Domains are of a new account.
type InviteRequest struct {
	Name string `json:"name"`
	New  bool   `json:"new,omitempty" doc:"make the account; without it a name that has none is an error"`
	// Role is auditor, which may least, where nobody says.
	Role    access.Role   `json:"role,omitempty" doc:"of a new account; auditor where nobody says"`
	Domains []mail.Domain `json:"domains,omitempty" doc:"of a new account; none is everything"`
}

// InviteResult is the secret of the link, which stands behind /setup# at the console's address.
type InviteResult struct {
	Secret string `json:"secret"`
	New    bool   `json:"new"` // the account was made now
}

// AccountChange is what is to change of an account; what is left out stays.
type AccountChange struct {
	Role     *access.Role   `json:"role,omitempty"`
	Domains  *[]mail.Domain `json:"domains,omitempty"` // none is everything
	Disabled *bool          `json:"disabled,omitempty"`
}

// AccountName names an account in the path.
type AccountName struct {
	Name string `path:"name"`
}

func view(a *accounts.Account) Account { return Account{a.Name, a.Role, a.Scope, a.Disabled} }

func scopeOf(domains []mail.Domain) access.Scope {
	return access.Scope{All: len(domains) == 0, Domains: domains}
}

func (s *Server) registerAccounts(spec huma.API) {
	operation(s, spec, "GET", "/accounts", "listAccounts", "Who may sign in",
		func(ctx context.Context, _ *none) (*body[[]Account], error) {
			all, err := s.accounts.List(ctx, principal(ctx))
			out := []Account{}
			for i := range all {
				out = append(out, view(&all[i]))
			}
			return answer(out, err)
		})
	operation(s, spec, "POST", "/accounts", "inviteAccount",
		"Make a link by which somebody sets a password; whoever may ask for it can become anybody",
		func(ctx context.Context, in *body[InviteRequest]) (*body[InviteResult], error) {
			return answer(s.invite(ctx, &in.Body))
		})
	operation(s, spec, "POST", "/accounts/first", "firstAccount",
		"Make the link by which the first administrator chooses name and password, while nobody has an account",
		func(ctx context.Context, _ *none) (*body[InviteResult], error) {
			p, err := named(ctx)
			if err != nil {
				return nil, err
			}
			key, err := s.accounts.First(ctx, p)
			return answer(InviteResult{Secret: key, New: true}, err)
		})
	operation(s, spec, "PATCH", "/accounts/{name}", "changeAccount",
		"Change role, domains, or disable and enable; the account's sessions end",
		func(ctx context.Context, in *struct {
			AccountName
			Body AccountChange
		}) (*body[Account], error) {
			p, a, err := s.account(ctx, in.Name)
			if err != nil {
				return nil, err
			}
			change := accounts.Change{Role: in.Body.Role, Disabled: in.Body.Disabled}
			if in.Body.Domains != nil {
				scope := scopeOf(*in.Body.Domains)
				change.Scope = &scope
			}
			a, err = s.accounts.Update(ctx, p, a.ID, a.Version, change)
			return answer(view(&a), err)
		})
	operation(s, spec, "DELETE", "/accounts/{name}", "deleteAccount", "Delete an account with its sessions and tokens",
		func(ctx context.Context, in *AccountName) (*struct{}, error) {
			p, a, err := s.account(ctx, in.Name)
			if err != nil {
				return nil, err
			}
			return nil, s.accounts.Delete(ctx, p, a.ID)
		})
	operation(s, spec, "GET", "/tokens", "listTokens", "The tokens of every account, without their secrets",
		func(ctx context.Context, _ *none) (*body[[]Token], error) { return answer(s.tokens(ctx)) })
	operation(s, spec, "DELETE", "/tokens/{id}", "deleteToken", "End a token at once",
		func(ctx context.Context, in *struct {
			ID string `path:"id"`
		}) (*struct{}, error) {
			p, err := named(ctx)
			if err != nil {
				return nil, err
			}
			if err = s.accounts.DeleteToken(ctx, p, in.ID); errors.Is(err, accounts.ErrNotFound) {
				err = missing(nil, "there is no token %q, or it is over", in.ID)
			}
			return nil, err
		})
}

func (s *Server) tokens(ctx context.Context) ([]Token, error) {
	p, out := principal(ctx), []Token{}
	all, err := s.accounts.List(ctx, p)
	if err != nil {
		return out, err
	}
	name := map[string]string{}
	for _, a := range all {
		name[a.ID] = a.Name
	}
	list, err := s.accounts.Tokens(ctx, p, true)
	for _, t := range list {
		out = append(out, Token{t.ID, name[t.Account], t.Name, t.Scopes, t.CreatedAt, t.EndsAt, t.LastUsed})
	}
	return out, err
}

func (s *Server) invite(ctx context.Context, q *InviteRequest) (InviteResult, error) {
	p, a, err := s.account(ctx, q.Name)
	if none, ok := errors.AsType[*Problem](err); err != nil && (!ok || none.Kind != NotFound) {
		return InviteResult{}, err
	}
	switch {
	case q.New:
		_, key, err := s.accounts.Invite(ctx, p, q.Name, cmp.Or(q.Role, access.Roles()[0]), scopeOf(q.Domains))
		return InviteResult{Secret: key, New: true}, err
	case err != nil:
		p := noAccount(q.Name)
		p.Hint = "to make it, say so: --new with a role (auditor, operator, administrator)"
		return InviteResult{}, p
	case q.Role != "" || len(q.Domains) > 0:
		return InviteResult{}, &Problem{Code: http.StatusBadRequest, Text: "the account " + a.Name +
			" is there already; a link changes neither its role nor its domains",
			Hint: "make the link without them; an administrator changes them in the console, below Accounts"}
	}
	key, err := s.accounts.InviteAgain(ctx, p, a.ID)
	return InviteResult{Secret: key}, err
}

// account finds an account by its name, for somebody with a name of his own.
func (s *Server) account(ctx context.Context, name string) (p access.Principal, a accounts.Account, err error) {
	if p, err = named(ctx); err != nil {
		return p, a, err
	}
	list, err := s.accounts.List(ctx, p)
	if err != nil {
		return p, a, err
	}
	for _, one := range list {
		if strings.EqualFold(one.Name, name) {
			return p, one, nil
		}
	}
	return p, a, noAccount(name)
}

func noAccount(name string) *Problem { return missing(nil, "there is no account of the name %q", name) }
