package api

import (
	"context"
	"iter"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"

	"postern/internal/admin"
)

func (s *Server) peers(w http.ResponseWriter, r *http.Request) {
	params := r.URL.Query()
	limit, err := number(params, "limit")
	var list []admin.Peer
	if err == nil {
		list, err = s.service.Peers(params["name"], limit)
	}
	if err != nil {
		s.fail(w, err)
		return
	}
	out := lines{w: w}
	for i := range list {
		if out.write(&list[i]) != nil {
			return // the reader went away
		}
	}
	out.end()
}

func (s *Server) missing(w http.ResponseWriter, r *http.Request) {
	params := r.URL.Query()
	v, err := s.service.Missing(params.Get("host"), params.Get("addr"))
	s.answer(w, v, err)
}

func (s *Server) forget(w http.ResponseWriter, r *http.Request) {
	handle(s, w, r, func(ctx context.Context, q admin.ForgetRequest) (admin.ForgetResult, error) {
		q.By = by(ctx, q.By)
		return s.service.ForgetPeers(ctx, q)
	})
}

// Peers yields what is remembered of servers; see admin.Service.Peers.
func (c *Client) Peers(ctx context.Context, names []string, limit int) iter.Seq2[admin.Peer, error] {
	v := url.Values{"name": names}
	if limit > 0 {
		v.Set("limit", strconv.Itoa(limit))
	}
	return list[admin.Peer](ctx, c, "/v1/peers", v)
}

// Missing asks what is remembered of an address of a host that has no TLS now.
func (c *Client) Missing(ctx context.Context, host string, addr netip.AddrPort) (out admin.Missing, err error) {
	v := url.Values{"host": {host}, "addr": {addr.String()}}
	return out, c.call(ctx, http.MethodGet, "/v1/peers/missing?"+v.Encode(), nil, &out)
}

// ForgetPeers forgets what is remembered of servers.
func (c *Client) ForgetPeers(ctx context.Context, r admin.ForgetRequest) (out admin.ForgetResult, err error) {
	return out, c.call(ctx, http.MethodPost, "/v1/peers/forget", r, &out)
}
