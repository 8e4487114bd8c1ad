package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

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
	"postern/internal/mail"
	"postern/internal/operator/accounts"
	"postern/internal/operator/admin"
	"postern/internal/operator/audit"
	"postern/internal/platform/ram"
	"postern/internal/policy"
	"postern/internal/policy/certcheck/roots"
	"postern/internal/policy/revoke"
	"postern/internal/queue"
	"postern/internal/queue/schedule"
	"postern/internal/queue/sqlstore"
	"postern/internal/smtp/smtpserver"
)

// gateway is every room, built and joined. newGateway makes one; run runs it; close releases its data.
type gateway struct {
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

	sockets   *sockets // opened before, by root; nil: listen opens them
	opened    func()   // called by run when every socket is open; nil: nothing is
	listeners []*listener
	stopping  atomic.Bool
	gate      atomic.Pointer[smtpserver.Gate] // of all listeners; nil before they are open
	reloading sync.Mutex                      // one reload at a time
	reloaded  reloaded
}

// newGateway opens the store and joins the rooms. Nothing runs and no socket is open yet. extra sinks hear every event too.
func newGateway(ctx context.Context, cfg *config.Config, log *slog.Logger, extra ...event.Sink) (*gateway, error) {
	return newGatewayOver(ctx, &net.Dialer{}, cfg, log, extra...)
}

