package api

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"postern/internal/operator/admin"
)

// exceptionBody is an exception for a domain that stands in the path.
type exceptionBody struct {
	Ignore  []string `json:"ignore" doc:"what of that which the domain publishes is set aside: dane, sts"`
	Reason  string   `json:"reason" doc:"why, for whoever reads the rules or the audit trail"`
	Expires string   `json:"expires" doc:"the last day on which it holds, such as 2027-01-31, or an instant (RFC 3339)"`
}

// ExceptionDomain names a domain in the path.
type ExceptionDomain struct {
	Domain string `path:"domain"`
}

// Tried asks only what would change.
type Tried struct {
	DryRun bool `query:"dry_run" doc:"only say what would change"`
}

func (s *Server) registerExceptions(spec huma.API) {
	operation(s, spec, "GET", "/exceptions", "getExceptions",
		"The exceptions of the rules: what mail to a domain sets aside of what the domain publishes",
		func(ctx context.Context, _ *none) (*tagged[admin.ExceptionsView], error) {
			v, err := s.desk(ctx).Exceptions(ctx)
			return &tagged[admin.ExceptionsView]{tag(v.Revision), v}, err
		})
	operation(s, spec, "PUT", "/exceptions/{domain}", "replaceException",
		"Give a domain an exception, in place of the one it may have; the rest of the rules stays as it stands",
		func(ctx context.Context, in *struct {
			ExceptionDomain
			Match
			Tried
			Body exceptionBody
		}) (*tagged[admin.ApplyResult], error) {
			return s.except(ctx, &in.Match, admin.ExceptionEdit{Domain: in.Domain, Ignore: in.Body.Ignore,
				Reason: in.Body.Reason, Expires: in.Body.Expires, DryRun: in.DryRun})
		})
	operation(s, spec, "DELETE", "/exceptions/{domain}", "deleteException", "Delete the exception of a domain",
		func(ctx context.Context, in *struct {
			ExceptionDomain
			Match
			Tried
		}) (*tagged[admin.ApplyResult], error) {
			return s.except(ctx, &in.Match, admin.ExceptionEdit{Domain: in.Domain, Remove: true, DryRun: in.DryRun})
		})
}

// except changes an exception; without If-Match, of whatever is in force now.
func (s *Server) except(ctx context.Context, m *Match, e admin.ExceptionEdit) (*tagged[admin.ApplyResult], error) {
	var err error
	if e.IfRevision, err = m.asked(); err != nil {
		return nil, err
	}
	return applied(s.desk(ctx).EditException(ctx, e))
}
