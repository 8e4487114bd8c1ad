// Package api is the admin interface over HTTP and JSON, and its client: /api/v1, described by /api/v1/openapi.json,
// which is made from the types here. It is served twice, and is the same at both places but for who asks:
//
//	Unix socket in the data directory   whoever may open it (mode 0600) may do everything; the kernel says who it is
//	TCP listener of [admin]             whoever shows a token, as far as the token and its account reach
//
// Every operation is one of admin.Desk or accounts.Service, which authorise; this package only reads and writes. Errors
// are RFC 9457 problems (Problem). Lists that grow without end come in pages: follow next as after, until there is
// none. What can be edited has an ETag; an edit names the one it looked at in If-Match, and is refused with 412 if it
// is not in force any more.
//
// Public serves what may be open to the network: metrics and health, nothing that tells about mail.
package api

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"postern/internal/operator/accounts"
	"postern/internal/operator/admin"
	"postern/internal/operator/websession"
	"postern/internal/policy/rules"
)

// Root is below which path the API answers.
const Root = "/api/v1"

// maxBody bounds a request that brings rules, and every request at the socket.
const maxBody = 32 << 20

// Server answers requests by a Service. Safe for concurrent use.
type Server struct {
	service  *admin.Service
	accounts *accounts.Service
	log      *slog.Logger
	breath   time.Duration
}

// New returns a Server. Faults of the server itself go to log.
func New(service *admin.Service, accounts *accounts.Service, log *slog.Logger) *Server {
	return &Server{service, accounts, log, breath}
}

// AtSocket is the API for a socket that only the administrator can open: whoever asks may do everything.
func (s *Server) AtSocket() http.Handler {
	return s.handler(s.bySocket, func(*http.Request) int64 { return maxBody })
}

// ByToken is the API for a listener that others reach: whoever asks shows a token.
func (s *Server) ByToken() http.Handler { return s.handler(s.byToken, mostByToken) }

// mostByToken bounds the body of a request of somebody who has shown a token.
func mostByToken(r *http.Request) int64 {
	if section, _, _ := cutPath(strings.TrimPrefix(r.URL.Path, Root)); section == "rules" {
		return maxBody
	}
	return SmallBody
}

func (s *Server) handler(who asker, most func(*http.Request) int64) http.Handler {
	mux := http.NewServeMux()
	cfg := huma.DefaultConfig("Postern", "1")
	cfg.Components.Schemas = huma.NewMapRegistry("#/components/schemas/", schemaName)
	cfg.Info.Description = "What administrators ask of the gateway: trace, queue, rules, servers, accounts, audit " +
		"trail."
	// pages of others' scripts, and fields that nobody asked for
	cfg.DocsPath, cfg.SchemasPath, cfg.CreateHooks = "", "", nil
	cfg.RejectUnknownQueryParameters = true // an ignored filter shows too much
	cfg.Components.SecuritySchemes = map[string]*huma.SecurityScheme{"token": {Type: "http", Scheme: "bearer",
		Description: "made in the console, below Your account"}}
	cfg.Security = []map[string][]string{{"token": {}}}
	spec := humago.NewWithPrefix(mux, Root, cfg)
	s.register(spec)
	allowNull(cfg.Components.Schemas)
	refuse := func(w http.ResponseWriter, allowed string) {
		writeProblem(w, &Problem{Code: http.StatusMethodNotAllowed, Text: "this address takes " + allowed})
	}
	mux.Handle("/", websession.OtherMethods(mux, refuse, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, &Problem{Code: http.StatusNotFound, Text: "there is no " + r.Method + " " + r.URL.Path,
			Hint: "client and gateway may be of different releases"})
	})))
	return s.authenticated(who, most, withoutEmpty(mux))
}

