package api

import (
	"context"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"postern/internal/operator/mailhosts"
	"postern/internal/operator/scope"
	"postern/internal/operator/servers"
	"postern/internal/policy/mxpins"
)

func (s *Server) registerPeers(spec huma.API) {
	operation(s, spec, "GET", "/peers", "listPeers", "What is remembered of servers",
		func(ctx context.Context, in *struct {
			Name  []string `query:"name,explode" doc:"host, address, or domain whose hosts are meant"`
			Limit int      `query:"limit" minimum:"0" doc:"at most as many; 0 is all"`
		}) (*body[[]servers.Peer], error) {
			list, err := s.desk(ctx).Peers(ctx,
				servers.PeerRequest{Names: in.Name, Limit: in.Limit, Patience: patience})
			if err == nil && !list.Complete {
				err = scope.ErrUnfinished
			}
			return answer(list.Items, err)
		})
	operation(s, spec, "GET", "/peers/missing", "getMissingTLS",
		"What is remembered of an address of a host that has no TLS now", func(ctx context.Context, in *struct {
			Host string `query:"host"`
			Addr string `query:"addr" doc:"192.0.2.1:25"`
		}) (*body[servers.Missing], error) {
			return answer(s.desk(ctx).Missing(ctx, in.Host, in.Addr))
		})
	operation(s, spec, "POST", "/peers/forget", "forgetPeers", "Forget what is remembered of servers",
		func(ctx context.Context, in *body[servers.ForgetRequest]) (*body[servers.ForgetResult], error) {
			out, err := s.desk(ctx).ForgetPeers(ctx, in.Body)
			if n := len(out.Unknown); err == nil && n > 0 && n == len(in.Body.Names) {
				err = missing(out.Unknown, "nothing is remembered of %s", strings.Join(out.Unknown, ", "))
			}
			return answer(out, err)
		})
	operation(s, spec, "GET", "/pins", "listPins", "Below which names the mail hosts of a domain are known to its "+
		"rules",
		func(ctx context.Context, in *struct {
			Domain string `query:"domain" doc:"of recipients; empty is all"`
		}) (*body[[]mxpins.Pin], error) {
			pins, err := s.desk(ctx).Pins(ctx, in.Domain)
			for i := range pins {
				pins[i].Since = pins[i].Since.UTC()
			}
			return answer(pins, err)
		})
	operation(s, spec, "GET", "/pins/candidates", "listMailHostCandidates",
		"What could be approved as mail hosts of a domain, and since when it is seen",
		func(ctx context.Context, in *struct {
			Domain string `query:"domain" required:"true" doc:"of recipients"`
			DNS    bool   `query:"dns" doc:"ask DNS which hosts it names now"`
		}) (*body[mailhosts.Candidates], error) {
			return answer(s.desk(ctx).Candidates(ctx, in.Domain, in.DNS))
		})
	operation(s, spec, "POST", "/pins/approve", "approveMailHosts",
		"Make named mail hosts of a domain known to its rules",
		func(ctx context.Context, in *body[mailhosts.ApproveRequest]) (*body[mailhosts.ApproveResult], error) {
			return answer(s.desk(ctx).Approve(ctx, in.Body))
		})
	operation(s, spec, "POST", "/pins/forget", "forgetMailHosts", "Forget which mail hosts of a domain are known",
		func(ctx context.Context, in *body[mailhosts.UnpinRequest]) (*body[mailhosts.UnpinResult], error) {
			return answer(s.desk(ctx).Unpin(ctx, in.Body))
		})
}
