package web

import (
	"errors"
	"net/http"
	"time"

	"postern/internal/operator/accounts"
	"postern/internal/operator/oidc"
	"postern/internal/operator/websession"
)

// elsewhere is what the button for another provider says, "" where there is none.
func (c *Console) elsewhere() string {
	if c.cfg.OIDC == nil {
		return ""
	}
	return c.cfg.OIDCButton
}

const (
	// loginCookie binds a sign-in elsewhere to the browser that began it.
	loginCookie = "login"
	loginTime   = 10 * time.Minute
)

func (c *Console) redirect(r *http.Request) string { return c.door.Site(r).Origin + "/oidc/callback" }

// oidcStart sends the browser to the provider.
func (c *Console) oidcStart(w http.ResponseWriter, r *http.Request) {
	to, cookie, err := c.cfg.OIDC.Begin(r.Context(), c.redirect(r), local(r.FormValue("next")),
		r.FormValue("again") != "")
	if err != nil {
		c.oidcFailed(w, r, err)
		return
	}
	c.door.Lend(w, loginCookie, cookie, loginTime)
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// oidcCallback takes what the provider sends the browser back with.
func (c *Console) oidcCallback(w http.ResponseWriter, r *http.Request) {
	proof, err := c.cfg.OIDC.Finish(r.Context(), c.redirect(r), c.door.Lent(r, loginCookie), r.URL.Query())
	c.door.Lend(w, loginCookie, "", 0)
	if err != nil {
		c.cfg.Accounts.Refused("oidc", websession.Client(r))
		c.oidcFailed(w, r, err)
		return
	}
	handOn := c.handingOn(r)
	secret, err := c.cfg.Accounts.SignInAs(r.Context(), proof.Name, "oidc", proof.At, c.door.Secret(r),
		websession.Client(r))
	if err != nil {
		c.oidcFailed(w, r, err)
		return
	}
	c.door.Open(w, secret)
	handOn(secret)
	http.Redirect(w, r, local(proof.Next), http.StatusSeeOther)
}

// oidcFailed shows the sign-in page with why it did not work.
func (c *Console) oidcFailed(w http.ResponseWriter, r *http.Request, err error) {
	v := c.signView(r, "", "")
	switch {
	case errors.Is(err, accounts.ErrWrong):
		v.Problem = "You are known there, but no account of this gateway has your name. An administrator can make one."
	case errors.Is(err, oidc.ErrState), errors.Is(err, oidc.ErrRefused), errors.Is(err, oidc.ErrNoName),
		errors.Is(err, oidc.ErrNotFresh):
		v.Problem = sentence(err)
	default:
		c.cfg.Log.Warn("console", "page", "oidc", "error", err)
		v.Problem = "The provider cannot be asked; the gateway's log says why."
	}
	c.render(w, nil, http.StatusUnauthorized, "signin", "Sign in", v)
}