// withoutEmpty refuses a parameter that is there and empty: a filter whose value got lost shows everything. Where a
// list begins is no filter.
func withoutEmpty(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, values := range r.URL.Query() {
			if name != "after" && slices.Contains(values, "") {
				writeProblem(w, &Problem{Code: http.StatusBadRequest, Text: "the parameter " + strconv.Quote(name) +
					" is empty", Hint: "give it a value, or leave it out to ask for everything"})
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// desks are the rooms whose types stand in the description by their names alone, and so are never called alike.
func desks() []string {
	return []string{"admin", "live", "mailhosts", "past", "policies", "reports", "scope", "servers", "waiting"}
}

// schemaName is a type's name in the description, with its room before it where that is no desk: RulesWarning.
func schemaName(t reflect.Type, hint string) string {
	name := huma.DefaultSchemaNamer(t, hint)
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	room := path.Base(t.PkgPath())
	if t == reflect.TypeFor[rules.Problem]() {
		room = "rules" // where others know it from
	}
	if t.Name() == "" || room == "api" || room == "." || slices.Contains(desks(), room) ||
		strings.HasPrefix(name, "Page") {
		return name
	}
	return strings.ToUpper(room[:1]) + room[1:] + name
}

// register names every operation.
func (s *Server) register(spec huma.API) {
	s.registerTrace(spec)
	s.registerQueue(spec)
	s.registerRules(spec)
	s.registerLists(spec)
	s.registerExceptions(spec)
	s.registerRevisions(spec)
	s.registerPeers(spec)
	s.registerPolicies(spec)
	s.registerReports(spec)
	s.registerGateway(spec)
	s.registerCheck(spec)
	s.registerEvents(spec)
	s.registerFigures(spec)
	s.registerAccounts(spec)
}

// Serve answers at a Unix socket until ctx ends, lets running requests finish for a moment, and closes l.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	return serve(ctx, l, s.AtSocket(), 0, s.log) // a list may be long and its reader slow
}

// ServePublic answers at the TCP listener of [admin] until ctx ends, at most so many connections at a time; 0 is
// DefaultConnections.
func ServePublic(ctx context.Context, l net.Listener, most int, h http.Handler, log *slog.Logger) error {
	return serve(ctx, newGuests(l, most), h, time.Minute, log)
}

// serve answers at l until ctx ends. write bounds one answer, 0 is no bound.
func serve(ctx context.Context, l net.Listener, h http.Handler, write time.Duration, log *slog.Logger) error {
	h = later(h)
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, WriteTimeout: write,
		IdleTimeout:    2 * time.Minute,
		MaxHeaderBytes: 64 << 10, ConnContext: withPeer, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context { return ctx }} // so that streams end with the gateway
	if g, ok := l.(*guests); ok {
		srv.Handler, srv.ConnState, srv.ConnContext, srv.IdleTimeout = g.answering(h), g.state, withGuest,
			30*time.Second
	}
	stopped := make(chan error, 1)
	go func() { stopped <- srv.Serve(l) }()
	select {
	case err := <-stopped:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := srv.Shutdown(grace); err != nil {
		_ = srv.Close() // what did not end in time is cut
	}
	if err := <-stopped; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// operation adds one operation. Whatever do returns as an error becomes a Problem.
func operation[In, Out any](s *Server, spec huma.API, method, at, id, summary string,
	do func(ctx context.Context, in *In) (*Out, error)) {
	section, _, _ := cutPath(at)
	op := huma.Operation{Method: method, Path: at, OperationID: id, Summary: summary, Tags: []string{section},
		MaxBodyBytes: maxBody, BodyReadTimeout: -1,
		Responses: map[string]*huma.Response{"default": {Description: "What went wrong (RFC 9457)",
			Content: map[string]*huma.MediaType{
				problemType: {Schema: spec.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[Problem](), true,
					"")}}}}}
	huma.Register(spec, op, func(ctx context.Context, in *In) (*Out, error) {
		out, err := do(ctx, in)
		if err != nil {
			return nil, s.problem(ctx, err)
		}
		return out, nil
	})
}

// body is an answer that is nothing but a value.
type body[T any] struct{ Body T }

func answer[T any](v T, err error) (*body[T], error) { return &body[T]{v}, err }

// none is a request without parameters.
type none struct{}
