package api

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"postern/internal/operator/admin"
	"postern/internal/operator/audit"
	"postern/internal/operator/scope"
)

// RevisionNumber names a revision in the path.
type RevisionNumber struct {
	Number int64 `path:"number"`
}

func (s *Server) registerRevisions(spec huma.API) {
	operation(s, spec, "GET", "/revisions", "listRevisions", "Every rules file that was in force, newest first",
		func(ctx context.Context, in *Paging) (*body[scope.Page[audit.Revision]], error) {
			return answer(s.desk(ctx).Revisions(ctx, in.page()))
		})
	operation(s, spec, "GET", "/revisions/{number}", "getRevision", "One revision, and what it changed",
		func(ctx context.Context, in *RevisionNumber) (*body[admin.RevisionView], error) {
			return answer(s.desk(ctx).Revision(ctx, in.Number))
		})
	operation(s, spec, "POST", "/revisions/{number}/restore", "restoreRevision",
		"Put an older revision in force again, as a new one", func(ctx context.Context, in *struct {
			RevisionNumber
			Match
			Dry
		}) (*tagged[admin.ApplyResult], error) {
			v, err := s.desk(ctx).Rules(ctx)
			if err != nil {
				return nil, err
			}
			current, err := in.revision(v.Revision)
			if err != nil {
				return nil, err
			}
			return applied(s.desk(ctx).RollBack(ctx, in.Number, current, in.DryRun, in.LetWaitingGo))
		})
}
