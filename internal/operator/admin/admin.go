// Package admin is what an operator may do to a running gateway, as typed requests: look at the queue and the trace,
// retry, hold, release, cancel, lower, apply rules, read the audit trail. The socket, the console and tests are faces
// of it; none of them reaches around it to the store.
//
// Every request is one of a Desk, which knows who asks: a change of nobody is refused, and none is carried out without
// an entry in the audit trail. The entry of a change that weakens protection is on stable storage before the change is
// made.
//
// What an answer may tell to whom says scope. A Desk is the desks of these duties, and what is about the rules, one
// message, the configuration and the audit trail:
//
//	live       what the gateway is doing now           servers    what is known of servers, and checks
//	waiting    changes of mail that waits              mailhosts  which names of mail hosts are trusted
//	past       what records of past mail add up to     policies   which MTA-STS policies are kept
//	reports    reports about TLS
package admin

import (
	"cmp"
	"context"
	"errors"
	"time"

	"postern/internal/check"
	"postern/internal/event"
	"postern/internal/gateway/inforce"
	"postern/internal/gateway/nodes"
	"postern/internal/history/certstore"
	"postern/internal/history/traffic"
	"postern/internal/mail"
	"postern/internal/operator/audit"
	"postern/internal/operator/hindsight"
	"postern/internal/operator/live"
	"postern/internal/operator/mailhosts"
	"postern/internal/operator/past"
	"postern/internal/operator/policies"
	"postern/internal/operator/reports"
	"postern/internal/operator/scope"
	"postern/internal/operator/servers"
	"postern/internal/operator/waiting"
	"postern/internal/policy/mxpins"
	"postern/internal/policy/rulelist"
	"postern/internal/queue"
)

// Errors callers branch on.
var (
	// ErrNotTaken: a configuration cannot be used; what was in force stays.
	ErrNotTaken = errors.New("the configuration was not taken; what was read before stays in force")
	// ErrRevision: the rules changed since the caller looked at them.
	ErrRevision = errors.New("the rules were changed by somebody else in the meantime")
)

// Certificates finds certificates by their digests; certstore.Keeper does.
type Certificates interface {
	Certificates(ctx context.Context, digests []string) ([]certstore.Certificate, error)
}

// Config is what a Service stands on. Store, Ledger and Rules must be set.
type Config struct {
	Store  queue.Store
	Ledger audit.Ledger
	// Rules is what is in force. A gateway whose views have no table does not deliver, and refuses lowering.
	Rules *inforce.Keeper
	// Nodes are the gateways of the store; nil is this one alone.
	Nodes *nodes.Node
	// Dispatcher is told about changes; nil tells nobody, which suits a gateway that does not deliver.
	Dispatcher waiting.Dispatcher
	// Lifetime is how long ordinary mail may wait; 0 means mail.Lifetime.
	Lifetime time.Duration
	// Peers remembers the servers we send to; nil remembers none.
	Peers servers.Peers
	// Pins keeps which names of mail hosts are known; nil keeps none. MailHosts finds those of a domain, asking DNS
	// afresh; nil refuses approvals.
	Pins      *mxpins.Book
	MailHosts func(context.Context, mail.Domain) (mailhosts.MailHosts, error)
	// Policies keeps the MTA-STS policies of recipient domains; nil keeps none.
	Policies policies.Policies
	// Reporting counts TLS with other domains' servers and reports on it; nil counts nothing.
	Reporting *reports.Reporting
	// Received are the reports of others about TLS with us; nil takes none.
	Received *reports.ReceivedReports
	// Traffic keeps sums of what became of mail; nil keeps none.
	Traffic *traffic.Book
	// Certs holds the certificates that servers showed, whole; nil holds none.
	Certs Certificates
	// Hindsight is where previews of rules learn what is known now.
	Hindsight hindsight.Sources
	// Pulse tells who watches that something happened; it must hear the events. nil says nothing.
	Pulse *live.Pulse
	// Checker examines servers; nil refuses checks.
	Checker servers.Checker
	// Settings shows the configuration in force, Certificates our own chains, Reload reads the files again.
	// Each may be nil.
	Settings     func() Settings
	Certificates func() ([]check.Own, error)
	Reload       func(ctx context.Context) (ReloadResult, error)
	// ConfigFile is what Reload reads, for the audit trail.
	ConfigFile string
	// Refusals are entries that the audit trail does not have yet, newest first; nil has none.
	Refusals func() []audit.Entry
	// Trust reads a file of CA certificates that a rule names, as it is now, and says what is wrong with it and what to
	// do, "" when it can be used; nil reads none.
	Trust func(file string) (wrong, hint string)
	// ListFile reads the file of a list that rules name, as it is now; nil reads none.
	ListFile func(file string) rulelist.File
	// Sink hears of every change; nil discards.
	Sink event.Sink
	// Unprotected lists, since a time, the own clients that handed in without TLS what rules force onward; nil lists
	// none.
	Unprotected func(since time.Time) []live.Unprotected
	// Streams is how many may watch at a time, and StreamsOfOne how often one account; 0 means 32 and 8.
	Streams, StreamsOfOne int
	// Hostname, Version and StartedAt are shown by Status. Problem says what is wrong now, nil that all is well; it may
	// be nil.
	Hostname, Version string
	StartedAt         time.Time
	Problem           func() error
}

// Service is what the desks of all principals share. Safe for concurrent use.
type Service struct {
	cfg     Config
	asked   scope.Gateway
	live    *live.Service
	past    *past.Service
	queue   *waiting.Service
	hosts   *mailhosts.Service
	servers *servers.Service
	checks  chan struct{} // holds one for each check that runs
	looks   looks
	// previews holds one for each preview that looks at past mail.
	previews chan struct{}
}

// New returns a Service.
func New(cfg Config) *Service {
	cfg.Lifetime = cmp.Or(cfg.Lifetime, mail.Lifetime)
	if cfg.Sink == nil {
		cfg.Sink = event.Discard{}
	}
	s := &Service{cfg: cfg, checks: make(chan struct{}, servers.ChecksAtOnce),
		previews: make(chan struct{}, past.PreviewsAtOnce),
		asked:    scope.Gateway{Store: cfg.Store, Ledger: cfg.Ledger, Rules: cfg.Rules, Sink: cfg.Sink}}
	s.live = live.New(live.Config{Store: cfg.Store, Rules: cfg.Rules, Pulse: cfg.Pulse, Streams: cfg.Streams,
		StreamsOfOne: cfg.StreamsOfOne,
		Hostname:     cfg.Hostname, Version: cfg.Version, StartedAt: cfg.StartedAt, Problem: cfg.Problem,
		Unprotected: cfg.Unprotected})
	s.past = past.New(past.Config{Hindsight: cfg.Hindsight, Traffic: cfg.Traffic, Rules: cfg.Rules,
		Lookers: s.previews})
	s.queue = waiting.New(waiting.Config{Store: cfg.Store, Ledger: cfg.Ledger, Rules: cfg.Rules,
		Dispatcher: cfg.Dispatcher, Lifetime: cfg.Lifetime, Sink: cfg.Sink})
	s.hosts = mailhosts.New(mailhosts.Config{Store: cfg.Store, Rules: cfg.Rules, Kick: s.queue.Kick, Pins: cfg.Pins,
		MailHosts: cfg.MailHosts})
	s.servers = servers.New(servers.Config{Store: cfg.Store, Peers: cfg.Peers, Checker: cfg.Checker, Checks: s.checks})
	return s
}
