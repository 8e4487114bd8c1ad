package api

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"

	"postern/internal/operator/admin"
	"postern/internal/operator/audit"
)

// Revisions yields the rules files that were in force, newest first, at most limit, 0 for all.
func (c *Client) Revisions(ctx context.Context, limit int) iter.Seq2[audit.Revision, error] {
	return pages[audit.Revision](ctx, c, "/revisions", url.Values{}, limit)
}

// Revision shows one of them, and what it changed.
func (c *Client) Revision(ctx context.Context, number int64) (out admin.RevisionView, err error) {
	return out, c.call(ctx, request{path: fmt.Sprintf("/revisions/%d", number)}, &out)
}

// Restore puts one of them in force again, or says what that would change. Of r its revision, not its text, counts.
func (c *Client) Restore(ctx context.Context, number int64, r admin.ApplyRequest) (out admin.ApplyResult, err error) {
	q := request{method: http.MethodPost, path: fmt.Sprintf("/revisions/%d/restore", number), match: "*",
		params: url.Values{"dry_run": {fmt.Sprint(r.DryRun)}, "let_waiting_go": {fmt.Sprint(r.LetWaitingGo)}}}
	if r.IfRevision != nil {
		q.match = tag(*r.IfRevision)
	}
	return out, c.call(ctx, q, &out)
}
