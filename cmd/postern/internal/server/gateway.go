// Package server is the composition of the gateway: every room is built and joined here, and runs until it is told to stop.
//
// New makes the rooms in an order in which each is given what it needs. Gateway.Run opens the sockets, works, and stops in
// order; readAgain puts another configuration in force, all of what needs no restart or nothing.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"postern/cmd/postern/internal/datafolder"
	"postern/cmd/postern/internal/rooms"
	"postern/cmd/postern/internal/sockets"
	"postern/internal/config"
	"postern/internal/dns/resolver"
	"postern/internal/event"
	"postern/internal/event/maillog"
	"postern/internal/event/metrics"
	"postern/internal/gateway/clientname"
	"postern/internal/gateway/deliver"
	"postern/internal/gateway/dispatch"
	"postern/internal/gateway/identity"
	"postern/internal/gateway/inforce"
	"postern/internal/gateway/intake"
	"postern/internal/gateway/notify"
	"postern/internal/gateway/recipients"
	"postern/internal/gateway/route"
	"postern/internal/history/certstore"
	"postern/internal/history/peers"
	"postern/internal/history/peers/memory"
	"postern/internal/history/traffic"
	"postern/internal/operator/accounts"
	"postern/internal/operator/admin"
	"postern/internal/platform/ram"
	"postern/internal/policy/certcheck/roots"
	"postern/internal/policy/revoke"
	"postern/internal/queue"
	"postern/internal/queue/sqlstore"
	"postern/internal/smtp/smtpserver"
)

// Gateway is every room, built and joined. newGateway makes one; run runs it; close releases its data.
type Gateway struct {
	cfg      *config.Config
	log      *slog.Logger
	sink     event.Sink
	metrics  *metrics.Metrics
	figures  figures
	store    *sqlstore.Store
	rules    *inforce.Keeper // with the tables
	memory   *memory.Memory
	notifier *notify.Notifier
	traffic  *traffic.Recorder
	shown    *certstore.Keeper // certificates of servers
	pulse    admin.Pulse
	roots    *roots.Store
	resolver *resolver.Resolver
	revoke   *revoke.Checker
	checking checking
	// deliverer opens every connection that carries mail or asks about recipients.
	deliverer  *deliver.Deliverer
	dialer     deliver.Dialer // opens its sockets
	recipients *recipients.Keeper
	names      *clientname.Names
	inForce    atomic.Pointer[config.Config] // what was read last; cfg holds for what needs a restart
	intake     atomic.Pointer[intake.Intake]
	client     atomic.Pointer[tls.Certificate] // shown to servers that ask; nil shows none
	clients    *intake.Clients                 // how our own clients hand mail in
	logins     *intake.Logins                  // wrong passwords
	dispatch   *dispatch.Dispatcher
	admin      *admin.Service
	accounts   *accounts.Service
	certs      *identity.Certificates // nil: no STARTTLS
	plan       ram.Plan               // who may take how much memory
	// memoryOfContent is the half of the plan's Content that sessions share; the other is the store's. memoryOfSessions is
	// what they cost besides.
	memoryOfContent, memoryOfSessions *smtpserver.Memory
	hashing                           chan struct{} // a place for each password that may be hashed at a time

	sockets   *sockets.Set // opened before, by root; nil: listen opens them
	opened    func()       // called by run when every socket is open; nil: nothing is
	listeners []*listener
	stopping  atomic.Bool
	gate      atomic.Pointer[smtpserver.Gate] // of all listeners; nil before they are open
	reloading sync.Mutex                      // one reload at a time
	reloaded  reloaded
}

// New opens the store and joins the rooms. Nothing runs and no socket is open yet. extra sinks hear every event too.
func New(ctx context.Context, cfg *config.Config, log *slog.Logger, extra ...event.Sink) (*Gateway, error) {
	return NewOver(ctx, &net.Dialer{}, cfg, log, extra...)
}

