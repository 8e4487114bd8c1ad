// Package web is the console: pages that show what a Desk shows, and forms that ask what a Desk allows.
//
//	request -> websession.Guard -> route -> principal (websession.Who) -> Desk -> page struct -> template
//
// A handler gets the Desk of whoever asks and returns an error; show turns errors into pages (sign in, prove again,
// 403, 404, 400, 500) in one place. Everything a page says comes from its struct through html/template, which escapes
// it; there is no script or style in a page. Pages can be read and forms sent without script; console.js only makes it
// nicer.
package web

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"postern/internal/operator/access"
	"postern/internal/operator/accounts"
	"postern/internal/operator/admin"
	"postern/internal/operator/live"
	"postern/internal/operator/oidc"
	"postern/internal/operator/past"
	"postern/internal/operator/scope"
	"postern/internal/operator/servers"
	"postern/internal/operator/signin"
	"postern/internal/operator/websession"
)

//go:embed templates/*.html
var templates embed.FS

//go:embed static
var static embed.FS

// maxForm bounds a request that brings rules or a message, smallForm every other.
const (
	maxForm   = 32 << 20
	smallForm = 64 << 10
)

// most bounds the body of a request. Only who is known, or was until the session's time was over, may bring them.
func (c *Console) most(r *http.Request) int64 {
	if r.Method == http.MethodPost && (slices.Contains([]string{"/rules/file", "/rules/edit", "/rules/explain"},
		r.URL.Path) || strings.HasPrefix(r.URL.Path, "/rules/lists/")) {
		if c.signin.Remembered(r) {
			return maxForm
		}
	}
	return smallForm
}

// Config is what the console stands on; all but Log must be set.
type Config struct {
	Service  *admin.Service
	Accounts *accounts.Service
	// OIDC lets people sign in with an account elsewhere; nil offers it not. OIDCButton is what the button says.
	OIDC       *oidc.Provider
	OIDCButton string
	// Secure says that requests come over TLS.
	Secure bool
	// Log hears of faults of the console itself; nil discards.
	Log *slog.Logger
}

// Console serves the pages. Safe for concurrent use.
type Console struct {
	cfg    Config
	door   *websession.Door
	assets assets
	pages  map[string]*template.Template
	mux    *http.ServeMux
	signin *signin.Pages
	notes  notes
}

// New returns the console's handler.
func New(cfg Config) (http.Handler, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	files, err := fs.Sub(static, "static")
	if err != nil {
		return nil, err
	}
	c := &Console{cfg: cfg, door: websession.New(cfg.Accounts, cfg.Secure), pages: map[string]*template.Template{}}
	if c.assets, err = newAssets(files); err != nil {
		return nil, err
	}
	if err := c.parse(); err != nil {
		return nil, err
	}
	forms := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { c.mux.ServeHTTP(w, r) })
	c.signin = signin.New(signin.Config{Accounts: cfg.Accounts, Door: c.door, OIDC: cfg.OIDC,
		OIDCButton: cfg.OIDCButton, Log: cfg.Log, Show: c.render, Said: c.said, Forms: forms,
		Fault: func(err error) (int, string) { f := faultOf(err); return f.Code, f.Text }})
	c.mux = c.routes()
	return c.door.Guard(c.mux, c.most), nil
}

// parse makes one template of each page: the layout and what fills it.
func (c *Console) parse() error {
	names, err := fs.Glob(templates, "templates/*.html")
	if err != nil {
		return err
	}
	base, err := template.New("").Funcs(c.functions()).ParseFS(templates, "templates/layout.html",
		"templates/parts.html")
	if err != nil {
		return err
	}
	for _, name := range names {
		page := strings.TrimSuffix(strings.TrimPrefix(name, "templates/"), ".html")
		if page == "layout" || page == "parts" {
			continue
		}
		own, err := base.Clone()
		if err == nil {
			own, err = own.ParseFS(templates, name)
		}
		if err != nil {
			return fmt.Errorf("page %s: %w", page, err)
		}
		c.pages[page] = own
	}
	return nil
}

