package smtpserver

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"time"

	"postern/internal/smtp"
)

// Mode is the kind of a listener.
type Mode uint8

// The modes of design.md §7. In Submission mode MAIL needs TLS and AUTH; whether TLS starts at the first octet is
// Config.ImplicitTLS there, and always so for SMTPS.
const (
	SMTP Mode = iota
	SMTPS
	Submission
)

// Config is what a Server needs. NewSession and Hostname are required; every zero value elsewhere is a good default.
// A Config is not changed after New.
type Config struct {
	// Hostname is what the greeting and EHLO say.
	Hostname string
	// Listener names this listener in ConnInfo and events.
	Listener string
	Mode     Mode
	// ImplicitTLS makes a Submission listener begin with the handshake (RFC 8314 §3.3).
	ImplicitTLS bool
	// TLS offers STARTTLS, or is used from the first octet. nil offers none; SMTPS then cannot serve. The certificate
	// is chosen by GetCertificate or Certificates, GetConfigForClient must be nil. Session tickets are off in every
	// mode whatever it says: Microsoft's clients, servers and people's programs alike, break off TLS 1.3 over them, and
	// a resumed handshake would not examine a client's certificate anew. Client certificates are asked for if
	// ClientAuth says so; use tls.RequestClientCert, which accepts any, and VerifyClient.
	TLS *tls.Config
	// AskClients, asked at each handshake, has clients asked for certificates though TLS.ClientAuth does not say so.
	// nil is never.
	AskClients func() bool
	// VerifyClient says whether a presented chain, leaf first, deserves trust. The engine only records the answer. It
	// is asked at the handshake and again before each MAIL and RCPT, since what is trusted may change while a client
	// stays. nil verifies none. It must not demand the clientAuth usage: public CAs no longer issue it.
	VerifyClient func(chain []*x509.Certificate) bool
	// RequireTLS answers 530 5.7.0 to mail commands before TLS (RFC 3207 §4).
	RequireTLS bool
	// Auth offers AUTH PLAIN LOGIN inside TLS. Submission implies it.
	Auth bool
	// Own says whether a client is of our own side: it may call itself what it likes in EHLO. nil: none is.
	Own func(ConnInfo) bool
	// Bare says what becomes of bare line ends in the content of a client; nil: Limits.Bare for all.
	Bare func(ConnInfo) BareEnds
	// NewSession is asked when a client connects and again after STARTTLS, since nothing survives that. A reply refuses
	// the client instead of greeting it; it should be a 421 or 554. ctx ends with the connection.
	NewSession func(ctx context.Context, c *Conn) (Session, *smtp.Reply)
	// Gate counts connections; share one between servers to bound them together. nil gives the server its own with the
	// default numbers.
	Gate *Gate
	// Memory bounds what content that is coming in holds; share one like the Gate. nil gives the server its own with
	// the default number.
	Memory   *Memory
	Limits   Limits
	Timeouts Timeouts
	Trace    Trace
}

// BareEnds says what becomes of content with a CR or LF that stands alone.
type BareEnds uint8

// The treatments. RefuseBare answers 554 5.6.0; ConvertBare makes each a CRLF, so that it cannot mean two things to two
// servers further on (it breaks signatures over such lines). There is no way to let them through, and content in which
// a dot stands alone on a line by any reading of line ends but the right one is refused by both: it is either an
// attempt to smuggle a second message or the work of a client that took LF.LF for the end.
const (
	RefuseBare BareEnds = iota
	ConvertBare
)

// Limits bound what a client may do. Zero means the default named; sizes are octets.
type Limits struct {
	MessageSize int64 // content; 150,000,000; announced by SIZE
	Recipients  int   // of one transaction; 1000; more get 452 4.5.3
	// with CRLF; 512 (RFC 5321 §4.5.3.1.4), at most 4096; MAIL and RCPT may have 1024 more for parameters
	CommandLine int
	ContentLine int // without CRLF; 0 is no limit, lines are never held in memory
	BadCommands int // of one connection, then 421; 20
	Refusals    int // 5xx of the Session in one connection, then 421; 100
	NoOps       int // commands in a row that do nothing, then 421; 100
	Logins      int // failed ones of one connection, then 421; 3
	Bare        BareEnds
	// DataRate is how many octets a second content must bring in the long run, after a first Timeouts.DataBlock that is
	// free; 500. A negative number turns the guard off.
	DataRate int
}

// Timeouts of RFC 5321 §4.5.3.2. Zero means the default named.
type Timeouts struct {
	Command   time.Duration // from our reply to the end of the next command; 5m
	DataBlock time.Duration // for the next octets of content; 3m
	Handshake time.Duration // for the whole TLS handshake; 1m
	Write     time.Duration // for one write to be taken; 2m
	// Session is how long a client may stay in all; 0 is no limit. An open transaction is not cut by it.
	Session time.Duration
	// Crowded is how long a client outside a transaction may take for its next command while the Gate is full; 10s. Who
	// takes longer hears 421 when the next client is turned away.
	Crowded time.Duration
	// Transaction is how long one may last, from MAIL to the end of its content; 0 is no limit.
	Transaction time.Duration
}

const (
	authLine   = 12288 // RFC 4954 §4.9
	paramExtra = 1024  // for the parameters of DSN, AUTH, SIZE, SMTPUTF8 (RFC 3461 §5.1, RFC 6531 §3.4)
)

func (c Config) withDefaults() Config {
	c.Limits = c.Limits.withDefaults()
	c.Timeouts = c.Timeouts.withDefaults()
	c.Auth = c.Auth || c.Mode == Submission
	c.RequireTLS = c.RequireTLS || c.Mode == Submission
	c.ImplicitTLS = c.Mode == SMTPS || c.Mode == Submission && c.ImplicitTLS
	if c.Gate == nil {
		c.Gate = NewGate(0, 0, nil)
	}
	if c.Memory == nil {
		c.Memory = NewMemory(0)
	}
	return c
}

func (l Limits) withDefaults() Limits {
	l.MessageSize = cmp.Or(l.MessageSize, 150_000_000)
	l.Recipients = cmp.Or(l.Recipients, 1000)
	l.CommandLine = cmp.Or(l.CommandLine, 512)
	l.CommandLine = min(l.CommandLine, 4096)
	l.BadCommands = cmp.Or(l.BadCommands, 20)
	l.Refusals = cmp.Or(l.Refusals, 100)
	l.NoOps = cmp.Or(l.NoOps, 100)
	l.Logins = cmp.Or(l.Logins, 3)
	l.DataRate = cmp.Or(l.DataRate, 500)
	return l
}

func (t Timeouts) withDefaults() Timeouts {
	t.Command = cmp.Or(t.Command, 5*time.Minute)
	t.DataBlock = cmp.Or(t.DataBlock, 3*time.Minute)
	t.Handshake = cmp.Or(t.Handshake, time.Minute)
	t.Write = cmp.Or(t.Write, 2*time.Minute)
	t.Crowded = cmp.Or(t.Crowded, 10*time.Second)
	return t
}
