// Package event has one struct for each thing that happens in the gateway, and the Sink they go to. Engines and
// workflows emit; the mail log (maillog), the metrics and tests listen. An event is a fact with its data, never a
// format string; whoever renders it escapes what peers wrote.
//
// Ground room.
package event

import (
	"net/netip"
	"time"

	"postern/internal/attempt"
	"postern/internal/mail"
	"postern/internal/policy"
)

// Event is one of the structs of this package.
type Event interface{ event() }

// Sink takes events. Emit must not block on the network, may be called from many goroutines, and must not keep
// pointers into the event after it returned unless the emitter gave them away.
type Sink interface{ Emit(Event) }

// Tee emits to each sink in order.
type Tee []Sink

// Emit passes e on.
func (t Tee) Emit(e Event) {
	for _, s := range t {
		s.Emit(e)
	}
}

// Discard is a Sink that forgets.
type Discard struct{}

// Emit does nothing.
func (Discard) Emit(Event) {}

// Leg is one of the four legs of design.md §2.
type Leg string

// The legs.
const (
	InWorld  Leg = "world-gateway"
	InOwn    Leg = "own-gateway"
	OutOwn   Leg = "gateway-own"
	OutWorld Leg = "gateway-world"
)

// ClientKind is what is wrong with a client that came without TLS. The names are stable: log and metrics print them.
type ClientKind string

// The kinds.
const (
	ClientForced  ClientKind = "forced-onward" // rules force the message onward
	ClientLostTLS ClientKind = "tls-lost"      // the client always had TLS
)

// RecipientResult is what came of asking the servers of a domain of ours about a recipient. The names are stable: log
// and metrics print them.
type RecipientResult string

// The results.
const (
	RecipientKnown      RecipientResult = "known"
	RecipientUnknown    RecipientResult = "unknown"    // the recipient is refused
	RecipientUnanswered RecipientResult = "unanswered" // nobody could tell, and the recipient is taken
)

// WebPage is what a request to a web listener asked for. The names are stable: log and metrics print them.
type WebPage string

// The pages.
const (
	WebPolicy    WebPage = "policy"    // the MTA-STS policy of a domain of ours
	WebPartners  WebPage = "partners"  // our certificates, for partners
	WebChallenge WebPage = "challenge" // a CA's challenge
	WebReport    WebPage = "report"    // a report about TLS was brought
	WebNone      WebPage = "none"      // nothing that is there
)

// Ways of a report about TLS. The names are stable: log and metrics print them.
const (
	ReportMail = "mail"
	ReportWeb  = "https"
)

// ReportResult is what became of a report about TLS that came in. The names are stable: log and metrics print them.
type ReportResult string

// The results.
const (
	ReportKept    ReportResult = "kept"
	ReportCopy    ReportResult = "copy"    // it was there already
	ReportRefused ReportResult = "refused" // it is none, is not about us, or cannot be taken
)

