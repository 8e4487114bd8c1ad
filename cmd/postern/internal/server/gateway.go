// Package server is the composition of the gateway: every room is built and joined here, and runs until it is told to
// stop.
//
// New makes the rooms in an order in which each is given what it needs. Gateway.Run opens the sockets, works, and stops
// in order; readAgain puts another configuration in force, all of what needs no restart or nothing.
package server

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"

	"postern/cmd/postern/internal/sockets"
	"postern/cmd/postern/internal/storage"
	"postern/internal/config"
	"postern/internal/dns/resolver"
	"postern/internal/event"
	"postern/internal/event/metrics"
	"postern/internal/gateway/certorder"
	"postern/internal/gateway/clientname"
	"postern/internal/gateway/copymark"
	"postern/internal/gateway/deliver"
	"postern/internal/gateway/dispatch"
	"postern/internal/gateway/expiry"
	"postern/internal/gateway/identity"
	"postern/internal/gateway/inforce"
	"postern/internal/gateway/intake"
	"postern/internal/gateway/nodes"
	"postern/internal/gateway/notify"
	"postern/internal/gateway/recipients"
	"postern/internal/gateway/reportbox"
	"postern/internal/gateway/stscache"
	"postern/internal/gateway/tlsreport"
	"postern/internal/gateway/zonewatch"
	"postern/internal/history/certstore"
	"postern/internal/history/inbound"
	"postern/internal/history/peers/memory"
	"postern/internal/history/tlscounts"
	"postern/internal/history/tlsreports"
	"postern/internal/history/told"
	"postern/internal/history/traffic"
	"postern/internal/operator/accounts"
	"postern/internal/operator/admin"
	"postern/internal/operator/live"
	"postern/internal/platform/ram"
	"postern/internal/policy/certcheck/roots"
	"postern/internal/policy/mxpins"
	"postern/internal/policy/revoke"
	"postern/internal/smtp/smtpserver"
)

// Gateway is every room, built and joined. New makes one; Run runs it; Close releases its data.
type Gateway struct {
	cfg      *config.Config
	log      *slog.Logger
	sink     *bus
	metrics  *metrics.Metrics
	figures  figures
	store    *storage.Opened
	pins     *mxpins.Book
	marks    *copymark.Marks
	rules    *inforce.Keeper // with the tables
	nodes    *nodes.Node     // of the store
	memory   *memory.Memory
	told     *told.Book // by all gateways
	notifier *notify.Notifier
	traffic  *traffic.Recorder
	counts   *tlscounts.Recorder // of TLS with other domains' servers
	reports  *tlsreport.Sender   // of that; nil: none are sent
	inbound  *inbound.Recorder   // of TLS of strangers with us
	received *tlsreports.Book    // reports of others
	box      *reportbox.Box      // takes them
	shown    *certstore.Keeper   // certificates of servers
	pulse    live.Pulse
	roots    *roots.Store
	resolver *resolver.Resolver
	revoke   *revoke.Checker
	policies *stscache.Cache // of recipient domains
	checking checking
	// deliverer opens every connection that carries mail or asks about recipients.
	deliverer  *deliver.Deliverer
	dialer     deliver.Dialer // opens its sockets
	recipients *recipients.Keeper
	names      *clientname.Names
	zones      *zonewatch.Watcher            // of the records of our own domains
	secret     string                        // of [oidc]
	inForce    atomic.Pointer[config.Config] // what was read last; cfg holds for what needs a restart
	intake     atomic.Pointer[intake.Intake]
	client     atomic.Pointer[tls.Certificate] // shown to servers that ask; nil shows none
	clients    *intake.Clients                 // how our own clients hand mail in
	logins     *intake.Logins                  // wrong passwords
	dispatch   *dispatch.Dispatcher
	admin      *admin.Service
	accounts   *accounts.Service
	certs      *identity.Certificates // nil: no STARTTLS
	acme       *certorder.Keeper      // has one of them; nil: no CA is asked
	expiry     *expiry.Watcher        // of all of them
	partners   shownToPartners
	plan       ram.Plan // who may take how much memory
	// memoryOfContent is the half of the plan's Content that sessions share; the other is the store's. memoryOfSessions
	// is what they cost besides.
	memoryOfContent, memoryOfSessions *smtpserver.Memory
	hashing                           chan struct{} // a place for each password that may be hashed at a time

	sockets   *sockets.Set // opened before, by root; nil: listen opens them
	opened    func()       // called by Run when every socket is open; nil: nothing is
	listeners []*listener
	stopping  atomic.Bool
	gate      atomic.Pointer[smtpserver.Gate] // of all listeners; nil before they are open
	reloading sync.Mutex                      // one reload at a time
	reloaded  reloaded
}

// Close releases the data. The gateway must not be running.
func (g *Gateway) Close() error {
	g.policies.Close()
	g.revoke.Close()
	return g.store.Close()
}

// warn tells of something that an administrator should look at.
func (g *Gateway) warn(what string, err error, hint string) {
	g.sink.Emit(event.Warned{What: what, Text: err.Error(), Hint: hint})
}

// report passes on why a part of the gateway ended by itself.
func report(failed chan<- error, err error) {
	if err != nil {
		failed <- err
	}
}

// engine serves sockets: that of mail, or that of the web.
type engine interface {
	Serve(net.Listener) error
	Shutdown(context.Context) error
}

// listener is the engine of one listener with the sockets it serves.
type listener struct {
	cfg     config.Listen
	sockets []net.Listener
	server  engine
}
