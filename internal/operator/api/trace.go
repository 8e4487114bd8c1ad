package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"postern/internal/operator/admin"
	"postern/internal/operator/scope"
	"postern/internal/operator/trace"
)

// Paging asks for a page of a list.
type Paging struct {
	After string `query:"after" doc:"next of the page before"`
	Limit int    `query:"limit" minimum:"0" maximum:"500" doc:"at most as many; 0 is 50"`
}

func (l *Paging) page() scope.PageRequest { return scope.PageRequest{After: l.After, Limit: l.Limit} }

// Search is admin.Query as parameters. All that are given must hold.
type Search struct {
	Paging
	trace.Query
	Since string `query:"since" doc:"accepted at or after, RFC 3339"`
	Until string `query:"until" doc:"accepted before, RFC 3339"`
}

func (q *Search) query() (out trace.Query, err error) {
	out = q.Query
	if out.Since, err = moment("since", q.Since); err == nil {
		out.Until, err = moment("until", q.Until)
	}
	return out, err
}

func moment(key, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, &Problem{Code: http.StatusBadRequest,
			Text: key + " is \"" + text + "\", want a time like 2026-11-23T12:00:00Z"}
	}
	return t, nil
}

func (s *Server) registerTrace(spec huma.API) {
	operation(s, spec, "GET", "/deliveries", "listDeliveries", "The trace: deliveries, newest acceptance first",
		func(ctx context.Context, in *Search) (*body[scope.Page[trace.Delivery]], error) {
			q, err := in.query()
			if err != nil {
				return nil, err
			}
			return answer(s.desk(ctx).Traces(ctx, q, in.page()))
		})
	operation(s, spec, "GET", "/messages/{id}", "getMessage",
		"One message with all its deliveries and what the gateway wrote about it",
		func(ctx context.Context, in *struct {
			ID string `path:"id"`
		}) (*body[admin.MessageView], error) {
			return answer(s.desk(ctx).Message(ctx, in.ID))
		})
	operation(s, spec, "GET", "/messages/{id}/evidence", "getEvidence",
		"What can be shown to an auditor about a message, with chains and rules", func(ctx context.Context, in *struct {
			ID string `path:"id"`
		}) (*body[admin.Evidence], error) {
			return answer(s.desk(ctx).Evidence(ctx, in.ID))
		})
}
