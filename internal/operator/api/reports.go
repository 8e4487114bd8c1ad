package api

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"postern/internal/operator/reports"
	"postern/internal/operator/scope"
)

func (s *Server) registerReports(spec huma.API) {
	operation(s, spec, "GET", "/reports", "listReports",
		"What there is to report of TLS with other domains' servers (RFC 8460), by day and domain, and what was sent",
		func(ctx context.Context, in *struct {
			Day   string `query:"day" doc:"in UTC, 2026-11-29, today or yesterday; all that are kept where it is left out"`
			After string `query:"after" doc:"next of the page before"`
			Limit int    `query:"limit" minimum:"0" maximum:"500" doc:"at most as many; 0 is 50"`
		}) (*body[scope.Page[reports.ReportOut]], error) {
			return answer(s.desk(ctx).Reports(ctx, in.Day, scope.PageRequest{After: in.After, Limit: in.Limit}))
		})
	s.registerReceived(spec)
	operation(s, spec, "GET", "/reports/{day}/{domain}", "getReport",
		"The document of a day for a domain, as it is or would be sent", func(ctx context.Context, in *struct {
			Day    string `path:"day" doc:"in UTC, 2026-11-29, today or yesterday"`
			Domain string `path:"domain" doc:"of recipients, or a TLSA base domain"`
		}) (*body[reports.ReportDocument], error) {
			return answer(s.desk(ctx).Report(ctx, in.Day, in.Domain))
		})
}

// registerReceived has the reports of others.
func (s *Server) registerReceived(spec huma.API) {
	operation(s, spec, "GET", "/received-reports", "listReceivedReports",
		"Reports of others on TLS with us (RFC 8460), the newest first", func(ctx context.Context, in *struct {
			Domain  string `query:"domain" doc:"of ours"`
			Sender  string `query:"sender" doc:"a part of the signer's name, or of the organization's where nobody signed"`
			Failing bool   `query:"failing" doc:"only those in which something failed"`
			After   string `query:"after" doc:"next of the page before"`
			Limit   int    `query:"limit" minimum:"0" maximum:"500" doc:"at most as many; 0 is 50"`
		}) (*body[scope.Page[reports.ReceivedReport]], error) {
			return answer(s.desk(ctx).ReceivedReports(ctx,
				reports.ReceivedQuery{Domain: in.Domain, Sender: in.Sender, Failing: in.Failing,
					PageRequest: scope.PageRequest{After: in.After, Limit: in.Limit}}))
		})
	operation(s, spec, "GET", "/received-reports/{id}", "getReceivedReport",
		"A report of somebody else, each failure beside what we saw of the address",
		func(ctx context.Context, in *struct {
			ID string `path:"id" doc:"of the report"`
		}) (*body[reports.ReceivedDocument], error) {
			return answer(s.desk(ctx).ReceivedReport(ctx, in.ID))
		})
	operation(s, spec, "GET", "/tls-failures", "listTLSFailures",
		"Who could not reach us over TLS by the reports of the last days, since when and how often, and what we saw",
		func(ctx context.Context, in *struct {
			Days int `query:"days" minimum:"0" maximum:"90" doc:"how far back reports are looked at; 0 is 14"`
		}) (*body[reports.ReceivedSummary], error) {
			return answer(s.desk(ctx).ReceivedSummary(ctx, in.Days))
		})
}