// NewOver is newGateway with what opens connections to other servers.
func NewOver(ctx context.Context, dialer deliver.Dialer, cfg *config.Config, log *slog.Logger, extra ...event.Sink) (*Gateway, error) {
	g := &Gateway{cfg: cfg, log: log, dialer: dialer, clients: intake.NewClients(), logins: intake.NewLogins(), plan: rooms.MemoryPlan(cfg, ram.System())}
	g.memoryOfContent, g.memoryOfSessions = smtpserver.NewMemory(g.plan.Content/2), smtpserver.NewMemory(g.plan.SessionRoom)
	g.hashing = make(chan struct{}, g.plan.Hashes)
	g.figures = figures{stats: func(ctx context.Context) (queue.Stats, error) { return g.store.Stats(ctx) }}
	g.metrics = metrics.New(g.figures.metrics)
	g.reloaded.note(true, time.Now())
	g.metrics.Listeners(listenerNames(cfg)...)
	g.metrics.Watch(g.state)
	g.sink = append(event.Tee{maillog.New(log), g.metrics}, extra...)
	var err error
	if g.resolver, err = resolver.New(resolver.Config{Servers: rooms.ServerNames(cfg)}); err != nil {
		return nil, err
	}
	table, err := g.routes(cfg)
	if err != nil {
		return nil, err
	}
	g.names = rooms.NamesOfClients(cfg, g.resolver)
	g.inForce.Store(cfg)
	if err := g.trust(); err != nil {
		return nil, err
	}
	if g.store, err = datafolder.Open(ctx, cfg, &g.plan, func(err error) {
		g.warn("queue", err, "look at it, then remove it; nothing reads it")
	}); err != nil {
		return nil, err
	}
	before, err := g.store.Judgement(ctx)
	if err != nil {
		return nil, errors.Join(err, g.store.Close())
	}
	g.rules = inforce.NewKeeper(ctx, inforce.Config{Ledger: g.store, Table: table, Files: g.roots.Digest})
	if err := g.remember(ctx); err != nil {
		return nil, errors.Join(err, g.store.Close())
	}
	if err := g.rules.Now().Err; err != nil {
		g.warn("rules", err, "mail is answered 451 until rules are applied: postern rules apply FILE")
	}
	client, err := rooms.ClientCertificate(cfg)
	if err != nil {
		return nil, errors.Join(err, g.store.Close())
	}
	revocation := rooms.Revoking(cfg, g.resolver, filepath.Join(string(cfg.Data), "crl"), g.warnOfRevocation)
	revocation.Memory = g.plan.Lists
	if g.revoke, err = revoke.New(revocation); err != nil {
		return nil, errors.Join(err, g.store.Close())
	}
	checker, err := g.checks(cfg, client)
	if err != nil {
		return nil, errors.Join(err, g.store.Close())
	}
	g.checking.now.Store(checker)
	g.deliverer = g.delivers(client)
	if err := g.knowRecipients(cfg); err != nil {
		return nil, errors.Join(err, g.store.Close())
	}
	g.dispatch = dispatch.New(g.dispatching())
	if g.rules.Now().Number != before.Number { // something else is in force than when the gateway stopped
		g.dispatch.Changed()
	}
	g.admin = admin.New(g.administration())
	g.accounts = accounts.New(accounts.Config{Hashing: g.hashing, Book: g.store, Ledger: g.store, Idle: cfg.Admin.SessionIdle.Duration, Life: cfg.Admin.SessionTime.Duration})
	in, err := g.receiving(cfg)
	if err != nil {
		return nil, errors.Join(err, g.store.Close())
	}
	g.intake.Store(in)
	return g, nil
}

