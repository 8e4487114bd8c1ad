package intake

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"postern/internal/event"
	"postern/internal/gateway/admission"
	"postern/internal/gateway/clientname"
	"postern/internal/gateway/copymark"
	"postern/internal/gateway/inforce"
	"postern/internal/mail"
	"postern/internal/queue"
	"postern/internal/smtp"
	"postern/internal/smtp/smtpserver"
)

// Config is what intake needs. Hostname, InForce and Store are required. It is not changed after New.
type Config struct {
	Hostname mail.Domain // in the stamp
	// Postmaster gets mail for <postmaster> and postmaster@Hostname where Hostname is not served (RFC 5321 §4.5.1).
	// The zero Address refuses such mail.
	Postmaster mail.Address

	// RelayNetworks may send anywhere. Mail from them counts as from our own servers.
	RelayNetworks []netip.Prefix
	// RelayCertificates lets clients whose certificate was verified send anywhere (smtpserver.Config.VerifyClient).
	RelayCertificates bool
	// RelayTLS refuses mail of clients that may relay with 530 until they have said STARTTLS, wherever it is to go: at
	// MAIL nobody knows that. Who logs in or shows a certificate has TLS anyway, so it concerns networks.
	RelayTLS bool
	// RelayBare is what becomes of bare line ends in the content of those who may relay.
	RelayBare smtpserver.BareEnds
	// Bindings say which senders those who may relay may use.
	Bindings []Binding
	// Clients remembers how our own clients hand mail in; nil makes a memory that ends with this Intake.
	Clients *Clients
	// Authenticate checks a password; a user who logged in may send anywhere. It may be slow, but is called for few
	// clients at a time. nil knows no users.
	Authenticate func(user, password string) bool
	// Proof returns what changes when a user's password does, "" for somebody who is no user. Who logged in stays so as
	// long as it is the same. nil knows no changes.
	Proof func(user string) string
	// Current returns the Intake in force, which decides at the next MAIL of a session that is open, and at each RCPT
	// whether it may still relay. nil: this one.
	Current func() *Intake
	// Logins remembers wrong passwords; nil makes a memory that ends with this Intake.
	Logins *Logins
	// LoginFailures is how many wrong passwords a client network may try within LoginWindow before it has to wait
	// (0: 10), the window's default is 15 minutes.
	LoginFailures int
	LoginWindow   time.Duration

	// Recipients says why a recipient in a domain of ours is refused, nil that it is taken. It calls slow before it
	// takes its time. nil takes every recipient.
	Recipients func(ctx context.Context, to mail.Address, slow func()) *smtp.Reply

	// ReportsTo are addresses in domains of ours that reports about TLS come to, and Reports takes them (reports.go);
	// nil takes none.
	ReportsTo []mail.Address
	Reports   Reports

	// Names finds the names of clients for the stamp; nil finds none.
	Names *clientname.Names

	// Marks marks the copies that rules order; nil makes marks that end with this Intake.
	Marks *copymark.Marks

	// Admission judges clients by the rules about incoming mail. nil makes one that knows no roots.
	Admission *admission.Judge

	// InForce returns what is in force now. While its View has an error no mail is accepted.
	InForce func() *inforce.View
	// Others are the other gateways of the store; nil says that there are none.
	Others Others
	Store  queue.Store
	// Sink gets the events; nil discards them.
	Sink event.Sink
	// Wake tells the dispatcher of mail for a site; nil tells nobody.
	Wake func(m *queue.Message, site queue.SiteKey, due time.Time)
	// Random supplies the random bits of queue ids; nil uses math/rand/v2.
	Random func() uint32

	// Lifetime is how long ordinary mail may wait (0: mail.Lifetime), DelayNotice when its sender is told that it does
	// (0: 2 h, below 0: never).
	Lifetime, DelayNotice time.Duration
	HeaderSize            int // octets of a header section; 0 means 256 KiB
	// Memory bounds what messages that are coming in hold together, and is best the engine's. nil is no bound.
	Memory *smtpserver.Memory
	Hops   int // Received lines a message may have; 0 means 100
}

// Others are the other gateways of the store as this one has to mind them; *nodes.Node is them.
type Others interface {
	// Live reports whether this gateway may take mail now.
	Live() bool
	// Begin waits until a message may be judged, and says why it may not. end is called when the message was accepted
	// or refused; until then what comes in force here is not said to hold.
	Begin(ctx context.Context) (end func(), err error)
}

// nobody is where there are no others.
type nobody struct{}

func (nobody) Live() bool { return true }

func (nobody) Begin(context.Context) (func(), error) { return func() {}, nil }

// Intake makes Sessions. Safe for concurrent use.
type Intake struct {
	cfg      Config
	bindings *Bindings
	buffers  sync.Pool // *[]byte of largeBuffer
}

// New checks cfg.
func New(cfg Config) (*Intake, error) {
	if cfg.Hostname.IsZero() || cfg.InForce == nil || cfg.Store == nil {
		return nil, errors.New("intake: Hostname, InForce and Store are required")
	}
	if cfg.Admission == nil {
		cfg.Admission = &admission.Judge{}
	}
	if cfg.Clients == nil {
		cfg.Clients = NewClients()
	}
	if cfg.Marks == nil {
		cfg.Marks = copymark.New(nil)
	}
	if cfg.Others == nil {
		cfg.Others = nobody{}
	}
	if cfg.Sink == nil {
		cfg.Sink = event.Discard{}
	}
	if cfg.Wake == nil {
		cfg.Wake = func(*queue.Message, queue.SiteKey, time.Time) {}
	}
	if cfg.Random == nil {
		cfg.Random = rand.Uint32
	}
	or(&cfg.Lifetime, mail.Lifetime)
	or(&cfg.DelayNotice, 2*time.Hour)
	or(&cfg.HeaderSize, mail.MaxHeaderSize)
	or(&cfg.Hops, 100)
	or(&cfg.LoginFailures, 10)
	or(&cfg.LoginWindow, 15*time.Minute)
	if cfg.Logins == nil {
		cfg.Logins = NewLogins()
	}
	i := &Intake{cfg: cfg, bindings: NewBindings(cfg.Bindings, cfg.RelayNetworks, cfg.RelayCertificates)}
	i.buffers.New = func() any { b := make([]byte, largeBuffer); return &b }
	return i, nil
}

func or[T int | time.Duration](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

// NewSession is the NewSession of smtpserver.Config.
func (i *Intake) NewSession(_ context.Context, c *smtpserver.Conn) (smtpserver.Session, *smtp.Reply) {
	return &session{in: i, conn: c, name: i.beginName(c.Info().Client.Addr())}, nil
}

// now is the Intake in force.
func (i *Intake) now() *Intake {
	if i.cfg.Current == nil {
		return i
	}
	return i.cfg.Current()
}

// notNow is the answer of a gateway that may take no mail, because it has not reached the store for too long. Another
// may take it, and this one soon.
func notNow() *smtp.Reply {
	return smtp.NewReply(451, "4.3.2", "this gateway can take no mail now, try again later")
}