type (
	// Started: a listener is open.
	Started struct{ Listener, Address, Mode string }
	// Connected: a client connected to a listener.
	Connected struct {
		Listener string
		Client   netip.Addr
	}
	// Disconnected: a session ended, with how many messages it brought and why it ended.
	Disconnected struct {
		Listener string
		Client   netip.Addr
		Messages int
		Took     time.Duration
		Why      string
		TLS      bool   // the session had TLS at its end
		Broken   bool   // a handshake failed, of which HandshakeFailed has told
		Shown    []byte // the certificate of ours that a handshake chose, DER; nil where none did
	}
	// HandshakeFailed: an inbound TLS handshake failed.
	HandshakeFailed struct {
		Listener string
		Client   netip.Addr
		Text     string
		Shown    []byte // as of Disconnected
	}
	// ProxyRefused: a connection of a load balancer was closed, since its PROXY header did not say who the client is.
	// Check says that it was closed by the other side before a word, as whoever looks whether a port is open does;
	// Again, that this was told of within the minute.
	ProxyRefused struct {
		Listener     string
		Balancer     netip.Addr
		Text, Hint   string
		Check, Again bool
	}
	// Refused: a command of a client was refused.
	Refused struct {
		Listener string
		Client   netip.Addr
		Command  string
		From, To string
		Code     int
		Status   string
		Text     string
	}
	// FellShort: mail of others came in with less than a rule about incoming mail demands: a command was refused, or,
	// where the rules are on trial, a message was taken all the same.
	FellShort struct {
		Listener string
		Client   netip.Addr
		Helo     string
		From     mail.Address
		To       []mail.Address // at RCPT the one in question, of a message all
		Rules    []string       // those of which it falls short
		Trial    bool
		Message  string // the message that was taken, "" of a command that was refused
		Requires policy.Level
		Reason   policy.Reason
		Text     string // one sentence; it may quote the client's certificate, bounded and escaped
		Later    bool   // the client may try again
		TLS      *mail.TLS
		Names    []string // of the client's certificate; bounded and escaped
	}
	// RecipientAsked: servers of ours were asked about a recipient; what is remembered is not asked again. Text is what
	// Host answered last, or why nobody could tell; escaped.
	RecipientAsked struct {
		To     mail.Address
		Result RecipientResult
		Host   string
		Text   string
		Took   time.Duration
	}
	// LoggedIn: an AUTH attempt ended.
	LoggedIn struct {
		Listener string
		Client   netip.Addr
		User     string
		OK       bool
	}
	// Accepted: a message was stored.
	Accepted struct {
		Leg        Leg
		Message    string
		MessageID  string
		From       mail.Address
		Recipients int
		Size       int64
		Client     netip.Addr
		Helo       string
		User       string
		TLS        *mail.TLS
		Took       time.Duration
	}
	// ClientPlain: one of our own clients handed in mail without TLS that should have had it. One event a day for a
	// client and a kind.
	ClientPlain struct {
		Kind     ClientKind
		Client   netip.Addr
		Helo     string
		Listener string
		Message  string
		Rules    []string  // that force the message onward; none where they do not
		LastTLS  time.Time // when the client last had TLS, zero where that is not remembered
	}
	// Attempted: a site was tried; one event for one plan, however many deliveries it served.
	Attempted struct {
		Site     string
		Leg      Leg
		Requires policy.Level
		Attempt  *attempt.Attempt
		// Domain is the recipients', Named says that an administrator named its hosts, and not DNS.
		Domain mail.Domain
		Named  bool
		// Report says that it was for a report of ours about TLS, which is in no such report itself (RFC 8460 §3).
		Report bool
	}
	// PassedOver: no host of a domain could be tried, and what they publish is shown by Attempt. Nothing was dialled.
	PassedOver struct {
		Leg     Leg
		Attempt *attempt.Attempt
		Domain  mail.Domain
		Named   bool // as of Attempted
		Report  bool
	}
	// PeerChanged: something about a server we send to is not as it was. Before and After are bounded text.
	PeerChanged struct {
		Host          string
		IP            netip.Addr
		Port          uint16
		Change        string // of peers.ChangeKind
		Before, After string
		// Mail says what becomes of mail for it, "" when nothing does.
		Mail string
		// UnderRule says that mail which demands authenticated TLS went there lately.
		UnderRule bool
	}
	// Settled: a delivery changed its state.
	Settled struct {
		Leg      Leg
		Message  string
		From, To mail.Address
		State    string // "delivered", "deferred", "failed", "held", "cancelled"
		Rule     string
		Requires policy.Level
		Reached  policy.Level
		Attempt  *attempt.Attempt // nil when it was not tried now
		Reason   policy.Reason
		Text     string
		Delay    time.Duration // since acceptance
		Next     time.Time     // next try, for deferred
		Would    string        // rules in test mode that would have changed the outcome
		// Wished is the action that an administrator, WishedBy, asked for while it was being sent, "" for none; TooLate
		// says that it ended otherwise.
		Wished, WishedBy string
		TooLate          bool
	}
	// RuleActed: a rule did something with mail when it was accepted or refused, or would have.
	RuleActed struct {
		Rule     string
		Effect   string // of policy.EffectKind
		Text     string // what, in words
		Message  string // "" where the whole message was refused
		From, To mail.Address
		Test     bool
	}
	// HoldEnded: mail in quarantine was not looked at in time, and the rule said what follows.
	HoldEnded struct {
		Rule, Then, Message string
		From, To            mail.Address
	}
	// MXChanged: DNS names mail hosts for a domain that rules do not know, and nobody vouches for them. One event a day
	// for the same names.
	MXChanged struct {
		Domain string
		Rules  []string
		Hosts  []string // as DNS names them
		Found  []string // the registrable domains they lie below
		Known  []string // those that are remembered
		Seen   []string // those of Found that stood beside the one used first
		Waits  bool     // no other host would do, so mail waits
	}
	// PolicyUnavailable: the MTA-STS policy of a domain that may have one, or has one that is kept, could not be had.
	PolicyUnavailable struct {
		Domain string
		Fault  string // of stscache.Kind
		Text   string // one sentence; escaped and bounded
		// Kept says that a policy fetched earlier counts all the same; without one mail goes as if there were none.
		Kept bool
		// Ends is when that policy ends unless it is renewed; zero without one.
		Ends time.Time
		// Since is when it failed first, as far as is remembered, without two days between two failures.
		Since time.Time
		// Repeated says that this was told within the last day.
		Repeated bool
	}
	// ReportSent: a destination got the report of a day about TLS with a domain, or it was given up.
	ReportSent struct {
		Day, Domain string
		To          string // "mailto:...", "https://..."; "" where it is not known who wants it
		Way         string // ReportMail, ReportWeb or ""
		OK          bool
		Text        string // why it was given up; escaped and bounded
	}
	// ReportReceived: somebody brought a report about TLS with us (RFC 8460).
	ReportReceived struct {
		Way          string // ReportMail or ReportWeb
		Client       netip.Addr
		Signer       string // the domain whose signature holds; "" where nobody vouches for it
		Organization string // a claim; escaped and bounded
		ID           string // what it is called here, "" where it was refused
		Result       ReportResult
		Failed       int64    // sessions that it says failed
		Results      []string // how, and Domains of ours that were meant; some of them
		Domains      []string
		// News says that the signer reports failures, and did not for some days.
		News bool
		Text string // why it was refused; escaped and bounded
	}
	// NoticeQueued: a DSN or delay notice was queued, or is held because too many go to strangers.
	NoticeQueued struct {
		Message, About string
		Kind           string
		To             mail.Address
		Held           bool
	}
	// Raised: waiting deliveries got a stricter requirement after a change of rules.
	Raised struct {
		Revision   int64
		Deliveries int
	}
	// RulesApplied: a revision of the rules is in force.
	RulesApplied struct {
		Revision int64
		Rules    int
		By       string
	}
	// AdminActed: an administrator changed something.
	AdminActed struct {
		By, Action, Target string
		Count              int
	}
	// WebRequested: a stranger asked a web listener for a page.
	WebRequested struct {
		Listener string
		Client   netip.Addr
		Page     WebPage
		Code     int // of HTTP
		Took     time.Duration
	}
	// RecordsChecked: what DNS and policy hosts have for our own domains was held against what we serve. Findings
	// counts each code there is, those without a finding too.
	RecordsChecked struct{ Findings map[string]int }
	// CertificateOrdered: an order for our own certificate came to its end. Issued says that there is a new one; Fault
	// why there is none, or none for the names in Missing. Names and End are of what is served now, which is of our own
	// making where Temporary. Next is when the next order is due.
	CertificateOrdered struct {
		Issued, SameKey, Temporary bool
		Names, Missing             []string
		End                        time.Time
		Fault                      string
		Next                       time.Time
	}
	// CertificateEnding: a certificate of our own runs out within Step days (30, 14, 7 or 1; 0: it has). Kind is
	// "server" or "client", Fault why it was not renewed, "" where that is not known.
	CertificateEnding struct {
		Kind, Name string
		End        time.Time
		Step       int
		Fault      string
	}
	// Warned: something an administrator should look at; the gateway goes on.
	Warned struct{ What, Text, Hint string }
)

func (Started) event()            {}
func (Connected) event()          {}
func (Disconnected) event()       {}
func (HandshakeFailed) event()    {}
func (ProxyRefused) event()       {}
func (Refused) event()            {}
func (RecipientAsked) event()     {}
func (FellShort) event()          {}
func (LoggedIn) event()           {}
func (Accepted) event()           {}
func (ClientPlain) event()        {}
func (Attempted) event()          {}
func (PassedOver) event()         {}
func (PeerChanged) event()        {}
func (Settled) event()            {}
func (MXChanged) event()          {}
func (PolicyUnavailable) event()  {}
func (ReportSent) event()         {}
func (ReportReceived) event()     {}
func (RuleActed) event()          {}
func (HoldEnded) event()          {}
func (NoticeQueued) event()       {}
func (Raised) event()             {}
func (RulesApplied) event()       {}
func (AdminActed) event()         {}
func (WebRequested) event()       {}
func (RecordsChecked) event()     {}
func (CertificateOrdered) event() {}
func (CertificateEnding) event()  {}
func (Warned) event()             {}
