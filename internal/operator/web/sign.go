package web

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

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
func (c *Console) signView(r *http.Request, name, next string) signView {
	return signView{Name: name, Next: local(next), Named: c.door.Site(r).Named(),
		Kept: strings.HasPrefix(next, againPath), Elsewhere: c.elsewhere()}
}

func (c *Console) signInPage(w http.ResponseWriter, r *http.Request) {
	if _, err := c.door.Who(r); err == nil {
		http.Redirect(w, r, local(r.FormValue("next")), http.StatusSeeOther)
		return
	}
	c.render(w, nil, http.StatusOK, "signin", "Sign in", c.signView(r, "", r.FormValue("next")))
}

func (c *Console) signIn(w http.ResponseWriter, r *http.Request) {
	if err := c.cfg.Accounts.MayTry(websession.Client(r)); err != nil { // before a byte of the form is read
		c.again(w, "signin", "Sign in", c.signView(r, "", ""), err)
		return
	}
	if err := r.ParseForm(); err != nil {
		c.again(w, "signin", "Sign in", c.signView(r, "", ""), err)
		return
	}
	v := c.signView(r, r.FormValue("name"), r.FormValue("next"))
	handOn := c.handingOn(r)
	secret, err := c.cfg.Accounts.SignIn(r.Context(), v.Name, r.FormValue("password"), c.door.Secret(r),
		websession.Client(r))
	if err != nil {
		c.again(w, "signin", "Sign in", v, err)
		return
	}
	c.door.Open(w, secret)
	handOn(secret)
	http.Redirect(w, r, v.Next, http.StatusSeeOther)
}

// again shows a page of proof with what was wrong.
func (c *Console) again(w http.ResponseWriter, page, title string, v signView, err error) {
	code := http.StatusUnauthorized
	var throttled *accounts.Throttled
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		code, v.Problem = http.StatusRequestEntityTooLarge, "What was sent is larger than the console takes."
	case errors.As(err, &throttled):
		w.Header().Set("Retry-After", strconv.Itoa(1+int(time.Until(throttled.Until).Seconds())))
		code, v.Problem = http.StatusTooManyRequests, "Too many failed attempts. Try again in "+
			rough(time.Until(throttled.Until)+time.Second)+"."
	case errors.Is(err, accounts.ErrWrong):
		v.Problem = "Name and password do not belong together."
	case errors.Is(err, accounts.ErrNotFound):
		v.Problem = "This link was used, has ended or was replaced by a newer one. Links work for one hour."
	case errors.Is(err, accounts.ErrBad), errors.Is(err, accounts.ErrTaken), errors.Is(err, accounts.ErrSetUp):
		code, v.Problem = http.StatusBadRequest, sentence(err)
	default:
		c.cfg.Log.Warn("console", "page", page, "error", err)
		code, v.Problem = http.StatusInternalServerError, "That failed on our side; the gateway's log says why."
	}
	c.render(w, nil, code, page, title, v)
}

func (c *Console) signOut(w http.ResponseWriter, r *http.Request) {
	if secret := c.door.Secret(r); secret != "" {
		if err := c.cfg.Accounts.SignOut(r.Context(), secret, websession.Client(r)); err != nil {
			c.cfg.Log.Warn("console", "page", "sign-out", "error", err) // the cookie goes all the same
		}
	}
	c.door.Shut(w)
	http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
}

// setupPage asks for the secret of the link where script did not put it there, then for what the invitation is about.
func (c *Console) setupPage(w http.ResponseWriter, r *http.Request) {
	c.render(w, nil, http.StatusOK, "setup", "Set up your account", signView{})
}

func (c *Console) setup(w http.ResponseWriter, r *http.Request) {
	v := signView{Name: r.FormValue("name"), Key: r.FormValue("key")}
	a, err := c.cfg.Accounts.Invited(r.Context(), v.Key, websession.Client(r))
	if err != nil {
		v.Key = ""
		c.again(w, "setup", "Set up your account", v, err)
		return
	}
	if v.First = a.Name == ""; !v.First {
		v.Name = a.Name
	}
	password := r.FormValue("password")
	if password == "" && r.FormValue("again") == "" {
		c.render(w, nil, http.StatusOK, "setup", "Set up your account", v)
		return
	}
	if password != r.FormValue("again") {
		v.Problem = "The two passwords differ."
		c.render(w, nil, http.StatusBadRequest, "setup", "Set up your account", v)
		return
	}
	secret, err := c.cfg.Accounts.Accept(r.Context(), v.Key, v.Name, password, websession.Client(r))
	if err != nil {
		c.again(w, "setup", "Set up your account", v, err)
		return
	}
	c.door.Open(w, secret)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (c *Console) provePage(r *request) error {
	return c.page(r, "prove", "Prove again who you are", c.signView(r.Request, r.who.Name, r.FormValue("next")))
}

func (c *Console) prove(r *request) error {
	v := c.signView(r.Request, r.who.Name, r.FormValue("next"))
	handOn := c.handingOn(r.Request)
	secret, err := c.cfg.Accounts.Prove(r.ctx(), c.door.Secret(r.Request), r.FormValue("password"),
		websession.Client(r.Request))
	if err != nil {
		c.again(r.w, "prove", "Prove again who you are", v, err)
		return nil
	}
	c.door.Open(r.w, secret)
	handOn(secret)
	if id, ok := strings.CutPrefix(v.Next, againPath); ok {
		now, _ := c.owner(r.ctx(), secret)
		if f := c.parked.take(now, id); f != nil {
			c.carryOut(r, f, secret)
			return nil
		}
	}
	return to(r, v.Next)
}

// with adds a parameter to a path, for a note after a redirect.
func with(path, key, value string) string {
	u, err := url.Parse(path)
	if err != nil {
		return path
	}
	q := u.Query()
	q.Set(key, value)
	u.RawQuery = q.Encode()
	return u.String()
}
