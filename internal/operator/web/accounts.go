package web

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/operator/accounts"
	"postern/internal/operator/websession"
)

// accountsView is who may use the console.
type accountsView struct {
	Accounts []accounts.Account
	Tokens   []ownedToken // of all accounts
	Roles    []access.Role
	// Link is the path of an invitation just made, for For; shown once.
	Link, For string
	Problem   string
	Name      string
	Domains   string
}

// ownedToken is a token with the name of its account.
type ownedToken struct {
	accounts.Token
	Owner string
}

// everyToken lists the tokens of all accounts, each with its owner.
func (c *Console) everyToken(r *request, list []accounts.Account) (out []ownedToken, err error) {
	tokens, err := c.cfg.Accounts.Tokens(r.ctx(), r.who, true)
	if err != nil {
		return nil, err
	}
	for _, t := range tokens {
		one := ownedToken{Token: t}
		if i := slices.IndexFunc(list, func(a accounts.Account) bool { return a.ID == t.Account }); i >= 0 {
			one.Owner = list[i].Name
		}
		out = append(out, one)
	}
	return out, nil
}

func (c *Console) accounts(r *request) error { return c.accountsPage(r, accountsView{}, http.StatusOK) }

func (c *Console) accountsPage(r *request, v accountsView, code int) error {
	v.Roles = access.Roles()
	var err error
	if v.Accounts, err = c.cfg.Accounts.List(r.ctx(), r.who); err != nil {
		return err
	}
	if v.Tokens, err = c.everyToken(r, v.Accounts); err != nil {
		return err
	}
	c.render(r.w, &r.who, code, "accounts", "Accounts", v)
	return nil
}

// scopeFrom reads the domains of a scope; none is everything.
func scopeFrom(text string) (access.Scope, error) {
	var s access.Scope
	for _, name := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(", \n\r\t", r) }) {
		d, err := mail.ParseDomain(name)
		if err != nil {
			return s, access.BadRequest("%w", err)
		}
		s.Domains = append(s.Domains, d)
	}
	s.All = len(s.Domains) == 0
	return s, nil
}

func (c *Console) invite(r *request) error {
	v := accountsView{Name: strings.TrimSpace(r.PostFormValue("name")), Domains: r.PostFormValue("domains")}
	scope, err := scopeFrom(v.Domains)
	if err != nil {
		return err
	}
	a, key, err := c.cfg.Accounts.Invite(r.ctx(), r.who, v.Name, access.Role(r.PostFormValue("role")), scope)
	if errors.Is(err, accounts.ErrBad) || errors.Is(err, accounts.ErrTaken) {
		v.Problem = sentence(err)
		return c.accountsPage(r, v, http.StatusBadRequest)
	}
	if err != nil {
		return err
	}
	return c.accountsPage(r, accountsView{Link: c.link(r, key), For: a.Name}, http.StatusOK)
}

// link is the address of an invitation. The secret stands behind the #, which no browser sends and no log keeps.
func (c *Console) link(r *request, key string) string {
	scheme := "http://"
	if c.cfg.Secure {
		scheme = "https://"
	}
	return scheme + r.Host + "/setup#" + key
}

// changeAccount changes, deletes, or invites again.
func (c *Console) changeAccount(r *request) error {
	id := r.PathValue("id")
	switch r.PostFormValue("do") {
	case "delete":
		if err := c.cfg.Accounts.Delete(r.ctx(), r.who, id); err != nil {
			return err
		}
	case "invite":
		key, err := c.cfg.Accounts.InviteAgain(r.ctx(), r.who, id)
		if err != nil {
			return err
		}
		return c.accountsPage(r, accountsView{Link: c.link(r, key), For: r.PostFormValue("name")}, http.StatusOK)
	default:
		version, err := strconv.ParseInt(r.PostFormValue("version"), 10, 64)
		if err != nil {
			return access.BadRequest("the form does not say which account it was made for; load the page again")
		}
		scope, err := scopeFrom(r.PostFormValue("domains"))
		if err != nil {
			return err
		}
		role, disabled := access.Role(r.PostFormValue("role")), r.PostFormValue("disabled") != ""
		if _, err := c.cfg.Accounts.Update(r.ctx(), r.who, id, version,
			accounts.Change{Role: &role, Scope: &scope, Disabled: &disabled}); err != nil {
			return err
		}
	}
	return to(r, "/accounts")
}

