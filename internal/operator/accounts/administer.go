package accounts

import (
	"cmp"
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"time"

	"postern/internal/operator/access"
)

// invitationLife is how long a link may be used.
const invitationLife = time.Hour

// namePattern is what a name looks like: what is typed at sign-in and stands in the audit trail.
var namePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$`)

// First makes the link for the first administrator and returns its secret. ErrSetUp when there is an account already. A
// new link ends the one before. Whoever is at the gateway's socket may ask; nobody else can be anybody yet.
func (s *Service) First(ctx context.Context, p access.Principal) (string, error) {
	if err := need(&p, access.WriteAccounts); err != nil {
		return "", err
	}
	if empty, err := s.Empty(ctx); err != nil || !empty {
		return "", cmp.Or(err, ErrSetUp)
	}
	if err := s.record(ctx, p.Name, "accounts first", "", "", "a link"); err != nil {
		return "", err
	}
	return s.invite(ctx, "", p.Name)
}

// Empty reports whether nobody has an account yet.
func (s *Service) Empty(ctx context.Context) (bool, error) {
	list, err := s.cfg.Book.Accounts(ctx)
	return len(list) == 0, err
}

func (s *Service) invite(ctx context.Context, account, by string) (string, error) {
	key, now := secret(), time.Now()
	return key, s.cfg.Book.PutInvitation(ctx, Invitation{Hash: hashOf(key), Account: account, CreatedAt: now,
		EndsAt: now.Add(invitationLife), By: by})
}

// Invited returns the account an invitation is for; its Name is "" for the first administrator, who chooses one.
func (s *Service) Invited(ctx context.Context, key string, c Client) (Account, error) {
	i, err := s.cfg.Book.Invitation(ctx, hashOf(key))
	if err == nil && !time.Now().Before(i.EndsAt) {
		err = ErrNotFound
	}
	if errors.Is(err, ErrNotFound) {
		s.refuse(linkRefused, nobody, "", c)
	}
	if err != nil {
		return Account{}, err
	}
	if i.Account == "" {
		list, err := s.cfg.Book.Accounts(ctx)
		if err == nil && len(list) > 0 {
			err = ErrSetUp
		}
		return Account{ID: newID(), Role: access.Administrator, Scope: access.Scope{All: true}, CreatedAt: time.Now()},
			err
	}
	return s.find(ctx, i.Account)
}

// Accept sets the password an invitation is for and returns the secret of a session. What spoke for the account before,
// sessions, tokens and passkeys, ends: who lost a password may have lost it to somebody. name is the first
// administrator's choice and ignored for others.
func (s *Service) Accept(ctx context.Context, key, name, password string, c Client) (string, error) {
	s.change.Lock()
	defer s.change.Unlock()
	a, err := s.Invited(ctx, key, c)
	if err != nil {
		return "", err
	}
	if a.Name == "" {
		if err := checkName(name); err != nil {
			return "", err
		}
		a.Name = name
	}
	if err := checkPassword(a.Name, password); err != nil {
		return "", err
	}
	if a.Password, err = s.hash(ctx, password); err != nil {
		return "", err
	}
	a.Version++
	ended, err := s.speaks(ctx, a.ID)
	if err != nil {
		return "", err
	}
	if err := s.record(ctx, a.Name, "accounts accept", a.Name, ended, describe(&a)); err != nil {
		return "", err
	}
	if err := s.cfg.Book.UseInvitation(ctx, hashOf(key), a); err != nil {
		return "", err
	}
	return s.begin(ctx, &a, c, time.Now())
}

// speaks says for the audit trail what a new password by a link ends, "" for nothing.
func (s *Service) speaks(ctx context.Context, account string) (string, error) {
	tokens, err := s.cfg.Book.Tokens(ctx, account)
	if err != nil {
		return "", err
	}
	passkeys, err := s.cfg.Book.Passkeys(ctx, account)
	if err != nil || len(tokens)+len(passkeys) == 0 {
		return "", err
	}
	return strings.Join(append(tokenNames(tokens), passkeyNames(passkeys)...), ", "), nil
}

func passkeyNames(list []Passkey) (out []string) {
	for _, p := range list {
		out = append(out, "passkey "+p.Name)
	}
	return out
}

func checkName(name string) error {
	if !namePattern.MatchString(name) {
		return bad("a name is 1 to 64 letters, digits and . _ @ -, beginning with a letter or digit")
	}
	return nil
}

// List returns all accounts, by name, without their hashes.
func (s *Service) List(ctx context.Context, p access.Principal) ([]Account, error) {
	if err := need(&p, access.ReadAccounts); err != nil {
		return nil, err
	}
	list, err := s.cfg.Book.Accounts(ctx)
	for i := range list {
		list[i].Password = ""
	}
	slices.SortFunc(list, func(a, b Account) int {
		return cmp.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name))
	})
	return list, err
}

// Invite makes an account and the link by which its owner sets a password; it returns the link's secret.
func (s *Service) Invite(ctx context.Context, p access.Principal, name string, role access.Role,
	scope access.Scope) (Account, string, error) {
	if err := need(&p, access.WriteAccounts); err != nil {
		return Account{}, "", err
	}
	a := Account{ID: newID(), Name: name, Role: role, Scope: scope, CreatedAt: time.Now(), Version: 1}
	if err := check(&p, &a); err != nil {
		return Account{}, "", err
	}
	s.change.Lock()
	defer s.change.Unlock()
	if _, err := s.pick(ctx, func(o *Account) bool { return strings.EqualFold(o.Name, name) }); !errors.Is(err,
		ErrNotFound) {
		return Account{}, "", cmp.Or(err, ErrTaken)
	}
	if err := s.record(ctx, p.Name, "accounts invite", name, "", describe(&a)); err != nil {
		return Account{}, "", err
	}
	if err := s.cfg.Book.PutAccount(ctx, a); err != nil {
		return Account{}, "", err
	}
	key, err := s.invite(ctx, a.ID, p.Name)
	return a, key, err
}

// check refuses an account that cannot be, or that would be more than whoever makes it.
func check(p *access.Principal, a *Account) error {
	if err := checkName(a.Name); err != nil {
		return err
	}
	if !a.Role.Valid() {
		return bad("there is no role %q; the roles are auditor, operator, administrator", a.Role)
	}
	if !a.Scope.All && len(a.Scope.Domains) == 0 {
		return bad("name the domains of the scope, or choose everything")
	}
	if !a.Scope.Within(p.Scope) {
		return ErrForbidden
	}
	return nil
}

// InviteAgain makes a new link for an account whose owner lost his password. The old one works until it is used.
func (s *Service) InviteAgain(ctx context.Context, p access.Principal, id string) (string, error) {
	if err := need(&p, access.WriteAccounts); err != nil {
		return "", err
	}
	a, err := s.find(ctx, id)
	if err != nil {
		return "", err
	}
	if err := s.record(ctx, p.Name, "accounts invite", a.Name, "", "a new link"); err != nil {
		return "", err
	}
	return s.invite(ctx, a.ID, p.Name)
}

// Change is what may be changed of an account; nil leaves it.
type Change struct {
	Role     *access.Role
	Scope    *access.Scope
	Disabled *bool
}

// Update changes the account that has version (else ErrVersion) and ends its sessions, so that nobody goes on with what
// he had.
func (s *Service) Update(ctx context.Context, p access.Principal, id string, version int64, c Change) (Account, error) {
	if err := need(&p, access.WriteAccounts); err != nil {
		return Account{}, err
	}
	s.change.Lock()
	defer s.change.Unlock()
	a, err := s.find(ctx, id)
	if err != nil {
		return Account{}, err
	}
	if a.Version != version {
		return Account{}, ErrVersion
	}
	before := describe(&a)
	a.Role, a.Scope, a.Disabled = or(c.Role, a.Role), or(c.Scope, a.Scope), or(c.Disabled, a.Disabled)
	if err := check(&p, &a); err != nil {
		return Account{}, err
	}
	if describe(&a) == before {
		a.Password = ""
		return a, nil
	}
	if err := s.keepsOne(ctx, id, &a); err != nil {
		return Account{}, err
	}
	a.Version++
	if err := s.record(ctx, p.Name, "accounts change", a.Name, before, describe(&a)); err != nil {
		return Account{}, err
	}
	if err := s.cfg.Book.PutAccount(ctx, a); err != nil {
		return Account{}, err
	}
	a.Password = ""
	return a, s.cfg.Book.DeleteSessions(ctx, SessionFilter{Account: id})
}

func or[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}

// keepsOne refuses what leaves nobody who may administer accounts where somebody does now; next is what becomes of an
// account, nil that it goes.
func (s *Service) keepsOne(ctx context.Context, id string, next *Account) error {
	list, err := s.cfg.Book.Accounts(ctx)
	if err != nil {
		return err
	}
	administers := func(a Account) bool {
		return a.Role == access.Administrator && a.Scope.All && !a.Disabled && a.Password != ""
	}
	if !slices.ContainsFunc(list, administers) {
		return nil
	}
	list = slices.DeleteFunc(list, func(a Account) bool { return a.ID == id })
	if next != nil {
		list = append(list, *next)
	}
	if !slices.ContainsFunc(list, administers) {
		return ErrLast
	}
	return nil
}

// Delete deletes an account with its sessions and tokens.
func (s *Service) Delete(ctx context.Context, p access.Principal, id string) error {
	if err := need(&p, access.WriteAccounts); err != nil {
		return err
	}
	s.change.Lock()
	defer s.change.Unlock()
	a, err := s.find(ctx, id)
	if err != nil {
		return err
	}
	if err := s.keepsOne(ctx, id, nil); err != nil {
		return err
	}
	if err := s.record(ctx, p.Name, "accounts delete", a.Name, describe(&a), ""); err != nil {
		return err
	}
	return s.cfg.Book.DeleteAccount(ctx, id)
}