// newGatewayOver is newGateway with what opens connections to other servers.
func newGatewayOver(ctx context.Context, dialer deliver.Dialer, cfg *config.Config, log *slog.Logger, extra ...event.Sink) (*gateway, error) {
	g := &gateway{cfg: cfg, log: log, dialer: dialer, clients: intake.NewClients(), logins: intake.NewLogins(), plan: memoryPlan(cfg, ram.System())}
	g.memoryOfContent, g.memoryOfSessions = smtpserver.NewMemory(g.plan.Content/2), smtpserver.NewMemory(g.plan.SessionRoom)
	g.hashing = make(chan struct{}, g.plan.Hashes)
	g.figures = figures{stats: func(ctx context.Context) (queue.Stats, error) { return g.store.Stats(ctx) }}
	g.metrics = metrics.New(g.figures.metrics)
	g.reloaded.note(true, time.Now())
	g.metrics.Listeners(listenerNames(cfg)...)
	g.metrics.Watch(g.state)
	g.sink = append(event.Tee{maillog.New(log), g.metrics}, extra...)
	var err error
	if g.resolver, err = resolver.New(resolver.Config{Servers: serverNames(cfg)}); err != nil {
		return nil, err
	}
	table, err := g.routes(cfg)
	if err != nil {
		return nil, err
	}
	g.names = namesOfClients(cfg, g.resolver)
	g.inForce.Store(cfg)
	if err := g.trust(); err != nil {
		return nil, err
	}
	if g.store, err = openStore(ctx, cfg, &g.plan, func(err error) {
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
	client, err := clientCertificate(cfg)
	if err != nil {
		return nil, errors.Join(err, g.store.Close())
	}
	revocation := revoking(cfg, g.resolver, filepath.Join(string(cfg.Data), "crl"), g.warnOfRevocation)
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
func (g *gateway) remember(ctx context.Context) error {
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

// receiving makes the receiving side of a configuration.
func (g *gateway) receiving(cfg *config.Config) (*intake.Intake, error) {
	return intake.New(intake.Config{
		Hostname: cfg.Hostname, Postmaster: postmasterFor(cfg),
		RelayNetworks: cfg.Relay.Networks, RelayCertificates: cfg.Relay.ClientCertificates != "", Authenticate: g.authenticate(cfg),
		Proof: cfg.Proof, Current: g.intake.Load, Logins: g.logins,
		RelayTLS: cfg.Relay.Require >= policy.Encrypted, RelayBare: bareEnds(cfg), Bindings: bindings(cfg), Clients: g.clients,
		Recipients: g.recipients.Refuse, Names: g.clientNames(cfg),
		InForce: g.rules.Now, Store: g.store, Sink: g.sink, Wake: g.dispatch.Wake,
		Lifetime: cfg.Delivery.Lifetime.Duration, DelayNotice: neverIfZero(cfg.Delivery.DelayNotice.Duration),
		HeaderSize: int(cfg.Limits.HeaderSize), Hops: cfg.Limits.Hops, Memory: g.memoryOfContent,
		LoginFailures: cfg.Limits.LoginFailures, LoginWindow: cfg.Limits.LoginWindow.Duration,
	})
}

func bareEnds(cfg *config.Config) smtpserver.BareEnds {
	if cfg.Relay.BareNewline == config.BareNormalize {
		return smtpserver.ConvertBare
	}
	return smtpserver.RefuseBare
}

func bindings(cfg *config.Config) (out []intake.Binding) {
	for _, r := range cfg.RelayClient {
		b := intake.Binding{Networks: r.Networks, Users: r.Users, Certificates: r.Certificates}
		for _, s := range r.Senders {
			b.Senders = append(b.Senders, intake.Sender(s))
		}
		out = append(out, b)
	}
	return out
}

// authenticate asks the users of a configuration, when there is memory for another hash.
func (g *gateway) authenticate(cfg *config.Config) func(user, password string) bool {
	return func(user, password string) bool {
		g.hashing <- struct{}{}
		defer func() { <-g.hashing }()
		return cfg.Authenticate(user, password)
	}
}

// trust prepares roots and our own certificates.
func (g *gateway) trust() error {
	var err error
	g.roots, err = openRoots(g.cfg, func(n roots.Notice) {
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
func (g *gateway) routes(cfg *config.Config) (*route.Table, error) {
	return route.New(routing(cfg, g.resolver))
}

// delivers makes what opens connections to other servers.
func (g *gateway) delivers(client *tls.Certificate) *deliver.Deliverer {
	opener := delivering(g.cfg, g.dialer, g.roots, g.revoke, client)
	g.client.Store(client)
	opener.Certificate = g.client.Load
	opener.Memory, opener.Book, opener.Remember = g.memory, g.store, g.store.Remember
	return deliver.New(opener)
}

func (g *gateway) dispatching() dispatch.Config {
	cfg := g.cfg
	dc := dispatch.Config{
		Store: g.store, Opener: g.deliverer, InForce: g.rules.Now, Sink: g.sink, Book: g.store,
		Hostname: cfg.Hostname, Postmaster: cfg.Postmaster,
		Schedule:          pacing(&cfg.Delivery),
		Lifetime:          cfg.Delivery.Lifetime.Duration,
		UnsignedNo:        neverIfZero(cfg.Delivery.UnsignedNo.Duration),
		Retention:         cfg.Queue.Retention.Duration,
		NoticesPerAddress: cfg.Queue.NoticesPerAddress, NoticesToStrangers: cfg.Queue.NoticesToStrangers,
		Ours: func(in *queue.Inbound) bool { return g.intake.Load().Ours(in) },
		// 0 means "never" in the configuration and "the default" in the room.
		DelayNotice: neverIfZero(cfg.Delivery.DelayNotice.Duration),
		Linger:      neverIfZero(cfg.Delivery.IdleTime.Duration),
		Grace:       cfg.Limits.DrainTime.Duration,
		Random:      rand.Uint32, Seed: rand.Uint64(), Worker: cfg.Hostname.String() + "/" + strconv.Itoa(os.Getpid()),
	}
	return dc
}

// pacing is how deliveries are tried and how the connections are divided.
func pacing(c *config.Delivery) schedule.Config {
	s := schedule.Config{
		Jitter: 0.1, PerSite: c.ConnectionsPerSite, Total: c.Connections, Own: c.ConnectionsOwn, Unproven: c.ConnectionsUnproven,
		Reports: c.ConnectionsReports, Family: c.ConnectionsPerHost, Overtime: c.ConnectionsOvertime,
		SlowAfter: c.SlowAfter.Duration, Lately: c.ProvenFor.Duration,
	}
	for _, step := range c.Retry {
		s.Retry = append(s.Retry, step.Duration)
	}
	return s
}

func neverIfZero(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}

func (g *gateway) administration() admin.Config {
	out := admin.Config{
		Settings: func() admin.Settings { return settingsOf(g.inForce.Load()) }, Certificates: g.ownChains,
		Store: g.store, Ledger: g.store, Rules: g.rules, Peers: g.memory, Dispatcher: afresh{g.dispatch, g.resolver, g.revoke}, Sink: g.sink,
		Pins: g.store, MailHosts: g.mailHosts, Checker: &g.checking, Pulse: &g.pulse, Traffic: g.store, Certs: g.shown,
		Refusals:    func() []audit.Entry { return g.accounts.Refusals() }, // made after this
		Unprotected: g.unprotected, Trust: trustIn(g.roots),
		Lifetime: g.cfg.Delivery.Lifetime.Duration,
		Streams:  g.cfg.Admin.Connections / 2, StreamsOfOne: g.cfg.Admin.Streams,
		Hostname: g.cfg.Hostname.String(), Version: thisBuild().Version, StartedAt: time.Now(), Problem: g.problem,
	}
	if g.cfg.Path() != "" {
		out.Reload, out.ConfigFile = g.readAgain, g.cfg.Path()
	}
	return out
}

// unprotected lists the own clients that handed in without TLS what rules force onward.
func (g *gateway) unprotected(since time.Time) (out []admin.Unprotected) {
	for _, f := range g.clients.Forced(since) {
		first, last := f.Since.UTC(), f.Last.UTC()
		out = append(out, admin.Unprotected{Client: f.Client.String(), Since: &first, Last: &last, Messages: f.Messages,
			Message: f.Message, Rules: f.Rules})
	}
	return out
}

// mailHosts finds the mail hosts of a domain, asking DNS afresh.
func (g *gateway) mailHosts(ctx context.Context, d mail.Domain) (admin.MailHosts, error) {
	g.resolver.Forget()
	plan, problem := g.rules.Now().Table.Plan(ctx, d)
	if problem != nil {
		return admin.MailHosts{}, problem
	}
	out := admin.MailHosts{ByAdmin: plan.ByAdmin}
	for i := range plan.Hops {
		out.Hosts = append(out.Hosts, plan.Hops[i].Host)
	}
	return out, nil
}

// afresh is the dispatcher as an administrator's actions see it: what he repaired may be in DNS, or the way to a CA, so
// they are asked again.
type afresh struct {
	*dispatch.Dispatcher
	resolver *resolver.Resolver
	revoke   *revoke.Checker
}

// Kick forgets cached answers and makes the sites due now.
func (a afresh) Kick(ctx context.Context, sites ...queue.SiteKey) {
	a.resolver.Forget()
	a.revoke.Forget()
	a.Dispatcher.Kick(ctx, sites...)
}

// problem says what the next message would hear, nil if it would be taken: what intake, the gate and the store are asked when
// one comes.
func (g *gateway) problem() error {
	if g.stopping.Load() {
		return errors.New("the gateway is stopping")
	}
	if err := g.rules.Now().Err; err != nil {
		return err
	}
	if g.memoryOfSessions.Tight() {
		return errors.New("memory is used up: new clients hear 421 until there is room")
	}
	if gate := g.gate.Load(); gate != nil && gate.Full() {
		return errors.New("limits.connections are in use: new clients hear 421")
	}
	if err := g.store.Takes(); err != nil {
		return err
	}
	_, err := g.figures.get()
	return err
}

func (g *gateway) warn(what string, err error, hint string) {
	g.sink.Emit(event.Warned{What: what, Text: err.Error(), Hint: hint})
}

func (g *gateway) warnOfRevocation(err error) {
	g.warn("revocation", err, "make the folder crl in the data folder writable; until then lists are fetched anew after a restart")
}

// close releases the data. The gateway must not be running.
func (g *gateway) close() error {
	g.revoke.Close()
	return g.store.Close()
}

// verifyClient checks a client's certificate against the CA that relay.client_certificates names now; where it names none,
// nobody is verified.
func (g *gateway) verifyClient(chain []*x509.Certificate) bool {
	file := string(g.inForce.Load().Relay.ClientCertificates)
	return file != "" && intake.VerifyClient(func() *x509.CertPool {
		pools, err := g.roots.Pools(file)
		if err != nil {
			return nil // said by the Notice of roots; a CA that cannot be read verifies nobody
		}
		return pools[file]
	})(chain)
}

// postmasterFor is who gets the mail for this gateway's own postmaster: the configured mailbox, or where that would be
// at the gateway itself, which has no mailboxes, the postmaster of the first domain it serves.
func postmasterFor(cfg *config.Config) mail.Address {
	if cfg.Postmaster.Domain == cfg.Hostname && len(cfg.Domain) > 0 {
		return mail.Address{Local: "postmaster", Domain: cfg.Domain[0].Name}
	}
	return cfg.Postmaster
}

func clientCertificate(cfg *config.Config) (*tls.Certificate, error) {
	if cfg.Delivery.ClientCertificate == "" {
		return nil, nil
	}
	cert, err := identity.Read(identity.File{Cert: string(cfg.Delivery.ClientCertificate), Key: string(cfg.Delivery.ClientKey)})
	if err != nil {
		return nil, fmt.Errorf("the client certificate cannot be read: %w", err)
	}
	return &cert, nil
}

func serverNames(cfg *config.Config) (out []string) {
	for _, s := range cfg.DNS.Servers {
		out = append(out, s.String())
	}
	return out
}

func hops(in []config.HostPort) (out []route.HostPort) {
	for _, h := range in {
		out = append(out, route.HostPort(h))
	}
	return out
}

// localAddrs lists where we listen, so that mail never loops back to us: a listener on every address is all addresses
// of the machine's interfaces.
func localAddrs(cfg *config.Config) (out []netip.AddrPort) {
	for _, l := range cfg.Listen {
		out = append(out, addressesOf(l.Address)...)
	}
	return out
}

// addressesOf lists the addresses at which a listener of an address is reached.
func addressesOf(address string) (out []netip.AddrPort) {
	host, portText, err := net.SplitHostPort(address)
	port, portErr := strconv.ParseUint(portText, 10, 16)
	if err != nil || portErr != nil || port == 0 {
		return nil // checked by the configuration; port 0 is chosen by the system
	}
	if ip, err := netip.ParseAddr(host); err == nil && !ip.IsUnspecified() {
		return []netip.AddrPort{netip.AddrPortFrom(ip, uint16(port))}
	}
	out = append(out, netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(port)))
	list, err := net.InterfaceAddrs()
	if err != nil {
		return out
	}
	for _, a := range list {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil {
			out = append(out, netip.AddrPortFrom(prefix.Addr(), uint16(port)))
		}
	}
	return out
}