// known are the pages and forms for who is known. What somebody may do is asked by the Desk.
func (c *Console) known() map[string]handler {
	return map[string]handler{
		"GET /{$}": c.overview, "GET /live": c.live,
		"GET /trace": c.traces, "GET /trace/{id}": c.message, "GET /trace/{id}/evidence": c.evidence,
		"POST /trace/{id}/content": c.content, "GET /trace/{id}/evidence.json": c.evidenceJSON,
		"GET /queue": c.queue, "POST /queue": c.act, "POST /queue/found": c.actOn, "GET /quarantine": c.quarantine,
		"GET /rules": c.rules, "GET /rules/edit": c.editRule, "POST /rules/edit": c.saveRule,
		"GET /rules/file": c.rulesFile, "POST /rules/file": c.saveFile, "GET /rules/export": c.exportRules,
		"GET /rules/lists": c.lists, "GET /rules/lists/{name}": c.list, "POST /rules/lists/{name}": c.saveList,
		"GET /rules/lists/{name}/export": c.exportList, "GET /rules/exceptions": c.exceptions,
		"POST /rules/exceptions": c.saveException,
		"GET /rules/explain":     c.explain, "POST /rules/explain": c.explain,
		"GET /rules/revisions": c.revisions, "GET /rules/revisions/{n}": c.revision,
		"POST /rules/revisions/{n}": c.rollBack,
		"GET /destinations":         c.destinations, "GET /destinations/{name}": c.destination,
		"POST /destinations/{name}/approve": c.approve, "GET /observed": c.observed, "GET /incoming": c.incoming,
		"GET /reports": c.reports, "GET /reports/{id}": c.report,
		"GET /check": c.checkPage, "POST /check": c.check,
		"GET /gateway": c.settings, "GET /gateway/certificates": c.certificates, "GET /gateway/nodes": c.nodes,
		"POST /gateway/reload": c.reload, "GET /headers": c.headers, "POST /headers": c.headers,
		"GET /audit":    c.audit,
		"GET /accounts": c.accounts, "POST /accounts": c.invite, "POST /accounts/{id}": c.changeAccount,
		"GET /profile": c.profile, "POST /profile/password": c.password, "POST /profile/sessions": c.endSession,
		"POST /profile/tokens": c.tokens,
	}
}

// routes is everything there is.
func (c *Console) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /static/", c.assets.ServeHTTP)
	for pattern, h := range c.signin.Open() {
		mux.HandleFunc(pattern, h)
	}
	for pattern, h := range c.signin.Known() {
		mux.HandleFunc(pattern, c.show(func(r *request) error { return h(r.w, r.Request, r.who) }))
	}
	for pattern, h := range c.known() {
		mux.HandleFunc(pattern, c.show(h))
	}
	refuse := func(w http.ResponseWriter, allowed string) {
		http.Error(w, "This address takes "+allowed+".", http.StatusMethodNotAllowed)
	}
	mux.Handle("/", websession.OtherMethods(mux, refuse, c.show(func(*request) error { return access.ErrNotFound })))
	return mux
}

// request is one request of somebody who is known.
type request struct {
	*http.Request
	w    http.ResponseWriter
	desk *admin.Desk
	who  access.Principal
	sent []byte // the body, where the sender may have to prove again first
}

// handler answers a request, or returns why it does not.
type handler func(r *request) error

// revision is that of the rules which a form was made for.
func (r *request) revision() (int64, error) {
	n, err := strconv.ParseInt(r.PostFormValue("revision"), 10, 64)
	if err != nil {
		return 0, access.BadRequest("the form does not say which rules it was made for; load the page again")
	}
	return n, nil
}

// ctx is the request's context.
func (r *request) ctx() context.Context { return r.Context() }

// show finds out who asks, and makes pages of errors.
func (c *Console) show(h handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		who, err := c.door.Who(r)
		if errors.Is(err, accounts.ErrNotFound) {
			c.unknown(w, r)
			return
		}
		q := &request{Request: r, w: w, desk: c.cfg.Service.For(who), who: who}
		if err == nil {
			q.sent, err = signin.Hold(r, who)
		}
		if err == nil {
			err = h(q)
		}
		if err != nil {
			c.fail(q, err)
		}
	}
}

