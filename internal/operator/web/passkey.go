package web

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	"postern/internal/operator/accounts"
	"postern/internal/operator/websession"
)

// Script asks these, and gets JSON: what to hand to the browser's own dialog, or where to go next.

// maxAnswer bounds what a browser answers about a passkey.
const maxAnswer = 64 << 10

// outcome is what script does next.
type outcome struct {
	Next    string `json:"next,omitempty"`
	Problem string `json:"problem,omitempty"`
}

func (c *Console) passkeyQuestion(w http.ResponseWriter, r *http.Request) {
	options, err := c.cfg.Accounts.BeginPasskeyProof(r.Context(), c.door.Site(r))
	c.say(w, options, err)
}

func (c *Console) passkeySignIn(w http.ResponseWriter, r *http.Request) {
	answer, next, err := readAnswer(r)
	if err != nil {
		c.say(w, nil, err)
		return
	}
	handOn := c.handingOn(r)
	secret, err := c.cfg.Accounts.SignInByPasskey(r.Context(), c.door.Site(r), answer, c.door.Secret(r),
		websession.Client(r))
	if err == nil {
		handOn(secret)
	}
	c.opened(w, secret, next, err)
}

func (c *Console) passkeyProve(r *request) error {
	answer, next, err := readAnswer(r.Request)
	if err != nil {
		c.say(r.w, nil, err)
		return nil
	}
	handOn := c.handingOn(r.Request)
	secret, err := c.cfg.Accounts.ProveByPasskey(r.ctx(), c.door.Secret(r.Request), c.door.Site(r.Request), answer,
		websession.Client(r.Request))
	if err == nil {
		handOn(secret)
	}
	c.opened(r.w, secret, next, err)
	return nil
}

func (c *Console) passkeyBegin(r *request) error {
	options, err := c.cfg.Accounts.BeginPasskey(r.ctx(), r.who, c.door.Site(r.Request))
	if errors.Is(err, accounts.ErrStale) {
		back := "/profile?device=" + url.QueryEscape(r.URL.Query().Get("name")) // what was filled in
		c.sayOutcome(r.w, http.StatusForbidden, outcome{Next: "/prove?next=" + url.QueryEscape(back)})
		return nil
	}
	c.say(r.w, options, err)
	return nil
}

func (c *Console) passkeyFinish(r *request) error {
	answer, _, err := readAnswer(r.Request)
	if err == nil {
		err = c.cfg.Accounts.FinishPasskey(r.ctx(), r.who, c.door.Site(r.Request), r.URL.Query().Get("name"), answer)
	}
	if err != nil {
		c.say(r.w, nil, err)
		return nil
	}
	c.sayOutcome(r.w, http.StatusOK, outcome{Next: c.said(r, "/profile", "the passkey was added")})
	return nil
}

func (c *Console) deletePasskey(r *request) error {
	if err := c.cfg.Accounts.DeletePasskey(r.ctx(), r.who, r.PostFormValue("delete")); err != nil {
		return err
	}
	return c.toSay(r, "/profile", "the passkey was deleted")
}

// readAnswer reads what the browser's dialog gave, and where to go afterwards.
func readAnswer(r *http.Request) (answer []byte, next string, err error) {
	answer, err = io.ReadAll(io.LimitReader(r.Body, maxAnswer))
	return answer, local(r.URL.Query().Get("next")), err
}

// opened gives the browser a session and says where to go.
func (c *Console) opened(w http.ResponseWriter, secret, next string, err error) {
	if err != nil {
		c.say(w, nil, err)
		return
	}
	c.door.Open(w, secret)
	c.sayOutcome(w, http.StatusOK, outcome{Next: next})
}

// say answers script with options, or with what is wrong.
func (c *Console) say(w http.ResponseWriter, options []byte, err error) {
	if err == nil {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(options) // the reader may have gone
		return
	}
	f := faultOf(err)
	o := outcome{Problem: f.Text}
	var throttled *accounts.Throttled
	switch {
	case errors.Is(err, accounts.ErrWrong):
		f.Code, o.Problem = http.StatusUnauthorized, "This passkey is not known here."
	case errors.As(err, &throttled):
		f.Code, o.Problem = http.StatusTooManyRequests, "Too many failed attempts. Try again in "+
			rough(time.Until(throttled.Until)+time.Second)+"."
	case f.Code == http.StatusInternalServerError:
		c.cfg.Log.Warn("console", "passkey", "", "error", err)
	}
	c.sayOutcome(w, f.Code, o)
}

func (c *Console) sayOutcome(w http.ResponseWriter, code int, o outcome) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(o) // the reader may have gone
}
