// Package signin is the pages of the console at which people prove who they are: by a password, a passkey, an account
// elsewhere or the link of an invitation. It keeps what somebody filled in until they have proven it.
//
//	nobody known, session over  -> AfterSignIn keeps the form -> /sign-in -> /again/ID shows it
//	proof too old               -> AfterProof keeps the form  -> /prove carries it out
package signin

import (
	"log/slog"
	"net/http"

	"postern/internal/operator/access"
	"postern/internal/operator/accounts"
	"postern/internal/operator/oidc"
	"postern/internal/operator/websession"
)

// Config is what the pages stand on; all but OIDC must be set.
type Config struct {
	Accounts *accounts.Service
	Door     *websession.Door
	// OIDC lets people sign in with an account elsewhere; nil offers it not. OIDCButton is what the button says.
	OIDC       *oidc.Provider
	OIDCButton string
	Log        *slog.Logger
	// Show writes a page of the console; who is nil where nobody is known.
	Show func(w http.ResponseWriter, who *access.Principal, code int, page, title string, body any)
	// Fault is how the console tells an error.
	Fault func(err error) (code int, text string)
	// Said is a path with what it is to say to somebody.
	Said func(who access.Principal, path, text string) string
	// Forms answers a form that was kept, as if its browser sent it now.
	Forms http.Handler
}

// Pages are the pages. Safe for concurrent use.
type Pages struct {
	cfg    Config
	parked parked
}

// New returns the pages.
func New(cfg Config) *Pages { return &Pages{cfg: cfg} }

// Open are the pages and forms for who is not known yet.
func (p *Pages) Open() map[string]http.HandlerFunc {
	out := map[string]http.HandlerFunc{
		"GET /sign-in": p.signInPage, "POST /sign-in": p.signIn, "POST /sign-out": p.signOut,
		"GET /setup": p.setupPage, "POST /setup": p.setup,
		"POST /passkey/question": p.passkeyQuestion, "POST /passkey/sign-in": p.passkeySignIn,
	}
	if p.cfg.OIDC != nil {
		out["GET /oidc/start"], out["GET /oidc/callback"] = p.oidcStart, p.oidcCallback
	}
	return out
}

// Handler answers a request of somebody who is known, or returns why it does not.
type Handler func(w http.ResponseWriter, r *http.Request, who access.Principal) error

// Known are the pages and forms for who is.
func (p *Pages) Known() map[string]Handler {
	return map[string]Handler{
		"GET /prove": p.provePage, "POST /prove": p.prove, "GET /again/{id}": p.waitingForm,
		"POST /again/{id}": p.sendAgain, "POST /passkey/prove": p.passkeyProve, "POST /passkey/begin": p.passkeyBegin,
		"POST /passkey/finish": p.passkeyFinish, "POST /profile/passkeys": p.deletePasskey,
	}
}

// to sends the browser on after a change.
func to(w http.ResponseWriter, r *http.Request, path string) error {
	http.Redirect(w, r, path, http.StatusSeeOther)
	return nil
}