// unknown sends somebody who is not known to sign in, and afterwards to the page or the form that brought them here.
func (c *Console) unknown(w http.ResponseWriter, r *http.Request) {
	to := "/sign-in"
	if next := c.signin.AfterSignIn(r); next != "" && next != "/" {
		to += "?next=" + url.QueryEscape(next)
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// fault is a page that says why a request was not answered.
type fault struct {
	Code        int
	Title, Text string
	Hint        string
}

func (c *Console) fail(r *request, err error) {
	f := faultOf(told(r, err))
	switch {
	case errors.Is(err, access.ErrStale), errors.Is(err, accounts.ErrStale):
		next := c.signin.AfterProof(r.Request, r.sent)
		http.Redirect(r.w, r.Request, "/prove?next="+url.QueryEscape(next), http.StatusSeeOther)
		return
	case f.Code == http.StatusInternalServerError:
		c.cfg.Log.Warn("console", "path", r.URL.Path, "error", err)
	}
	if f.Code == http.StatusTooManyRequests {
		r.w.Header().Set("Retry-After", "5")
	}
	c.render(r.w, &r.who, f.Code, "fault", f.Title, f)
}

// told is an error as whoever asks may hear it.
func told(r *request, err error) error {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return err
	}
	return r.desk.Tell(err, accounts.ErrBad, accounts.ErrForbidden, accounts.ErrLast, accounts.ErrNotFound,
		accounts.ErrStale, accounts.ErrTaken, accounts.ErrVersion)
}

// faultOf says how an error is told.
func faultOf(err error) fault {
	var large *http.MaxBytesError
	switch {
	case errors.Is(err, access.ErrNotFound), errors.Is(err, accounts.ErrNotFound):
		return fault{404, "Not here", "There is no such page or thing, or none that you may see.",
			"The menu leads to everything you may see."}
	case errors.Is(err, access.ErrForbidden), errors.Is(err, accounts.ErrForbidden):
		return fault{403, "Not allowed", "Your account may not do this.",
			"Ask an administrator of this gateway for another role or scope."}
	case errors.Is(err, admin.ErrRevision), errors.Is(err, accounts.ErrVersion):
		return fault{409, "Changed meanwhile", sentence(err),
			"Go back, load the page again and look at what is there now."}
	case errors.Is(err, access.ErrBadRequest), errors.Is(err, accounts.ErrBad), errors.Is(err, accounts.ErrLast),
		errors.Is(err, accounts.ErrTaken):
		return fault{400, "This cannot be", sentence(err), "Go back and correct it."}
	case errors.Is(err, servers.ErrBusy), errors.Is(err, past.ErrPreviews), errors.Is(err, live.ErrStreams):
		return fault{429, "Busy", sentence(err), ""}
	case errors.Is(err, scope.ErrUnfinished):
		return fault{503, "Not looked at to the end", sentence(err), ""}
	case errors.As(err, &large):
		return fault{413, "Too large", "What was sent is larger than the console takes.", ""}
	}
	return fault{500, "Something failed", sentence(err),
		"The gateway's log says more. What was to be changed may not have been: look before you try again."}
}

// sentence is an error as the beginning of a page reads: with a capital letter and a full stop.
func sentence(err error) string {
	text := err.Error()
	for _, known := range []error{access.ErrBadRequest, accounts.ErrBad} {
		text = strings.TrimPrefix(text, known.Error()+": ")
	}
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

// frame is what every page has around its own struct.
type frame struct {
	Title string
	Page  string
	Who   *access.Principal // nil: nobody is known
	Body  any
}

// render writes a page. A fault of the template leaves nothing half written.
func (c *Console) render(w http.ResponseWriter, who *access.Principal, code int, page, title string, body any) {
	var out bytes.Buffer
	if err := c.pages[page].ExecuteTemplate(&out, "layout", frame{title, page, who, body}); err != nil {
		c.cfg.Log.Error("console", "page", page, "error", err)
		http.Error(w, "The page could not be made; the gateway's log says why.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(code)
	_, _ = w.Write(out.Bytes()) // the reader may have gone
}

func (c *Console) page(r *request, page, title string, body any) error {
	c.render(r.w, &r.who, http.StatusOK, page, title, body)
	return nil
}

// to sends the browser on after a change.
func to(r *request, path string) error {
	http.Redirect(r.w, r.Request, path, http.StatusSeeOther)
	return nil
}
