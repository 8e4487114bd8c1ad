package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"postern/internal/gateway/inforce"
	"postern/internal/operator/access"
	"postern/internal/operator/accounts"
	"postern/internal/operator/admin"
	"postern/internal/operator/live"
	"postern/internal/operator/past"
	"postern/internal/operator/scope"
	"postern/internal/operator/servers"
	"postern/internal/policy/rules"
	"postern/internal/queue"
)

// Problem is an error on the wire (RFC 9457). It is an error too: the client returns it as it came.
type Problem struct {
	Title string `json:"title,omitempty"` // of the status
	Code  int    `json:"status"`          // of HTTP
	Text  string `json:"detail"`
	Hint  string `json:"hint,omitempty"`
	// Kind is NotFound where the request names what is not there, or what whoever asks may not see; Unknown are these
	// names where it names several things.
	Kind    string   `json:"code,omitempty"`
	Unknown []string `json:"unknown,omitempty"`
	// Problems are the single faults of a file, with their places.
	Problems []rules.Problem `json:"problems,omitempty"`
	// Errors are what is wrong with single values of the request.
	Errors []*huma.ErrorDetail `json:"errors,omitempty"`
}

// Error returns the text without hint and list.
func (p *Problem) Error() string { return p.Text }

// join says in the text what Errors say, where it does not.
func (p *Problem) join() {
	between := ": "
	for _, e := range p.Errors {
		if !strings.Contains(p.Text, e.Message) {
			p.Text += between + e.Error()
			between = "; "
		}
	}
}

// GetStatus is the HTTP status.
func (p *Problem) GetStatus() int { return p.Code }

// ContentType is that of problems.
func (p *Problem) ContentType(string) string { return problemType }

// NotFound is the Problem.Kind of a name that stands for nothing, apart from an address that is no operation.
const NotFound = "not-found"

// missing is the answer to a request that names only what is not there.
func missing(names []string, format string, args ...any) *Problem {
	return titled(&Problem{Code: http.StatusNotFound, Kind: NotFound, Unknown: names,
		Text: fmt.Sprintf(format, args...)})
}

const problemType = "application/problem+json"

func titled(p *Problem) *Problem {
	p.Title = http.StatusText(p.Code)
	return p
}

// problem says how an error is told to whoever asks, and logs what is our own fault.
func (s *Server) problem(ctx context.Context, err error) *Problem {
	if own, ok := errors.AsType[*Problem](err); ok { // about the request alone
		return titled(own)
	}
	p := problemOf(s.desk(ctx).Tell(err, accounts.ErrBad, accounts.ErrForbidden, accounts.ErrLast, accounts.ErrNotFound,
		accounts.ErrSetUp, accounts.ErrStale, accounts.ErrTaken, accounts.ErrVersion, errNoMatch))
	if p.Code >= 500 {
		s.log.Warn("admin request failed", "error", err)
	}
	return titled(p)
}

var errNoMatch = errors.New("name what you looked at: If-Match with the ETag of the rules, or * to change them " +
	"whatever they are")

func problemOf(err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	p := &Problem{Code: http.StatusInternalServerError, Text: err.Error()}
	if broken, ok := errors.AsType[*rules.ParseError](err); ok && !errors.Is(err, inforce.ErrNoRules) {
		p.Code, p.Text, p.Hint, p.Problems = http.StatusUnprocessableEntity,
			broken.File+" is not valid; the rules in force stay in force",
			"correct the file and apply it again", broken.Problems
		return p
	}
	if wrong, ok := errors.AsType[*access.FieldsError](err); ok {
		p.Text, p.Hint = wrong.Why.Error()+": "+wrong.Error(), wrong.Faults[0].Hint
		for _, f := range wrong.Faults {
			p.Errors = append(p.Errors, &huma.ErrorDetail{Message: f.What, Location: "body." + f.Field})
		}
	}
	is := func(these ...error) bool {
		for _, one := range these {
			if errors.Is(err, one) {
				return true
			}
		}
		return false
	}
	switch {
	case is(access.ErrBadRequest, access.ErrWho, accounts.ErrBad, accounts.ErrLast, accounts.ErrTaken):
		p.Code = http.StatusBadRequest
	case is(access.ErrNotFound, accounts.ErrNotFound):
		p.Code, p.Kind = http.StatusNotFound, NotFound
	case is(access.ErrForbidden, accounts.ErrForbidden):
		p.Code, p.Hint = http.StatusForbidden, cmp.Or(p.Hint,
			"the token's scopes and its account's role and domains say what it may")
	case is(access.ErrStale, accounts.ErrStale):
		p.Code, p.Text, p.Hint = http.StatusForbidden, "this needs somebody who proves who he is",
			"do it in the console, or at the gateway with `postern`"
	case errors.Is(err, accounts.ErrSetUp):
		p.Code, p.Hint = http.StatusConflict, "`postern accounts invite NAME` makes a link for somebody else, or "+
			"for who lost a password"
	case errors.Is(err, admin.ErrNotTaken):
		p.Code, p.Hint = http.StatusConflict, "`postern config check` shows what is wrong"
	case is(servers.ErrBusy, past.ErrPreviews, live.ErrStreams):
		p.Code = http.StatusTooManyRequests
	case errors.Is(err, scope.ErrUnfinished):
		p.Code = http.StatusServiceUnavailable
	case errors.Is(err, queue.ErrNoDatabase):
		p.Code, p.Hint = http.StatusServiceUnavailable, "try again in a moment; `postern config check` says what is "+
			"wrong with the database, where something is"
	case errors.Is(err, errNoMatch):
		p.Code = http.StatusPreconditionRequired
	case is(admin.ErrRevision, accounts.ErrVersion):
		p.Code, p.Hint = http.StatusPreconditionFailed,
			"look at the difference again with `postern rules apply --dry-run FILE`"
	case is(inforce.ErrNoRules):
		p.Hint = "no mail is accepted until the rules can be read; `postern rules apply FILE` puts new ones in force"
	}
	return p
}

// writeProblem answers before the library has seen the request.
func writeProblem(w http.ResponseWriter, p *Problem) {
	w.Header().Set("Content-Type", problemType)
	if p.Code == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "5")
	}
	w.WriteHeader(p.Code)
	_ = encoder(w).Encode(titled(p)) // the reader may have gone
}

// encoder writes JSON for programs and terminals, not for a page: angle brackets stay readable.
func encoder(w io.Writer) *json.Encoder {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc
}

// cutPath splits the first element off a path: "rules" of "/rules/revisions".
func cutPath(path string) (first, rest string, found bool) {
	return strings.Cut(strings.TrimPrefix(path, "/"), "/")
}
