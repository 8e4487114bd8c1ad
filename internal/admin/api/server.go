// Package api is the admin interface over HTTP and JSON, at a Unix socket in the data directory, and its client.
//
//	GET  /v1/deliveries        the trace: newline-delimited objects; the parameters are the fields of admin.Query
//	POST /v1/queue             admin.ActRequest -> admin.ActResult
//	GET  /v1/rules             admin.RulesView
//	POST /v1/rules             admin.ApplyRequest -> admin.ApplyResult
//	POST /v1/rules/explain     admin.ExplainRequest -> admin.Explanation
//	GET  /v1/peers             newline-delimited admin.Peer; parameters name (any number) and limit
//	GET  /v1/peers/missing     admin.Missing; parameters host and addr ("192.0.2.1:25")
//	POST /v1/peers/forget      admin.ForgetRequest -> admin.ForgetResult
//	GET  /v1/peers/pins        newline-delimited mxtrust.Pin; parameter domain
//	POST /v1/peers/approve     admin.ApproveRequest -> admin.ApproveResult
//	POST /v1/peers/unpin       admin.UnpinRequest -> admin.UnpinResult
//	GET  /v1/accounts          newline-delimited accounts.Account
//	POST /v1/accounts/invite   InviteRequest -> InviteResult
//	POST /v1/accounts/change   AccountRequest -> AccountResult
//	GET  /v1/audit             newline-delimited ledger.Entry, newest first
//	GET  /v1/status            admin.Status
//
// An error is {"error", "hint", "problems"} with a status of 4xx or 5xx; inside a list it is the last line. Who may open
// the socket (mode 0600) may ask for everything; the kernel's word for who that is goes into the audit trail.
//
// Public serves what may be open to the network: metrics and health, nothing that tells about mail.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"postern/internal/accounts"
	"postern/internal/admin"
	"postern/internal/policy/rules"
)

// maxBody bounds a request: a rules file of 10,000 rules, or the header of a message.
const maxBody = 32 << 20

// Server answers requests by a Service.
type Server struct {
	service  *admin.Service
	accounts *accounts.Service
	log      *slog.Logger
}

// New returns a Server. Faults of the server itself go to log.
func New(service *admin.Service, accounts *accounts.Service, log *slog.Logger) *Server {
	return &Server{service, accounts, log}
}

// Handler is the admin interface; callers serve it at a socket that only the administrator can open.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/deliveries", s.deliveries)
	mux.HandleFunc("POST /v1/queue", s.act)
	mux.HandleFunc("GET /v1/rules", s.rules)
	mux.HandleFunc("POST /v1/rules", s.apply)
	mux.HandleFunc("POST /v1/rules/explain", s.explain)
	mux.HandleFunc("GET /v1/peers", s.peers)
	mux.HandleFunc("GET /v1/peers/missing", s.missing)
	mux.HandleFunc("POST /v1/peers/forget", s.forget)
	mux.HandleFunc("GET /v1/peers/pins", s.pins)
	mux.HandleFunc("POST /v1/peers/approve", s.approve)
	mux.HandleFunc("POST /v1/peers/unpin", s.unpin)
	mux.HandleFunc("GET /v1/accounts", s.accountList)
	mux.HandleFunc("POST /v1/accounts/invite", s.invite)
	mux.HandleFunc("POST /v1/accounts/change", s.changeAccount)
	mux.HandleFunc("GET /v1/audit", s.audit)
	mux.HandleFunc("GET /v1/status", s.status)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeError(w, http.StatusNotFound, Problem{Text: "there is no " + r.Method + " " + r.URL.Path, Hint: "client and gateway may be of different releases"})
	})
	return mux
}

// Serve answers at l until ctx ends, lets running requests finish for a moment, and closes l.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	return serve(ctx, l, s.Handler(), 0, s.log) // a list may be long and its reader slow
}

// ServePublic answers metrics and health at l until ctx ends; see Public.
func ServePublic(ctx context.Context, l net.Listener, h http.Handler, log *slog.Logger) error {
	return serve(ctx, l, h, time.Minute, log)
}

