package signin

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"postern/internal/operator/access"
	"postern/internal/operator/accounts"
	"postern/internal/operator/websession"
)

// signView is the pages to prove who one is.
type signView struct {
	Name, Next, Problem string
	Key                 string // of an invitation
	First               bool   // the invitation is the first administrator's
	Named               bool   // passkeys work at this address
	Kept                bool   // a form waits for the proof
	Elsewhere           string // what the button for another provider says, "" where there is none
}

// signView is the page for a request of somebody who proves to have a name and wants to go on to next.
func (p *Pages) signView(r *http.Request, name, next string) signView {
	return signView{Name: name, Next: websession.Local(next), Named: p.cfg.Door.Site(r).Named(),
		Kept: strings.HasPrefix(next, againPath), Elsewhere: p.elsewhere()}
}

func (p *Pages) signInPage(w http.ResponseWriter, r *http.Request) {
	if _, err := p.cfg.Door.Who(r); err == nil {
		http.Redirect(w, r, websession.Local(r.FormValue("next")), http.StatusSeeOther)
		return
	}
	p.cfg.Show(w, nil, http.StatusOK, "signin", "Sign in", p.signView(r, "", r.FormValue("next")))
}

func (p *Pages) signIn(w http.ResponseWriter, r *http.Request) {
	if err := p.cfg.Accounts.MayTry(websession.Client(r)); err != nil { // before a byte of the form is read
		p.again(w, "signin", "Sign in", p.signView(r, "", ""), err)
		return
	}
	if err := r.ParseForm(); err != nil {
		p.again(w, "signin", "Sign in", p.signView(r, "", ""), err)
		return
	}
	v := p.signView(r, r.FormValue("name"), r.FormValue("next"))
	handOn := p.handingOn(r)
	secret, err := p.cfg.Accounts.SignIn(r.Context(), v.Name, r.FormValue("password"), p.cfg.Door.Secret(r),
		websession.Client(r))
	if err != nil {
		p.again(w, "signin", "Sign in", v, err)
		return
	}
	p.cfg.Door.Open(w, secret)
	handOn(secret)
	http.Redirect(w, r, v.Next, http.StatusSeeOther)
}

// again shows a page of proof with what was wrong.
func (p *Pages) again(w http.ResponseWriter, page, title string, v signView, err error) {
	code := http.StatusUnauthorized
	var throttled *accounts.Throttled
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		code, v.Problem = http.StatusRequestEntityTooLarge, "What was sent is larger than the console takes."
	case errors.As(err, &throttled):
		w.Header().Set("Retry-After", strconv.Itoa(1+int(time.Until(throttled.Until).Seconds())))
		code, v.Problem = http.StatusTooManyRequests, throttled.Say()
	case errors.Is(err, accounts.ErrWrong):
		v.Problem = "Name and password do not belong together."
	case errors.Is(err, accounts.ErrNotFound):
		v.Problem = "This link was used, has ended or was replaced by a newer one. Links work for one hour."
	case errors.Is(err, accounts.ErrBad), errors.Is(err, accounts.ErrTaken), errors.Is(err, accounts.ErrSetUp):
		code = http.StatusBadRequest
		_, v.Problem = p.cfg.Fault(err)
	default:
		p.cfg.Log.Warn("console", "page", page, "error", err)
		code, v.Problem = http.StatusInternalServerError, "That failed on our side; the gateway's log says why."
	}
	p.cfg.Show(w, nil, code, page, title, v)
}

func (p *Pages) signOut(w http.ResponseWriter, r *http.Request) {
	if secret := p.cfg.Door.Secret(r); secret != "" {
		if err := p.cfg.Accounts.SignOut(r.Context(), secret, websession.Client(r)); err != nil {
			p.cfg.Log.Warn("console", "page", "sign-out", "error", err) // the cookie goes all the same
		}
	}
	p.cfg.Door.Shut(w)
	http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
}

// setupPage asks for the secret of the link where script did not put it there, then for what the invitation is about.
func (p *Pages) setupPage(w http.ResponseWriter, r *http.Request) {
	p.cfg.Show(w, nil, http.StatusOK, "setup", "Set up your account", signView{})
}

func (p *Pages) setup(w http.ResponseWriter, r *http.Request) {
	v := signView{Name: r.FormValue("name"), Key: r.FormValue("key")}
	a, err := p.cfg.Accounts.Invited(r.Context(), v.Key, websession.Client(r))
	if err != nil {
		v.Key = ""
		p.again(w, "setup", "Set up your account", v, err)
		return
	}
	if v.First = a.Name == ""; !v.First {
		v.Name = a.Name
	}
	password := r.FormValue("password")
	if password == "" && r.FormValue("again") == "" {
		p.cfg.Show(w, nil, http.StatusOK, "setup", "Set up your account", v)
		return
	}
	if password != r.FormValue("again") {
		v.Problem = "The two passwords differ."
		p.cfg.Show(w, nil, http.StatusBadRequest, "setup", "Set up your account", v)
		return
	}
	secret, err := p.cfg.Accounts.Accept(r.Context(), v.Key, v.Name, password, websession.Client(r))
	if err != nil {
		p.again(w, "setup", "Set up your account", v, err)
		return
	}
	p.cfg.Door.Open(w, secret)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (p *Pages) provePage(w http.ResponseWriter, r *http.Request, who access.Principal) error {
	p.cfg.Show(w, &who, http.StatusOK, "prove", "Prove again who you are",
		p.signView(r, who.Name, r.FormValue("next")))
	return nil
}

func (p *Pages) prove(w http.ResponseWriter, r *http.Request, who access.Principal) error {
	v := p.signView(r, who.Name, r.FormValue("next"))
	handOn := p.handingOn(r)
	secret, err := p.cfg.Accounts.Prove(r.Context(), p.cfg.Door.Secret(r), r.FormValue("password"),
		websession.Client(r))
	if err != nil {
		p.again(w, "prove", "Prove again who you are", v, err)
		return nil
	}
	p.cfg.Door.Open(w, secret)
	handOn(secret)
	if id, ok := strings.CutPrefix(v.Next, againPath); ok {
		now, _ := p.owner(r.Context(), secret)
		if f := p.parked.take(now, id); f != nil {
			return p.carryOut(w, r, f, secret)
		}
	}
	return to(w, r, v.Next)
}
