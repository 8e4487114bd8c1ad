package api

import (
	"context"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"postern/internal/check"
	"postern/internal/history/traffic"
	"postern/internal/operator/admin"
	"postern/internal/operator/past"
)

// previewTime is how long a preview looks at past mail.
const previewTime = 5 * time.Second

// sumsMost bounds the sums of an answer.
const sumsMost = 20_000

func (s *Server) registerFigures(spec huma.API) {
	operation(s, spec, "GET", "/traffic", "listTraffic",
		"Sums of what became of mail: of legs and rules by the hour, of recipient domains by the day; at most 20000",
		func(ctx context.Context, in *struct {
			Kind  string `query:"kind" required:"true" enum:"leg,rule,domain"`
			Name  string `query:"name" doc:"one leg, rule or domain; empty is all"`
			Since string `query:"since" doc:"RFC 3339"`
			Until string `query:"until" doc:"RFC 3339"`
		}) (*body[[]traffic.Sum], error) {
			q := traffic.Query{Kind: traffic.Kind(in.Kind), Name: in.Name, Limit: sumsMost}
			var err error
			if q.Since, err = moment("since", in.Since); err != nil {
				return nil, err
			}
			if q.Until, err = moment("until", in.Until); err != nil {
				return nil, err
			}
			return answer(s.desk(ctx).Traffic(ctx, q))
		})
	operation(s, spec, "GET", "/suggestions", "listSuggestions", "Domains that a rule could protect at little cost",
		func(ctx context.Context, _ *none) (*body[[]past.Suggestion], error) {
			return answer(s.desk(ctx).Suggestions(ctx))
		})
	operation(s, spec, "POST", "/previews", "previewRule",
		"What a new or changed rule would have meant for the mail of the last days",
		func(ctx context.Context, in *struct {
			Name string `query:"name" doc:"the rule that is changed; empty adds one"`
			Body Rule
		}) (*body[past.Preview], error) {
			return answer(s.desk(ctx).Preview(ctx, admin.RuleEdit{Name: in.Name, Rule: in.Body.toml()}, previewTime))
		})
	operation(s, spec, "GET", "/settings", "getSettings", "The configuration in force",
		func(ctx context.Context, _ *none) (*body[admin.Settings], error) {
			return answer(s.desk(ctx).Settings(ctx))
		})
	operation(s, spec, "GET", "/certificates", "listCertificates", "Our own certificates as partners see them",
		func(ctx context.Context, _ *none) (*body[[]check.Own], error) {
			return answer(s.desk(ctx).Certificates(ctx))
		})
	operation(s, spec, "POST", "/reload", "reload", "Read the configuration, certificates and private CAs again, "+
		"as SIGHUP does",
		func(ctx context.Context, _ *none) (*body[admin.ReloadResult], error) {
			if _, err := named(ctx); err != nil {
				return nil, err
			}
			return answer(s.desk(ctx).Reload(ctx))
		})
}