// serve answers at l until ctx ends. write bounds one answer, 0 is no bound.
func serve(ctx context.Context, l net.Listener, h http.Handler, write time.Duration, log *slog.Logger) error {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, WriteTimeout: write, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 64 << 10, ConnContext: withPeer, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
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

func (s *Server) deliveries(w http.ResponseWriter, r *http.Request) {
	q, err := decodeQuery(r.URL.Query())
	if err != nil {
		s.fail(w, err)
		return
	}
	out := lines{w: w}
	for t, err := range s.service.Traces(r.Context(), q) {
		if err != nil {
			out.fail(s, err)
			return
		}
		if out.write(t) != nil {
			return // the reader went away
		}
	}
	out.end()
}

func (s *Server) audit(w http.ResponseWriter, r *http.Request) {
	limit, err := number(r.URL.Query(), "limit")
	if err != nil {
		s.fail(w, err)
		return
	}
	entries, err := s.service.Audit(r.Context(), limit)
	if err != nil {
		s.fail(w, err)
		return
	}
	out := lines{w: w}
	for _, e := range entries {
		e.At = e.At.UTC()
		if out.write(e) != nil {
			return
		}
	}
	out.end()
}

func (s *Server) act(w http.ResponseWriter, r *http.Request) {
	handle(s, w, r, func(ctx context.Context, q admin.ActRequest) (admin.ActResult, error) {
		q.By = by(ctx, q.By)
		return s.service.Act(ctx, q)
	})
}

func (s *Server) apply(w http.ResponseWriter, r *http.Request) {
	handle(s, w, r, func(ctx context.Context, q admin.ApplyRequest) (admin.ApplyResult, error) {
		q.By = by(ctx, q.By)
		return s.service.ApplyRules(ctx, q)
	})
}

func (s *Server) explain(w http.ResponseWriter, r *http.Request) { handle(s, w, r, s.service.Explain) }

func (s *Server) rules(w http.ResponseWriter, r *http.Request) {
	v, err := s.service.Rules(r.Context())
	s.answer(w, v, err)
}

func (s *Server) status(w http.ResponseWriter, r *http.Request) {
	v, err := s.service.Status(r.Context())
	s.answer(w, v, err)
}

// handle reads a request, carries it out and answers.
func handle[Req, Res any](s *Server, w http.ResponseWriter, r *http.Request, do func(context.Context, Req) (Res, error)) {
	var q Req
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	dec.DisallowUnknownFields() // a wish that this release does not know is not ignored
	if err := dec.Decode(&q); err != nil {
		writeError(w, http.StatusBadRequest, Problem{Text: "the request cannot be read: " + err.Error(), Hint: "client and gateway may be of different releases"})
		return
	}
	if _, err := dec.Token(); err != io.EOF {
		writeError(w, http.StatusBadRequest, Problem{Text: "something follows the request"})
		return
	}
	v, err := do(r.Context(), q)
	s.answer(w, v, err)
}

func (s *Server) answer(w http.ResponseWriter, v any, err error) {
	if err != nil {
		s.fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = encoder(w).Encode(v) // the reader may have gone
}

func (s *Server) fail(w http.ResponseWriter, err error) {
	code, p := problemOf(err)
	if code >= 500 {
		s.log.Warn("admin request failed", "error", err)
	}
	writeError(w, code, p)
}

// problemOf says how an error is told.
func problemOf(err error) (code int, p Problem) {
	p.Text = err.Error()
	if broken, ok := errors.AsType[*rules.ParseError](err); ok && !errors.Is(err, admin.ErrNoRules) {
		p.Text, p.Hint, p.Problems = broken.File+" is not valid; the rules in force stay in force", "correct the file and apply it again", broken.Problems
		return http.StatusUnprocessableEntity, p
	}
	switch {
	case errors.Is(err, admin.ErrBadRequest), errors.Is(err, admin.ErrWho), errors.Is(err, accounts.ErrBad), errors.Is(err, accounts.ErrLast),
		errors.Is(err, accounts.ErrNotFound):
		return http.StatusBadRequest, p
	case errors.Is(err, admin.ErrRevision):
		p.Hint = "look at the difference again with `postern rules apply --dry-run FILE`"
		return http.StatusConflict, p
	case errors.Is(err, admin.ErrNoRules):
		p.Hint = "no mail is accepted until the rules can be read; `postern rules apply FILE` puts new ones in force"
	}
	return http.StatusInternalServerError, p
}

// encoder writes JSON for programs and terminals, not for a page: angle brackets stay readable.
func encoder(w io.Writer) *json.Encoder {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc
}

func writeError(w http.ResponseWriter, code int, p Problem) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = encoder(w).Encode(p) // the reader may have gone
}

// lines writes a list: one object a line, sent in portions. Until the first line an error can still have a status.
type lines struct {
	w     http.ResponseWriter
	enc   *json.Encoder
	count int
}

func (l *lines) start() {
	if l.enc == nil {
		l.w.Header().Set("Content-Type", "application/x-ndjson")
		l.enc = encoder(l.w)
	}
}

func (l *lines) write(v any) error {
	l.start()
	if l.count++; l.count%100 == 0 {
		_ = http.NewResponseController(l.w).Flush() // not every writer can; then it comes later
	}
	return l.enc.Encode(v)
}

func (l *lines) fail(s *Server, err error) {
	if l.enc == nil {
		s.fail(l.w, err)
		return
	}
	_, p := problemOf(err)
	_ = l.enc.Encode(p) // the reader may have gone
}

func (l *lines) end() { l.start() }
