package api

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"postern/internal/operator/admin"
	"postern/internal/operator/audit"
	"postern/internal/operator/live"
	"postern/internal/operator/scope"
	"postern/internal/policy"
)

// Reason is a reason code with what it means.
type Reason struct {
	Code   string `json:"reason"`
	Text   string `json:"text"`
	Who    string `json:"who"` // has to act: us, them, network
	Hint   string `json:"hint"`
	Status string `json:"status"` // enhanced code
}

func reasons() []Reason {
	out := []Reason{}
	for _, i := range policy.Reasons() {
		out = append(out, Reason{string(i.Reason), i.Text, string(i.Who), i.Hint, i.Status})
	}
	return out
}

func (s *Server) registerGateway(spec huma.API) {
	operation(s, spec, "GET", "/status", "getStatus", "The gateway in a few figures",
		func(ctx context.Context, _ *none) (*body[live.Status], error) {
			return answer(s.desk(ctx).Status(ctx))
		})
	operation(s, spec, "GET", "/nodes", "listNodes", "The gateways that share the store",
		func(ctx context.Context, _ *none) (*body[[]admin.GatewayNode], error) {
			return answer(s.desk(ctx).Nodes(ctx))
		})
	operation(s, spec, "GET", "/audit", "listAudit", "The audit trail, newest first",
		func(ctx context.Context, in *Paging) (*body[scope.Page[audit.Entry]], error) {
			return answer(s.desk(ctx).Audit(ctx, in.page()))
		})
	operation(s, spec, "GET", "/reasons", "listReasons", "Every reason code, what it means and who has to act",
		func(context.Context, *none) (*body[[]Reason], error) { return answer(reasons(), nil) })
}
