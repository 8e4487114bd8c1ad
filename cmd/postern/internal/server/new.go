package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"time"

	"postern/cmd/postern/internal/confcheck"
	"postern/cmd/postern/internal/rooms"
	"postern/cmd/postern/internal/storage"
	"postern/internal/config"
	"postern/internal/dns/resolver"
	"postern/internal/event"
	"postern/internal/event/maillog"
	"postern/internal/event/metrics"
	"postern/internal/gateway/copymark"
	"postern/internal/gateway/deliver"
	"postern/internal/gateway/dispatch"
	"postern/internal/gateway/expiry"
	"postern/internal/gateway/inforce"
	"postern/internal/gateway/intake"
	"postern/internal/gateway/notify"
	"postern/internal/history/certstore"
	"postern/internal/history/peers"
	"postern/internal/history/peers/memory"
	"postern/internal/history/tlsreports"
	"postern/internal/history/told"
	"postern/internal/history/traffic"
	"postern/internal/operator/accounts"
	"postern/internal/operator/admin"
	"postern/internal/platform/ram"
	"postern/internal/policy/certcheck/roots"
	"postern/internal/policy/mxpins"
	"postern/internal/policy/revoke"
	"postern/internal/queue"
	"postern/internal/smtp/smtpserver"
)

// New opens the store and joins the rooms. Nothing runs and no socket is open yet. files is what confcheck.Examine
// read; dialer opens connections to other servers; extra sinks hear every event too.
func New(
	ctx context.Context, cfg *config.Config, files confcheck.Files, dialer deliver.Dialer, log *slog.Logger,
	extra ...event.Sink,
) (*Gateway, error) {
	g := &Gateway{cfg: cfg, log: log, dialer: dialer, secret: files.Secret, plan: rooms.MemoryPlan(cfg, ram.System()),
		clients: intake.NewClients(), logins: intake.NewLogins()}
	g.memoryOfContent, g.memoryOfSessions = smtpserver.NewMemory(g.plan.Content/2),
		smtpserver.NewMemory(g.plan.SessionRoom)
	g.hashing = make(chan struct{}, g.plan.Hashes)
	g.inForce.Store(cfg)
	g.client.Store(files.Client)
	g.reloaded.note(true, time.Now())
	g.figures = figures{stats: func(ctx context.Context) (queue.Stats, error) { return g.store.Stats(ctx) }}
	g.metrics = metrics.New(g.figures.metrics)
	g.metrics.Listeners(listenerNames(cfg)...)
	g.metrics.Watch(g.state)
	g.sink = newBus(append([]event.Sink{maillog.New(log), g.metrics}, extra...)...)
	var err error
	if g.resolver, err = resolver.New(rooms.Resolving(cfg)); err != nil {
		return nil, err
	}
	g.names = rooms.NamesOfClients(cfg, g.resolver)
	if err := g.trust(); err != nil {
		return nil, err
	}
	if g.store, err = storage.Open(ctx, cfg, &g.plan, func(err error) {
		g.warn("queue", err, "look at it, then remove it; nothing reads it")
	}, func(err error, hint string) {
		g.warn("queue", err, hint+"; mail is answered 451 until that is mended")
	}); err != nil {
		return nil, err
	}
	g.policies = g.publishes()
	if err := g.join(ctx, files); err != nil {
		g.policies.Close()
		return nil, errors.Join(err, g.store.Close())
	}
	return g, nil
}

