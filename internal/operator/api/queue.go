package api

import (
	"context"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"postern/internal/operator/live"
	"postern/internal/operator/scope"
	"postern/internal/operator/waiting"
	"postern/internal/queue"
)

// patience is how long a list that must be whole is gathered for an account that is limited to domains.
const patience = 5 * time.Second

func (s *Server) registerQueue(spec huma.API) {
	operation(s, spec, "GET", "/sites", "listSites", "Where mail waits and why, what fails first",
		func(ctx context.Context, _ *none) (*body[[]live.SiteView], error) {
			list, err := s.desk(ctx).Sites(ctx, patience)
			if err == nil && !list.Complete {
				err = scope.ErrUnfinished
			}
			return answer(list.Items, err)
		})
	operation(s, spec, "GET", "/queue", "getWaiting", "What waits by age, and for which rule until when",
		func(ctx context.Context, _ *none) (*body[live.WaitingView], error) {
			return answer(s.desk(ctx).Waiting(ctx))
		})
	operation(s, spec, "POST", "/queue", "actOnQueue", "Retry, hold, release, return or cancel what waits",
		func(ctx context.Context, in *body[waiting.ActRequest]) (*body[waiting.ActResult], error) {
			out, err := s.desk(ctx).Act(ctx, in.Body)
			if n := len(out.Unknown); err == nil && n > 0 && n == len(in.Body.Domains)+len(in.Body.Messages) {
				err = missing(out.Unknown, "%s", waiting.SayUnknown(in.Body.Kind, out.Unknown))
			}
			return answer(out, err)
		})
	operation(s, spec, "POST", "/messages/{id}/content", "readContent",
		"What a message in quarantine says; who reads it is recorded", func(ctx context.Context, in *struct {
			ID string `path:"id"`
		}) (*body[waiting.Content], error) {
			return answer(s.desk(ctx).Content(ctx, in.ID))
		})
	operation(s, spec, "POST", "/queue/found", "actOnFound",
		"The same for all that waits and fits a search, at most 5000 messages", func(ctx context.Context, in *struct {
			Search
			Body struct {
				Kind queue.ActionKind `json:"kind" enum:"retry,hold,release,return,cancel"`
			}
		}) (*body[waiting.ActResult], error) {
			q, err := in.query()
			if err != nil {
				return nil, err
			}
			return answer(s.desk(ctx).ActOn(ctx, q, in.Body.Kind))
		})
}