// profileView is one's own account.
type profileView struct {
	Sessions []accounts.Session
	Tokens   []accounts.Token
	Scopes   []access.Capability // that the reader may give
	Passkeys []accounts.Passkey
	// Named says that passkeys can be made at this address.
	Named   bool
	Here    string // hash of the session of this browser
	Secret  string // of a token just made; shown once
	Problem string
	Done    string
	Device  string // the name of a passkey that is to be made
}

func (c *Console) profile(r *request) error {
	return c.profilePage(r, profileView{Done: c.done(r), Device: mail.Clip(r.FormValue("device"), 100)}, http.StatusOK)
}

func (c *Console) profilePage(r *request, v profileView, code int) error {
	var err error
	if v.Sessions, err = c.cfg.Accounts.Sessions(r.ctx(), r.who); err != nil {
		return err
	}
	if v.Tokens, err = c.cfg.Accounts.Tokens(r.ctx(), r.who, false); err != nil {
		return err
	}
	if v.Passkeys, err = c.cfg.Accounts.Passkeys(r.ctx(), r.who); err != nil {
		return err
	}
	v.Named = c.door.Site(r.Request).Named()
	if _, here, err := c.cfg.Accounts.BySession(r.ctx(), c.door.Secret(r.Request)); err == nil {
		v.Here = here.Hash
	}
	for _, scope := range access.All() {
		if r.who.May(scope) {
			v.Scopes = append(v.Scopes, scope)
		}
	}
	c.render(r.w, &r.who, code, "profile", "Your account", v)
	return nil
}

func (c *Console) password(r *request) error {
	next := r.PostFormValue("next")
	if next != r.PostFormValue("again") {
		return c.profilePage(r, profileView{Problem: "The two new passwords differ."}, http.StatusBadRequest)
	}
	err := c.cfg.Accounts.SetPassword(r.ctx(), c.door.Secret(r.Request), r.PostFormValue("old"), next,
		r.PostFormValue("tokens") != "", websession.Client(r.Request))
	var throttled *accounts.Throttled
	switch {
	case errors.Is(err, accounts.ErrWrong):
		return c.profilePage(r, profileView{Problem: "The old password is not the one."}, http.StatusBadRequest)
	case errors.Is(err, accounts.ErrBad):
		return c.profilePage(r, profileView{Problem: sentence(err)}, http.StatusBadRequest)
	case errors.As(err, &throttled):
		return c.profilePage(r, profileView{Problem: throttled.Say()}, http.StatusTooManyRequests)
	case err != nil:
		return err
	}
	return c.toSay(r, "/profile", "the password is changed, and your other sessions have ended")
}

func (c *Console) endSession(r *request) error {
	if err := c.cfg.Accounts.EndSession(r.ctx(), r.who, r.PostFormValue("session")); err != nil {
		return err
	}
	return to(r, "/profile")
}

// tokens makes or deletes a token.
func (c *Console) tokens(r *request) error {
	if id := r.PostFormValue("delete"); id != "" {
		if err := c.cfg.Accounts.DeleteToken(r.ctx(), r.who, id); err != nil {
			return err
		}
		return to(r, websession.Local(cmp.Or(r.PostFormValue("next"), "/profile")))
	}
	if err := r.ParseForm(); err != nil {
		return access.BadRequest("the form cannot be read: %w", err)
	}
	days, err := strconv.Atoi(r.PostFormValue("days"))
	if err != nil {
		return access.BadRequest("say for how many days the token is good")
	}
	var scopes []access.Capability
	for _, s := range r.PostForm["scope"] {
		scopes = append(scopes, access.Capability(s))
	}
	_, key, err := c.cfg.Accounts.CreateToken(r.ctx(), r.who, r.PostFormValue("name"), scopes,
		time.Now().AddDate(0, 0, days))
	if errors.Is(err, accounts.ErrBad) {
		return c.profilePage(r, profileView{Problem: sentence(err)}, http.StatusBadRequest)
	}
	if err != nil {
		return err
	}
	return c.profilePage(r, profileView{Secret: key}, http.StatusOK)
}
