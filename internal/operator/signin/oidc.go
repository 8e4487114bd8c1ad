package signin

import (
	"errors"
	"net/http"
	"time"

	"postern/internal/operator/accounts"
	"postern/internal/operator/oidc"
	"postern/internal/operator/websession"
)

// elsewhere is what the button for another provider says, "" where there is none.
func (p *Pages) elsewhere() string {
	if p.cfg.OIDC == nil {
		return ""
	}
	return p.cfg.OIDCButton
}

const (
	// loginCookie binds a sign-in elsewhere to the browser that began it.
	loginCookie = "login"
	loginTime   = 10 * time.Minute
)

func (p *Pages) redirect(r *http.Request) string { return p.cfg.Door.Site(r).Origin + "/oidc/callback" }

// oidcStart sends the browser to the provider.
func (p *Pages) oidcStart(w http.ResponseWriter, r *http.Request) {
	to, cookie, err := p.cfg.OIDC.Begin(r.Context(), p.redirect(r), websession.Local(r.FormValue("next")),
		r.FormValue("again") != "")
	if err != nil {
		p.oidcFailed(w, r, err)
		return
	}
	p.cfg.Door.Lend(w, loginCookie, cookie, loginTime)
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// oidcCallback takes what the provider sends the browser back with.
func (p *Pages) oidcCallback(w http.ResponseWriter, r *http.Request) {
	proof, err := p.cfg.OIDC.Finish(r.Context(), p.redirect(r), p.cfg.Door.Lent(r, loginCookie), r.URL.Query())
	p.cfg.Door.Lend(w, loginCookie, "", 0)
	if err != nil {
		p.cfg.Accounts.Refused("oidc", websession.Client(r))
		p.oidcFailed(w, r, err)
		return
	}
	handOn := p.handingOn(r)
	secret, err := p.cfg.Accounts.SignInAs(r.Context(), proof.Name, "oidc", proof.At, p.cfg.Door.Secret(r),
		websession.Client(r))
	if err != nil {
		p.oidcFailed(w, r, err)
		return
	}
	p.cfg.Door.Open(w, secret)
	handOn(secret)
	http.Redirect(w, r, websession.Local(proof.Next), http.StatusSeeOther)
}

// oidcFailed shows the sign-in page with why it did not work.
func (p *Pages) oidcFailed(w http.ResponseWriter, r *http.Request, err error) {
	v := p.signView(r, "", "")
	switch {
	case errors.Is(err, accounts.ErrWrong):
		v.Problem = "You are known there, but no account of this gateway has your name. An administrator can make one."
	case errors.Is(err, oidc.ErrState), errors.Is(err, oidc.ErrRefused), errors.Is(err, oidc.ErrNoName),
		errors.Is(err, oidc.ErrNotFresh):
		_, v.Problem = p.cfg.Fault(err)
	default:
		p.cfg.Log.Warn("console", "page", "oidc", "error", err)
		v.Problem = "The provider cannot be asked; the gateway's log says why."
	}
	p.cfg.Show(w, nil, http.StatusUnauthorized, "signin", "Sign in", v)
}
