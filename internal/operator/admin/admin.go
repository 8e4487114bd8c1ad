// Package admin is what an operator may do to a running gateway, as typed requests: look at the queue and the trace,
// retry, hold, release, cancel, lower, apply rules, read the audit trail. The socket, the console and tests are faces
// of it; none of them reaches around it to the store.
//
// Every request is one of a Desk, which knows who asks: a change of nobody is refused, and none is carried out without
// an entry in the audit trail. The entry of a change that weakens protection is on stable storage before the change is
// made.
//
// What an answer may tell to whom says scope.
package admin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"postern/internal/check"
	"postern/internal/event"
	"postern/internal/gateway/inforce"
	"postern/internal/history/certstore"
	"postern/internal/history/traffic"
	"postern/internal/mail"
	"postern/internal/operator/audit"
	"postern/internal/operator/hindsight"
	"postern/internal/operator/scope"
	"postern/internal/operator/trace"
	"postern/internal/policy/mxpins"
	"postern/internal/queue"
)

// Errors callers branch on.
var (
	// ErrNothingNamed: an action that is not for everything names nothing.
	ErrNothingNamed = errors.New("name the domains or messages")
	// ErrNotTaken: a configuration cannot be used; what was in force stays.
	ErrNotTaken = errors.New("the configuration was not taken; what was read before stays in force")
	// ErrRevision: the rules changed since the caller looked at them.
	ErrRevision = errors.New("the rules were changed by somebody else in the meantime")
)

// Dispatcher is what admin asks of whoever delivers. Both calls return at once.
type Dispatcher interface {
	// Kick makes the sites due now, whatever their backoff.
	Kick(ctx context.Context, sites ...queue.SiteKey)
	// Changed says that something else is in force: waiting mail is judged again, and what fell short is tried again.
	Changed()
	// Wished says that something is wanted of mail that is claimed: workers let go of what they have not begun with.
	Wished()
}

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
	// Dispatcher is told about changes; nil tells nobody, which suits a gateway that does not deliver.
	Dispatcher Dispatcher
	// Lifetime is how long ordinary mail may wait; 0 means mail.Lifetime.
	Lifetime time.Duration
	// Peers remembers the servers we send to; nil remembers none.
	Peers Peers
	// Pins keeps which names of mail hosts are known; nil keeps none. MailHosts finds those of a domain, asking DNS
	// afresh; nil refuses approvals.
	Pins      *mxpins.Book
	MailHosts func(context.Context, mail.Domain) (MailHosts, error)
	// Policies keeps the MTA-STS policies of recipient domains; nil keeps none.
	Policies Policies
	// Reporting counts TLS with other domains' servers and reports on it; nil counts nothing.
	Reporting *Reporting
	// Received are the reports of others about TLS with us; nil takes none.
	Received *ReceivedReports
	// Traffic keeps sums of what became of mail; nil keeps none.
	Traffic *traffic.Book
	// Certs holds the certificates that servers showed, whole; nil holds none.
	Certs Certificates
	// Hindsight is where previews of rules learn what is known now.
	Hindsight hindsight.Sources
	// Pulse tells who watches that something happened; it must hear the events. nil says nothing.
	Pulse *Pulse
	// Checker examines servers; nil refuses checks.
	Checker Checker
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
	// Sink hears of every change; nil discards.
	Sink event.Sink
	// Unprotected lists, since a time, the own clients that handed in without TLS what rules force onward; nil lists
	// none.
	Unprotected func(since time.Time) []Unprotected
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
	cfg    Config
	asked  scope.Gateway
	checks chan struct{} // holds one for each check that runs
	seats  *seats        // of those who watch
	looks  looks
	past   pastDomains
	// previews holds one for each preview that looks at past mail.
	previews chan struct{}
}

// New returns a Service.
func New(cfg Config) *Service {
	if cfg.Lifetime == 0 {
		cfg.Lifetime = mail.Lifetime
	}
	if cfg.Sink == nil {
		cfg.Sink = event.Discard{}
	}
	return &Service{cfg: cfg, asked: scope.Gateway{Store: cfg.Store, Ledger: cfg.Ledger, Rules: cfg.Rules, Sink: cfg.Sink}, checks: make(chan struct{}, ChecksAtOnce), seats: newSeats(cfg.Streams, cfg.StreamsOfOne), previews: make(chan struct{}, PreviewsAtOnce)}
}

func (s *Service) kick(ctx context.Context, sites []queue.SiteKey) {
	if s.cfg.Dispatcher != nil && len(sites) > 0 {
		s.cfg.Dispatcher.Kick(ctx, sites...)
	}
}

// Status is the gateway in a few figures.
type Status struct {
	Hostname      string           `json:"hostname"`
	Version       string           `json:"version"`
	StartedAt     *time.Time       `json:"started_at"`
	Ready         bool             `json:"ready"`
	Problem       string           `json:"problem,omitempty"`
	Queue         map[string]int64 `json:"queue"`
	BodyBytes     int64            `json:"body_bytes"`
	OldestAt      *time.Time       `json:"oldest_accepted_at"`
	Rules         int              `json:"rules"`
	RulesRevision int64            `json:"rules_revision"`
	RulesProblem  string           `json:"rules_problem,omitempty"`
	// Unprotected are the own clients that handed in without TLS, in the last week, what rules force onward.
	Unprotected []Unprotected `json:"handed_in_without_tls,omitempty"`
}

// unprotectedTime is how far back Status looks for own clients without TLS.
const unprotectedTime = 7 * 24 * time.Hour

// Unprotected is an own client that handed in mail without TLS which rules force onward.
type Unprotected struct {
	Client   string     `json:"client"`
	Since    *time.Time `json:"since"`
	Last     *time.Time `json:"last"`
	Messages int64      `json:"messages"`
	Message  string     `json:"message"` // the last one
	Rules    []string   `json:"rules"`
}

// status counts and looks.
func (s *Service) status(ctx context.Context) (Status, error) {
	out := Status{Hostname: s.cfg.Hostname, Version: s.cfg.Version, StartedAt: trace.Instant(s.cfg.StartedAt), Ready: true, Queue: map[string]int64{}}
	stats, err := s.cfg.Store.Stats(ctx)
	if err != nil {
		return out, fmt.Errorf("cannot count the queue: %w", err)
	}
	for st := queue.Queued; st <= queue.Cancelled; st++ {
		out.Queue[st.String()] = stats.States[st]
	}
	out.BodyBytes, out.OldestAt = stats.BodyBytes, trace.Instant(stats.Oldest)
	set, revision, err := s.cfg.Rules.Current()
	out.RulesRevision = revision
	if err != nil {
		out.RulesProblem, out.Ready = err.Error(), false
	} else {
		out.Rules = len(set.Rules())
	}
	if s.cfg.Unprotected != nil {
		out.Unprotected = s.cfg.Unprotected(time.Now().Add(-unprotectedTime))
	}
	if s.cfg.Problem != nil {
		if err := s.cfg.Problem(); err != nil {
			out.Problem, out.Ready = err.Error(), false
		}
	}
	return out, nil
}
