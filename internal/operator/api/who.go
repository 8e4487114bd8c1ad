package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"postern/internal/operator/access"
	"postern/internal/operator/accounts"
	"postern/internal/operator/admin"
	"postern/internal/operator/servers"
)

// byHeader is how the client at the socket names the person at the keyboard, for the audit trail.
const byHeader = "Postern-By"

// asker tells who asks.
type asker func(r *http.Request) (access.Principal, error)

// bySocket is who opened the socket, as the kernel says and as the client names him.
func (s *Server) bySocket(r *http.Request) (access.Principal, error) {
	return access.Root(by(r.Context(), r.Header.Get(byHeader))), nil
}

var errNoToken = errors.New("show a token, in the field Authorization after the word Bearer")

// byToken is whom the token of the request speaks for.
func (s *Server) byToken(r *http.Request) (access.Principal, error) {
	// The scheme is compared without regard to case (RFC 9110 §11.1).
	scheme, key, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return access.Principal{}, errNoToken
	}
	p, err := s.accounts.ByToken(r.Context(), strings.TrimSpace(key), accounts.ClientAt(r.RemoteAddr, r.UserAgent()))
	if errors.Is(err, accounts.ErrNotFound) {
		return p, errors.New("this token is not known, has ended, or its account is disabled")
	}
	return p, err
}

type whoKey struct{}

// stillKey is under which a request's context has whether whoever asks is still let in.
type stillKey struct{}

// still asks again who asks, for answers that take long: a token may have been deleted, or its account.
func still(ctx context.Context) bool {
	ask, ok := ctx.Value(stillKey{}).(func() bool)
	return ok && ask()
}

// authenticated finds out who asks before anything else, but for the description of the API, which tells nothing.
func (s *Server) authenticated(who asker, most func(*http.Request) int64, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		if !strings.HasPrefix(r.URL.Path, Root+"/openapi") {
			p, err := who(r)
			if err != nil {
				w.Header().Set("WWW-Authenticate", "Bearer")
				writeProblem(w, &Problem{Code: http.StatusUnauthorized, Text: err.Error(),
					Hint: "the console makes tokens, below Your account"})
				return
			}
			asked := r
			again := func() bool { _, err := who(asked); return err == nil }
			r = r.WithContext(context.WithValue(context.WithValue(r.Context(), whoKey{}, p), stillKey{}, again))
		}
		if r.URL.Path == Root+"/check" {
			// not every writer can; then its own holds
			_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(servers.CheckTime + time.Minute))
		}
		if r.URL.Path == Root+"/events" {
			if err := s.desk(r.Context()).MayWatch(); err != nil { // before an answer has begun
				writeProblem(w, s.problem(r.Context(), err))
				return
			}
		}
		r.Body = http.MaxBytesReader(w, r.Body, most(r))
		next.ServeHTTP(w, r)
	})
}

// principal is who asks.
func principal(ctx context.Context) access.Principal {
	p, _ := ctx.Value(whoKey{}).(access.Principal)
	return p
}

// named is who asks, for changes that must not be nobody's.
func named(ctx context.Context) (access.Principal, error) {
	p := principal(ctx)
	if strings.TrimSpace(p.Name) == "" {
		return p, access.ErrWho
	}
	return p, nil
}

// desk is the Service as whoever asks sees it.
func (s *Server) desk(ctx context.Context) *admin.Desk { return s.service.For(principal(ctx)) }
