package server

import (
	"context"
	"crypto"
	"fmt"
	"math/rand/v2"
	"time"

	"postern/cmd/postern/internal/rooms"
	"postern/internal/gateway/stscache"
	"postern/internal/gateway/tlsreport"
	"postern/internal/history/tlscounts"
	"postern/internal/operator/admin"
	"postern/internal/queue"
)

// countsTLS makes what counts TLS with the servers of other domains, whether reports are sent or not.
func (g *Gateway) countsTLS(ctx context.Context) (*tlscounts.Recorder, error) {
	fetch := func(fault string) string { return stscache.Kind(fault).TLSRPT() }
	return tlscounts.Open(ctx, tlscounts.NewBook(g.store), fetch, func(err error) {
		g.warn("tls reports", fmt.Errorf("TLS with other servers is not counted whole: %w", err), "check the disk of the data directory; mail is not concerned")
	})
}

// reportsTLS makes what sends reports of that; nil where nobody reports. It waits for a restart to report otherwise.
func (g *Gateway) reportsTLS(key crypto.Signer) *tlsreport.Sender {
	if !g.cfg.TLSRPT.Sends() {
		return nil
	}
	cfg := rooms.Reporting(g.cfg, g.resolver, g.dialer, g.roots, key)
	cfg.Counts, cfg.States = tlscounts.NewBook(g.store), tlsreport.NewStates(g.store)
	cfg.Store, cfg.InForce, cfg.Sink, cfg.Random = g.store, g.rules.Now, g.sink, rand.Uint32
	cfg.Wake = func(m *queue.Message, site queue.SiteKey, due time.Time) { g.dispatch.Wake(m, site, due) }
	return tlsreport.New(cfg)
}

// reporting is what an administrator sees of it.
func (g *Gateway) reporting() *admin.Reporting {
	return &admin.Reporting{Counts: tlscounts.NewBook(g.store), States: tlsreport.NewStates(g.store), Author: rooms.ReportAuthor(g.cfg), Sends: g.cfg.TLSRPT.Sends()}
}