// join makes the rooms that stand on the store, each after those that it is given.
func (g *Gateway) join(ctx context.Context, files confcheck.Files) error {
	table, err := g.routes(g.cfg)
	if err != nil {
		return err
	}
	before, err := g.store.Judgement(ctx)
	if err != nil {
		return err
	}
	if err := g.certifies(ctx); err != nil {
		return err
	}
	g.pins = mxpins.NewBook(g.store)
	if g.marks, err = copymark.Open(ctx, g.store); err != nil {
		return err
	}
	registry := g.store.Registry()
	g.rules = inforce.NewKeeper(ctx, inforce.Config{Ledger: g.store, Table: table, Clients: rooms.Clients(g.cfg),
		Files: g.roots.Digest, Shared: registry != nil, NoDigest: !g.cfg.Queue.HeaderFields})
	g.nodes = g.shares(registry)
	if err := g.remember(ctx); err != nil {
		return err
	}
	if err := g.rules.Now().Err; err != nil {
		g.warn("rules", err, "mail is answered 451 until rules are applied: postern rules apply FILE")
	}
	revocation := rooms.Revoking(g.cfg, g.resolver, filepath.Join(string(g.cfg.Data), "crl"), g.warnOfRevocation)
	revocation.Memory = g.plan.Lists
	if g.revoke, err = revoke.New(revocation); err != nil {
		return err
	}
	checker, err := g.checks(g.cfg, files.Client)
	if err != nil {
		return err
	}
	g.checking.now.Store(checker)
	g.deliverer = g.delivers()
	if g.recipients, err = g.knowing(); err != nil {
		return err
	}
	g.recipients.Use(files.Mailboxes)
	g.zones = g.watchesZones()
	g.expiry = expiry.New(g.ownEnds, g.sink)
	g.dispatch = dispatch.New(g.dispatching())
	if g.rules.Now().Number != before.Number { // something else is in force than when the gateway stopped
		g.dispatch.Changed()
	}
	g.accounts = accounts.New(accounts.Config{Hashing: g.hashing, Book: accounts.NewBook(g.store), Ledger: g.store,
		Idle: g.cfg.Admin.SessionIdle.Duration, Life: g.cfg.Admin.SessionTime.Duration})
	g.reports, g.box = g.reportsTLS(files.DKIM), g.receivesReports()
	g.admin = admin.New(g.administration())
	in, err := g.receiving(g.cfg)
	if err != nil {
		return err
	}
	g.intake.Store(in)
	return nil
}

// remember makes what remembers, and has it hear what happens. The notifier does not hear what it tells, and of what
// memory finds out all but the memories are told. Nobody else listens after this.
func (g *Gateway) remember(ctx context.Context) error {
	cfg, others := g.cfg, g.sink.listeners()
	g.told = told.NewBook(g.store)
	g.notifier = notify.New(notify.Config{
		To: cfg.Admin.Notify, From: cfg.Postmaster, Hostname: cfg.Hostname, Store: g.store, InForce: g.rules.Now,
		Wake: func(m *queue.Message, site queue.SiteKey, due time.Time) { g.dispatch.Wake(m, site, due) },
		Told: g.told, Node: cfg.Cluster.Node,
		Sink: others, Random: rand.Uint32, Lifetime: cfg.Delivery.Lifetime.Duration,
	})
	var err error
	g.memory, err = memory.Open(ctx, memory.Config{
		Book: memory.NewBook(g.store), Sink: append(others, g.notifier),
		Ratchet: peers.Ratchet{Mode: peers.Mode(cfg.Delivery.Ratchet), After: cfg.Delivery.RatchetAfter,
			Days: cfg.Delivery.RatchetDays, Hold: cfg.Delivery.RatchetHold.Duration},
	})
	if err != nil {
		return err
	}
	g.traffic = traffic.NewRecorder(traffic.NewBook(g.store), func(err error) {
		g.warn("traffic", fmt.Errorf("sums of traffic cannot be kept: %w", err),
			"check the disk of the data directory; mail is not concerned")
	})
	if g.counts, err = g.countsTLS(ctx); err != nil {
		return err
	}
	if g.inbound, err = g.remembersStrangers(ctx); err != nil {
		return err
	}
	g.received = tlsreports.NewBook(g.store, tlsreports.Room{})
	// A record lives for queue.retention after its end, which comes at most days after its connections.
	g.shown = certstore.NewKeeper(certstore.NewBook(g.store), cfg.Queue.Retention.Duration+14*24*time.Hour,
		func(err error) {
			g.warn("certificates", fmt.Errorf("certificates of servers cannot be kept: %w", err),
				"check the disk of the data directory; mail is not concerned")
		})
	g.sink.subscribe(g.notifier, g.memory, g.traffic, g.counts, g.inbound, g.shown, &g.pulse)
	g.sink.seal()
	return nil
}

// trust prepares the roots.
func (g *Gateway) trust() error {
	var err error
	g.roots, err = rooms.OpenRoots(g.cfg, func(n roots.Notice) {
		if n.Err != nil {
			g.warn("trust "+n.Trust, n.Err, "repair the file; the roots read before stay in force")
		}
		if len(n.Left) > 0 {
			g.warn("trust "+n.Trust, fmt.Errorf("%s: %s", n.File, strings.Join(n.Left, "; ")),
				"these certificates are not trusted")
		}
	})
	return err
}
