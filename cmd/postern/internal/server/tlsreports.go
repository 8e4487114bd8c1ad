package server

import (
	"context"
	"crypto"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"time"

	"postern/cmd/postern/internal/rooms"
	"postern/internal/config"
	"postern/internal/gateway/intake"
	"postern/internal/gateway/reportbox"
	"postern/internal/gateway/stscache"
	"postern/internal/gateway/tlsreport"
	"postern/internal/history/inbound"
	"postern/internal/history/tlscounts"
	"postern/internal/mail"
	"postern/internal/operator/reports"
	"postern/internal/queue"
)

// countsTLS makes what counts TLS with the servers of other domains, whether reports are sent or not.
func (g *Gateway) countsTLS(ctx context.Context) (*tlscounts.Recorder, error) {
	fetch := func(fault string) string { return stscache.Kind(fault).TLSRPT() }
	return tlscounts.Open(ctx, tlscounts.NewBook(g.store), fetch, func(err error) {
		g.warn("tls reports", fmt.Errorf("TLS with other servers is not counted whole: %w", err),
			"check the disk of the data directory; mail is not concerned")
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
	cfg.Duty = func(ctx context.Context) bool { return g.nodes.Duty(ctx, "tls reports") }
	return tlsreport.New(cfg)
}

// reporting is what an administrator sees of it.
func (g *Gateway) reporting() *reports.Reporting {
	return &reports.Reporting{Counts: tlscounts.NewBook(g.store), States: tlsreport.NewStates(g.store),
		Author: rooms.ReportAuthor(g.cfg), Sends: g.cfg.TLSRPT.Sends()}
}

// remembersStrangers makes what remembers for some days how strangers spoke to us.
func (g *Gateway) remembersStrangers(ctx context.Context) (*inbound.Recorder, error) {
	hears := map[string]bool{}
	for _, l := range g.cfg.Listen {
		hears[l.Name] = l.Mode == config.ModeSMTP
	}
	return inbound.Open(ctx, inbound.NewBook(g.store), func(listener string) bool { return hears[listener] },
		func(err error) {
			g.warn("tls reports", fmt.Errorf("sessions of strangers are not remembered whole: %w", err),
				"check the disk of the data directory; mail is not concerned")
		})
}

// receivesReports makes what takes the reports of others.
func (g *Gateway) receivesReports() *reportbox.Box {
	return reportbox.New(reportbox.Config{Book: g.received, Names: g.resolver, Hostname: g.cfg.Hostname, Sink: g.sink,
		Ours:    func(d mail.Domain) bool { return g.rules.Now().Serves(d) },
		Domains: func() int { return len(g.inForce.Load().Domain) }})
}

// takesReports has intake take reports where a configuration says so.
func (g *Gateway) takesReports(cfg *config.Config) intake.Reports {
	if len(cfg.TLSRPT.Receive) == 0 {
		return nil
	}
	return g.box.Answer
}

// forgetReports forgets those that are too old until ctx ends.
func (g *Gateway) forgetReports(ctx context.Context) {
	g.received.Run(ctx, func(err error) {
		g.warn("tls reports", fmt.Errorf("old reports cannot be forgotten: %w", err),
			"check the disk of the data directory; mail is not concerned")
	})
}

// posted takes a report for a listener of mode web, by the configuration in force.
func (g *Gateway) posted(ctx context.Context, document []byte, client netip.Addr) (code int, text string) {
	if !g.inForce.Load().TLSRPT.ReceiveHTTPS {
		return http.StatusNotFound, ""
	}
	return g.box.Posted(ctx, document, client)
}

// receivedReports is what an administrator sees of them.
func (g *Gateway) receivedReports() *reports.ReceivedReports {
	return &reports.ReceivedReports{Book: g.received, Sessions: inbound.NewBook(g.store)}
}
