package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"postern/internal/operator/admin"
)

// listFile are other values of a list.
type listFile struct {
	Text   string `json:"text" doc:"one value a line, or a table whose first column they are"`
	DryRun bool   `json:"dry_run,omitempty" doc:"only say what would change"`
	// LetWaitingGo is of admin.ApplyRequest.
	LetWaitingGo bool `json:"let_waiting_go,omitempty" doc:"give waiting mail that holds more than the rules then demand what they demand; without it that mail keeps what it has"`
}

func (s *Server) registerLists(spec huma.API) {
	operation(s, spec, "GET", "/lists", "getLists", "The lists that rules name, without their values",
		func(ctx context.Context, _ *none) (*tagged[admin.ListsView], error) {
			v, err := s.desk(ctx).Lists(ctx)
			return &tagged[admin.ListsView]{tag(v.Revision), v}, err
		})
	operation(s, spec, "GET", "/lists/{name}", "getList", "One list with its values",
		func(ctx context.Context, in *RuleName) (*tagged[admin.ListView], error) {
			v, revision, err := s.desk(ctx).List(ctx, in.Name)
			return &tagged[admin.ListView]{tag(revision), v}, err
		})
	operation(s, spec, "PUT", "/lists/{name}", "replaceList",
		"Give a list other values, all of them; the rest of the rules stays as it stands. Without If-Match, "+
			"whatever is in force now",
		func(ctx context.Context, in *struct {
			RuleName
			Match
			Body listFile
		}) (*tagged[admin.ApplyResult], error) {
			e := admin.ListEdit{Name: in.Name, Text: in.Body.Text, DryRun: in.Body.DryRun,
				LetWaitingGo: in.Body.LetWaitingGo}
			var err error
			if e.IfRevision, err = in.asked(); err != nil {
				return nil, err
			}
			return applied(s.desk(ctx).ReplaceList(ctx, e))
		})
}

// Lists shows the lists of the rules in force.
func (c *Client) Lists(ctx context.Context) (out admin.ListsView, err error) {
	return out, c.call(ctx, request{path: "/lists"}, &out)
}

// RuleList shows one list with its values.
func (c *Client) RuleList(ctx context.Context, name string) (out admin.ListView, err error) {
	return out, c.call(ctx, request{path: "/lists/" + segment(name)}, &out)
}

// ReplaceList gives a list other values, or says what that would change.
func (c *Client) ReplaceList(ctx context.Context, e admin.ListEdit) (out admin.ApplyResult, err error) {
	q := request{method: http.MethodPut, path: "/lists/" + segment(e.Name),
		body: listFile{e.Text, e.DryRun, e.LetWaitingGo}}
	if e.IfRevision != nil {
		q.match = tag(*e.IfRevision)
	}
	return out, c.call(ctx, q, &out)
}