// remember makes the memory of peers and the notifier, and lets both hear what happens. What memory finds out is told to
// all but itself.
func (g *Gateway) remember(ctx context.Context) error {
	cfg := g.cfg
	told := g.sink
	g.notifier = notify.New(notify.Config{
		To: cfg.Admin.Notify, From: cfg.Postmaster, Hostname: cfg.Hostname, Store: g.store, InForce: g.rules.Now,
		Wake: func(m *queue.Message, site queue.SiteKey, due time.Time) { g.dispatch.Wake(m, site, due) },
		Sink: told, Random: rand.Uint32, Lifetime: cfg.Delivery.Lifetime.Duration,
	})
	var err error
	g.memory, err = memory.Open(ctx, memory.Config{
		Book: g.store, Sink: event.Tee{told, g.notifier},
		Ratchet: peers.Ratchet{Mode: peers.Mode(cfg.Delivery.Ratchet), After: cfg.Delivery.RatchetAfter, Days: cfg.Delivery.RatchetDays,
			Hold: cfg.Delivery.RatchetHold.Duration},
	})
	g.traffic = traffic.NewRecorder(g.store, func(err error) {
		g.warn("traffic", fmt.Errorf("sums of traffic cannot be kept: %w", err), "check the disk of the data directory; mail is not concerned")
	})
	// A record lives for queue.retention after its end, which comes at most days after its connections.
	g.shown = certstore.NewKeeper(g.store, cfg.Queue.Retention.Duration+14*24*time.Hour, func(err error) {
		g.warn("certificates", fmt.Errorf("certificates of servers cannot be kept: %w", err), "check the disk of the data directory; mail is not concerned")
	})
	g.sink = event.Tee{told, g.notifier, g.memory, g.traffic, g.shown, &g.pulse}
	return err
}

// trust prepares roots and our own certificates.
func (g *Gateway) trust() error {
	var err error
	g.roots, err = rooms.OpenRoots(g.cfg, func(n roots.Notice) {
		if n.Err != nil {
			g.warn("trust "+n.Trust, n.Err, "repair the file; the roots read before stay in force")
		}
		if len(n.Left) > 0 {
			g.warn("trust "+n.Trust, fmt.Errorf("%s: %s", n.File, strings.Join(n.Left, "; ")), "these certificates are not trusted")
		}
	})
	if err != nil {
		return err
	}
	if len(g.cfg.TLS.Certificates) == 0 {
		g.warn("certificate", errors.New("no certificate is configured"), "STARTTLS is not offered; set tls.certificates")
		return nil
	}
	var files []identity.File
	for _, c := range g.cfg.TLS.Certificates {
		files = append(files, identity.File{Cert: string(c.Cert), Key: string(c.Key)})
	}
	g.certs, err = identity.Load(files, func(n identity.Notice) {
		if n.Err != nil {
			g.warn("certificate", n.Err, "repair the file; the certificate read before stays in force")
		}
	})
	return err
}

// routes makes the routing table of a configuration.
func (g *Gateway) routes(cfg *config.Config) (*route.Table, error) {
	return route.New(rooms.Routing(cfg, g.resolver))
}

// delivers makes what opens connections to other servers.
func (g *Gateway) delivers(client *tls.Certificate) *deliver.Deliverer {
	opener := rooms.Delivering(g.cfg, g.dialer, g.roots, g.revoke, client)
	g.client.Store(client)
	opener.Certificate = g.client.Load
	opener.Memory, opener.Book, opener.Remember = g.memory, g.store, g.store.Remember
	return deliver.New(opener)
}

func (g *Gateway) dispatching() dispatch.Config {
	cfg := g.cfg
	dc := dispatch.Config{
		Store: g.store, Opener: g.deliverer, InForce: g.rules.Now, Sink: g.sink, Book: g.store,
		Hostname: cfg.Hostname, Postmaster: cfg.Postmaster,
		Schedule:          rooms.Pacing(&cfg.Delivery),
		Lifetime:          cfg.Delivery.Lifetime.Duration,
		UnsignedNo:        rooms.NeverIfZero(cfg.Delivery.UnsignedNo.Duration),
		Retention:         cfg.Queue.Retention.Duration,
		NoticesPerAddress: cfg.Queue.NoticesPerAddress, NoticesToStrangers: cfg.Queue.NoticesToStrangers,
		Ours: func(in *queue.Inbound) bool { return g.intake.Load().Ours(in) },
		// 0 means "never" in the configuration and "the default" in the room.
		DelayNotice: rooms.NeverIfZero(cfg.Delivery.DelayNotice.Duration),
		Linger:      rooms.NeverIfZero(cfg.Delivery.IdleTime.Duration),
		Grace:       cfg.Limits.DrainTime.Duration,
		Random:      rand.Uint32, Seed: rand.Uint64(), Worker: cfg.Hostname.String() + "/" + strconv.Itoa(os.Getpid()),
	}
	return dc
}

// Close releases the data. The gateway must not be running.
func (g *Gateway) Close() error {
	g.revoke.Close()
	return g.store.Close()
}
