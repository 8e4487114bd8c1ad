package signin

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"

	"postern/internal/operator/access"
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

func (p *Pages) passkeyQuestion(w http.ResponseWriter, r *http.Request) {
	options, err := p.cfg.Accounts.BeginPasskeyProof(r.Context(), p.cfg.Door.Site(r))
	p.say(w, options, err)
}

func (p *Pages) passkeySignIn(w http.ResponseWriter, r *http.Request) {
	answer, next, err := readAnswer(r)
	if err != nil {
		p.say(w, nil, err)
		return
	}
	handOn := p.handingOn(r)
	secret, err := p.cfg.Accounts.SignInByPasskey(r.Context(), p.cfg.Door.Site(r), answer, p.cfg.Door.Secret(r),
		websession.Client(r))
	if err == nil {
		handOn(secret)
	}
	p.opened(w, secret, next, err)
}

func (p *Pages) passkeyProve(w http.ResponseWriter, r *http.Request, _ access.Principal) error {
	answer, next, err := readAnswer(r)
	if err != nil {
		p.say(w, nil, err)
		return nil
	}
	handOn := p.handingOn(r)
	secret, err := p.cfg.Accounts.ProveByPasskey(r.Context(), p.cfg.Door.Secret(r), p.cfg.Door.Site(r), answer,
		websession.Client(r))
	if err == nil {
		handOn(secret)
	}
	p.opened(w, secret, next, err)
	return nil
}

func (p *Pages) passkeyBegin(w http.ResponseWriter, r *http.Request, who access.Principal) error {
	options, err := p.cfg.Accounts.BeginPasskey(r.Context(), who, p.cfg.Door.Site(r))
	if errors.Is(err, accounts.ErrStale) {
		back := "/profile?device=" + url.QueryEscape(r.URL.Query().Get("name")) // what was filled in
		p.sayOutcome(w, http.StatusForbidden, outcome{Next: "/prove?next=" + url.QueryEscape(back)})
		return nil
	}
	p.say(w, options, err)
	return nil
}

func (p *Pages) passkeyFinish(w http.ResponseWriter, r *http.Request, who access.Principal) error {
	answer, _, err := readAnswer(r)
	if err == nil {
		err = p.cfg.Accounts.FinishPasskey(r.Context(), who, p.cfg.Door.Site(r), r.URL.Query().Get("name"), answer)
	}
	if err != nil {
		p.say(w, nil, err)
		return nil
	}
	p.sayOutcome(w, http.StatusOK, outcome{Next: p.cfg.Said(who, "/profile", "the passkey was added")})
	return nil
}

func (p *Pages) deletePasskey(w http.ResponseWriter, r *http.Request, who access.Principal) error {
	if err := p.cfg.Accounts.DeletePasskey(r.Context(), who, r.PostFormValue("delete")); err != nil {
		return err
	}
	return to(w, r, p.cfg.Said(who, "/profile", "the passkey was deleted"))
}

// readAnswer reads what the browser's dialog gave, and where to go afterwards.
func readAnswer(r *http.Request) (answer []byte, next string, err error) {
	answer, err = io.ReadAll(io.LimitReader(r.Body, maxAnswer))
	return answer, websession.Local(r.URL.Query().Get("next")), err
}

// opened gives the browser a session and says where to go.
func (p *Pages) opened(w http.ResponseWriter, secret, next string, err error) {
	if err != nil {
		p.say(w, nil, err)
		return
	}
	p.cfg.Door.Open(w, secret)
	p.sayOutcome(w, http.StatusOK, outcome{Next: next})
}

// say answers script with options, or with what is wrong.
func (p *Pages) say(w http.ResponseWriter, options []byte, err error) {
	if err == nil {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(options) // the reader may have gone
		return
	}
	code, text := p.cfg.Fault(err)
	o := outcome{Problem: text}
	var throttled *accounts.Throttled
	switch {
	case errors.Is(err, accounts.ErrWrong):
		code, o.Problem = http.StatusUnauthorized, "This passkey is not known here."
	case errors.As(err, &throttled):
		code, o.Problem = http.StatusTooManyRequests, throttled.Say()
	case code == http.StatusInternalServerError:
		p.cfg.Log.Warn("console", "passkey", "", "error", err)
	}
	p.sayOutcome(w, code, o)
}

func (p *Pages) sayOutcome(w http.ResponseWriter, code int, o outcome) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(o) // the reader may have gone
}
