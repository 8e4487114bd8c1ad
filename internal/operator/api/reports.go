package api

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"postern/internal/operator/admin"
)

func (s *Server) registerReports(spec huma.API) {
	operation(s, spec, "GET", "/reports", "listReports", "What there is to report of TLS with other domains' servers (RFC 8460), by day and domain, and what was sent",
		func(ctx context.Context, in *struct {
			Day   string `query:"day" doc:"in UTC, 2026-11-29, today or yesterday; all that are kept where it is left out"`
			After string `query:"after" doc:"next of the page before"`
			Limit int    `query:"limit" minimum:"0" maximum:"500" doc:"at most as many; 0 is 50"`
		}) (*body[admin.Page[admin.ReportOut]], error) {
			return answer(s.desk(ctx).Reports(ctx, in.Day, admin.PageRequest{After: in.After, Limit: in.Limit}))
		})
	operation(s, spec, "GET", "/reports/{day}/{domain}", "getReport", "The document of a day for a domain, as it is or would be sent",
		func(ctx context.Context, in *struct {
			Day    string `path:"day" doc:"in UTC, 2026-11-29, today or yesterday"`
			Domain string `path:"domain" doc:"of recipients, or a TLSA base domain"`
		}) (*body[admin.ReportDocument], error) {
			return answer(s.desk(ctx).Report(ctx, in.Day, in.Domain))
		})
}
