package api

import (
	"context"
	"iter"
	"net/http"
	"net/url"

	"postern/internal/admin"
	"postern/internal/mxtrust"
)

func (s *Server) pins(w http.ResponseWriter, r *http.Request) {
	pins, err := s.service.Pins(r.Context(), r.URL.Query().Get("domain"))
	if err != nil {
		s.fail(w, err)
		return
	}
	out := lines{w: w}
	for _, p := range pins {
		p.Since = p.Since.UTC()
		if out.write(p) != nil {
			return // the reader went away
		}
	}
	out.end()
}

func (s *Server) approve(w http.ResponseWriter, r *http.Request) {
	handle(s, w, r, func(ctx context.Context, q admin.ApproveRequest) (admin.ApproveResult, error) {
		q.By = by(ctx, q.By)
		return s.service.Approve(ctx, q)
	})
}

func (s *Server) unpin(w http.ResponseWriter, r *http.Request) {
	handle(s, w, r, func(ctx context.Context, q admin.UnpinRequest) (admin.UnpinResult, error) {
		q.By = by(ctx, q.By)
		return s.service.Unpin(ctx, q)
	})
}

// Pins yields the names of mail hosts that are known; "" asks for every domain.
func (c *Client) Pins(ctx context.Context, domain string) iter.Seq2[mxtrust.Pin, error] {
	v := url.Values{}
	if domain != "" {
		v.Set("domain", domain)
	}
	return list[mxtrust.Pin](ctx, c, "/v1/peers/pins", v)
}

// Approve makes the mail hosts that a domain has now known to its rules.
func (c *Client) Approve(ctx context.Context, r admin.ApproveRequest) (out admin.ApproveResult, err error) {
	return out, c.call(ctx, http.MethodPost, "/v1/peers/approve", r, &out)
}

// Unpin forgets which names of mail hosts are known for a domain.
func (c *Client) Unpin(ctx context.Context, r admin.UnpinRequest) (out admin.UnpinResult, err error) {
	return out, c.call(ctx, http.MethodPost, "/v1/peers/unpin", r, &out)
}
