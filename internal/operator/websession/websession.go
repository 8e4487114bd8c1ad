// Package websession stands in front of the console: it tells who asks, and keeps away what another site's page sends.
//
//	cookie -> Who -> access.Principal        sessions of accounts.Service
//	Guard                                    cross-origin requests refused, headers that pages need
//
// The cookie holds a secret and nothing else. Over TLS it is __Host-postern: Secure, for this host and every path, so
// that no other host or plain page can plant one. A plain listener is for loopback only; there it is called postern.
package websession

import (
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"postern/internal/operator/access"
	"postern/internal/operator/accounts"
)

// Policy is the content security policy of every page: nothing from elsewhere, nothing inline.
const Policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// Door tells who asks. Safe for concurrent use.
type Door struct {
	accounts *accounts.Service
	secure   bool
}

// New returns a Door. secure says that requests come over TLS.
func New(a *accounts.Service, secure bool) *Door { return &Door{a, secure} }

func (d *Door) cookie() string {
	if d.secure {
		return "__Host-postern"
	}
	return "postern"
}

// Secret is the session's secret that a request holds, "" for none.
func (d *Door) Secret(r *http.Request) string {
	c, err := r.Cookie(d.cookie())
	if err != nil {
		return ""
	}
	return c.Value
}

// Carry makes a request hold the secret of a session, and no other.
func (d *Door) Carry(r *http.Request, secret string) {
	r.Header.Del("Cookie")
	r.AddCookie(d.make(secret, 0))
}

// Open gives the browser the secret of a session.
func (d *Door) Open(w http.ResponseWriter, secret string) { http.SetCookie(w, d.make(secret, 0)) }

// Shut takes the secret away.
func (d *Door) Shut(w http.ResponseWriter) { http.SetCookie(w, d.make("", -1)) }

func (d *Door) make(value string, age int) *http.Cookie {
	return &http.Cookie{Name: d.cookie(), Value: value, Path: "/", MaxAge: age, Secure: d.secure, HttpOnly: true,
		SameSite: http.SameSiteLaxMode}
}

// ByItself is the header of requests that a page makes without its reader; they do not keep a session alive.
const ByItself = "Postern-By-Itself"

// Who returns who asks; accounts.ErrNotFound when nobody proved to be anybody.
func (d *Door) Who(r *http.Request) (access.Principal, error) {
	secret := d.Secret(r)
	if secret == "" {
		return access.Principal{}, accounts.ErrNotFound
	}
	if r.Method == http.MethodGet && r.Header.Get(ByItself) != "" {
		return d.accounts.Glance(r.Context(), secret)
	}
	p, _, err := d.accounts.BySession(r.Context(), secret)
	return p, err
}

// Still reports whether the session of a request that takes long still holds.
func (d *Door) Still(r *http.Request) bool {
	_, err := d.accounts.Glance(r.Context(), d.Secret(r))
	return err == nil
}

// Lend gives the browser a secret under a name of its own for a short while; it comes back on GET requests that another
// site leads to.
func (d *Door) Lend(w http.ResponseWriter, name, secret string, most time.Duration) {
	c := d.make(secret, int(most/time.Second))
	c.Name += "-" + name
	if secret == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

// Lent is the secret that was lent under a name, "" for none.
func (d *Door) Lent(r *http.Request, name string) string {
	c, err := r.Cookie(d.cookie() + "-" + name)
	if err != nil {
		return ""
	}
	return c.Value
}

// Site is the console as the browser of a request reaches it.
func (d *Door) Site(r *http.Request) accounts.Site {
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	scheme := "http://"
	if d.secure {
		scheme = "https://"
	}
	return accounts.Site{Host: strings.ToLower(host), Origin: scheme + strings.ToLower(r.Host)}
}

// Client is where a request comes from.
func Client(r *http.Request) accounts.Client {
	return accounts.ClientAt(r.RemoteAddr, r.UserAgent())
}

// Guard refuses requests that another site's page made a browser send, bounds their bodies to most bytes, and sets the
// headers of pages.
func (d *Door) Guard(next http.Handler, most func(*http.Request) int64) http.Handler {
	var cross http.CrossOriginProtection
	return cross.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", Policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
		h.Set("Cache-Control", "no-store")
		if d.secure {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		r.Body = http.MaxBytesReader(w, r.Body, most(r))
		next.ServeHTTP(w, r)
	}))
}

// Local is a path of this console to go back to; anything else becomes "/".
func Local(path string) string {
	u, err := url.Parse(path)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") ||
		strings.ContainsAny(path, "\\\r\n") {
		return "/"
	}
	return path
}

// Referer is the page of this console that a request came from, "/" for none.
func Referer(r *http.Request) string {
	u, err := url.Parse(r.Referer())
	if err != nil || u.Host != r.Host {
		return "/"
	}
	return Local(u.RequestURI())
}
