package api

import (
	"context"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/sse"

	"postern/internal/check"
	"postern/internal/operator/servers"
)

// CheckRequest names what is to be examined.
type CheckRequest struct {
	Target string `query:"target" required:"true" doc:"domain, address, or host with or without a port"`
	Rule   string `query:"rule" doc:"a rule in force whose demands are asked for besides"`
}

func (q *CheckRequest) request() servers.CheckRequest { return servers.CheckRequest(*q) }

func (s *Server) registerCheck(spec huma.API) {
	operation(s, spec, "POST", "/check", "check", "Examine a server or a domain as a delivery would",
		func(ctx context.Context, in *CheckRequest) (*body[*check.Report], error) {
			return answer(s.desk(ctx).Check(ctx, in.request(), nil))
		})
	sse.Register(spec, huma.Operation{Method: "GET", Path: "/check/events", OperationID: "watchCheck",
		Tags: []string{"check"}, Summary: "The same, telling each step as it happens, then the report"},
		map[string]any{"step": check.Progress{}, "report": check.Report{}, "problem": Problem{}},
		func(ctx context.Context, in *CheckRequest, send sse.Sender) {
			// the reader may have gone
			r, err := s.desk(ctx).Check(ctx, in.request(), func(p check.Progress) { _ = send.Data(p) })
			if err != nil {
				_ = send.Data(*s.problem(ctx, err))
				return
			}
			_ = send.Data(*r)
		})
}

// Beat says that something happened since the one before: mail moved, or an administrator did something. It does not
// say what.
type Beat struct {
	Beats uint64 `json:"beats"` // since the gateway started
}

// breath is how often a quiet stream says that it is alive, and looks whether its token still holds.
const breath = 5 * time.Second

func (s *Server) registerEvents(spec huma.API) {
	sse.Register(spec, huma.Operation{Method: "GET", Path: "/events", OperationID: "watch", Tags: []string{"status"},
		Summary: "Tells that something happened, at most once a second; look then at what you show"},
		map[string]any{"beat": Beat{}, "problem": Problem{}},
		func(ctx context.Context, _ *none, send sse.Sender) {
			err := s.desk(ctx).Watch(ctx, s.breath,
				func(beats uint64, _ bool) bool { return still(ctx) && send.Data(Beat{beats}) == nil })
			if err != nil {
				_ = send.Data(*s.problem(ctx, err)) // the reader may have gone
			}
		})
}
