package api

import (
	"context"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"postern/internal/operator/past"
	"postern/internal/operator/policies"
	"postern/internal/operator/reports"
	"postern/internal/operator/scope"
)

// policyPath names the domain of a policy.
type policyPath struct {
	Domain string `path:"domain" doc:"of recipients"`
}

// lookLong is how long an answer about past mail may take.
const lookLong = 10 * time.Second

func (s *Server) registerPolicies(spec huma.API) {
	operation(s, spec, "GET", "/policies", "listPolicies",
		"MTA-STS policies of recipient domains that are kept, in the order of domains",
		func(ctx context.Context, in *struct {
			After string `query:"after" doc:"next of the page before"`
			Limit int    `query:"limit" minimum:"0" maximum:"500" doc:"at most as many; 0 is 50"`
		}) (*body[scope.Page[policies.PolicyKept]], error) {
			return answer(s.desk(ctx).Policies(ctx, scope.PageRequest{After: in.After, Limit: in.Limit}))
		})
	operation(s, spec, "GET", "/observed", "listObserved",
		"What was delivered and fell short of what its domain publishes: what would have waited",
		func(ctx context.Context, in *struct{ past.ObservedRequest }) (*body[past.Observed], error) {
			return answer(s.desk(ctx).Observed(ctx, in.ObservedRequest, lookLong))
		})
	operation(s, spec, "GET", "/incoming", "listIncoming",
		"How mail of other domains came in: over which TLS, since when, and what rules about incoming mail refused",
		func(ctx context.Context, in *struct{ reports.IncomingRequest }) (*body[reports.Incoming], error) {
			return answer(s.desk(ctx).Incoming(ctx, in.IncomingRequest))
		})
	operation(s, spec, "GET", "/published", "getPublished",
		"What a domain and its mail hosts publish, as mail of the last 30 days found it, what changed and which "+
			"mail waited for it",
		func(ctx context.Context, in *struct {
			Domain string `query:"domain" required:"true" doc:"of recipients"`
		}) (*body[past.Publications], error) {
			return answer(s.desk(ctx).Publications(ctx, in.Domain, lookLong))
		})
	operation(s, spec, "GET", "/policies/{domain}", "getPolicy", "What is kept of a domain's MTA-STS policy",
		func(ctx context.Context, in *struct {
			Domain string `path:"domain" doc:"of recipients"`
			DNS    bool   `query:"dns" doc:"ask DNS what the domain announces now"`
		}) (*body[policies.PolicyKept], error) {
			return answer(s.desk(ctx).Policy(ctx, in.Domain, in.DNS))
		})
	operation(s, spec, "POST", "/policies/{domain}/refresh", "refreshPolicy", "Ask a domain for its MTA-STS policy now",
		func(ctx context.Context, in *policyPath) (*body[policies.PolicyKept], error) {
			return answer(s.desk(ctx).RefreshPolicy(ctx, in.Domain))
		})
	operation(s, spec, "DELETE", "/policies/{domain}", "forgetPolicy",
		"Forget what is kept of a domain's MTA-STS policy",
		func(ctx context.Context, in *policyPath) (*body[policies.PolicyForgotten], error) {
			return answer(s.desk(ctx).ForgetPolicy(ctx, in.Domain))
		})
}
