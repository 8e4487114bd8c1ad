package api

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"postern/internal/admin"
)

func (s *Server) registerQueue(spec huma.API) {
	operation(s, spec, "GET", "/sites", "listSites", "Where mail waits and why, what fails first",
		func(ctx context.Context, _ *none) (*body[[]admin.SiteView], error) {
			return answer(s.desk(ctx).Sites(ctx))
		})
	operation(s, spec, "POST", "/queue", "actOnQueue", "Retry, hold, release or cancel what waits",
		func(ctx context.Context, in *body[admin.ActRequest]) (*body[admin.ActResult], error) {
			return answer(s.desk(ctx).Act(ctx, in.Body))
		})
}
