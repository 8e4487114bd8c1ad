package smtpclient

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"

	"postern/internal/policy"
	"postern/internal/smtp"
)

// Timeouts are the limits of each phase. Zero values mean what RFC 5321 §4.5.3.2 asks for at least, or what stands at
// the field.
type Timeouts struct {
	Greeting  time.Duration // 5m
	Hello     time.Duration // 5m
	StartTLS  time.Duration // 2m: the reply to STARTTLS
	Handshake time.Duration // 60s
	Mail      time.Duration // 5m, for MAIL and RSET
	Rcpt      time.Duration // 5m
	Data      time.Duration // 2m: the reply to DATA
	Block     time.Duration // 3m: each write, of commands or content
	Final     time.Duration // 10m: the reply to the content
	Quit      time.Duration // 5s: QUIT, politeness without waiting long
}

// Config is how a Conn speaks. It is copied by New.
type Config struct {
	// Hello is the name given with EHLO; "" says "localhost".
	Hello    string
	Timeouts Timeouts
	// Without are features that are not used though the peer offers them.
	Without Feature
	// KeepSigned refuses to re-encode signed content for a peer without 8BITMIME: that breaks the signature.
	KeepSigned bool
	// MaxReplyLine bounds a line of a reply in octets, its end included; 0 means 4096.
	MaxReplyLine int
	// MaxReplyLines bounds the lines of one reply; 0 means 100.
	MaxReplyLines int
	// MaxReplyBytes bounds one reply as a whole; 0 means 32768.
	MaxReplyBytes int
}

func (cfg *Config) applyDefaults() {
	t := &cfg.Timeouts
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&t.Greeting, 5 * time.Minute}, {&t.Hello, 5 * time.Minute},
		{&t.StartTLS, 2 * time.Minute}, {&t.Handshake, time.Minute},
		{&t.Mail, 5 * time.Minute}, {&t.Rcpt, 5 * time.Minute}, {&t.Data, 2 * time.Minute},
		{&t.Block, 3 * time.Minute}, {&t.Final, 10 * time.Minute}, {&t.Quit, 5 * time.Second},
	} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	if cfg.Hello == "" {
		cfg.Hello = "localhost"
	}
	for _, n := range []struct {
		field *int
		value int
	}{{&cfg.MaxReplyLine, 4096}, {&cfg.MaxReplyLines, 100}, {&cfg.MaxReplyBytes, 32768}} {
		if *n.field <= 0 {
			*n.field = n.value
		}
	}
}

// Conn is one connection to a next hop. New makes one.
type Conn struct {
	tcp net.Conn // as given: carries the deadlines, and is closed without ceremony when something broke
	nc  net.Conn // what is spoken over: tcp, or TLS on top of it
	cfg Config

	ext    Extensions
	masked bool                 // the greeting was overwritten by a middlebox
	tls    *tls.ConnectionState // nil: no TLS
	// unproven is true from the end of the handshake until the peer's first record: until then a TLS 1.3 peer may
	// still refuse our side of the handshake. presented: we showed a client certificate.
	unproven, presented bool

	dead    bool        // the connection broke or is being closed by the peer: no more commands
	closing *smtp.Reply // the peer's 421
	picky   bool        // content went out for nobody on this connection
	begun   int         // transactions in which MAIL was said
	open    bool        // MAIL was accepted and the transaction has not ended: RSET before the next

	in   []byte // replies read and not yet used: in[r:w]
	r, w int
	out  []byte // commands and content not yet written
	body []byte // scratch for content on its way into out
	wait []awaited
}

// New takes over nc, which must be connected; Quit or Close gives it back to the system. It does no I/O.
func New(nc net.Conn, cfg Config) *Conn {
	cfg.applyDefaults()
	return &Conn{tcp: nc, nc: nc, cfg: cfg}
}

// TLS returns the state of the handshake, nil while there is no TLS.
func (c *Conn) TLS() *tls.ConnectionState { return c.tls }

// Extensions returns what the newest EHLO offered.
func (c *Conn) Extensions() Extensions { return c.ext }

// Healthy reports whether another transaction may be tried on the connection. It does not look at the network: use
// Reset for that.
func (c *Conn) Healthy() bool { return !c.dead }

// Reset says RSET, which also finds out whether an idle connection still lives. Any error means that it must not be
// used again.
func (c *Conn) Reset(ctx context.Context) error {
	defer c.watch(ctx)()
	return c.reset(ctx)
}

func (c *Conn) reset(ctx context.Context) error {
	reply, err := c.command(ctx, PhaseReset, c.cfg.Timeouts.Mail, "RSET")
	if err != nil {
		return err
	}
	if !reply.Positive() { // its state is unknown now, and the next MAIL could be refused for it
		c.dead = true
		return c.refused(PhaseReset, reply)
	}
	c.open = false
	return nil
}

// Quit says QUIT if the connection is healthy, waits shortly for the answer, and closes.
func (c *Conn) Quit(ctx context.Context) {
	if c.dead {
		_ = c.Close()
		return
	}
	stop := c.watch(ctx)
	_, err := c.command(ctx, PhaseQuit, c.cfg.Timeouts.Quit, "QUIT")
	stop()
	c.dead = true
	if err == nil {
		_ = c.nc.Close() // inside TLS this also says close_notify
		return
	}
	_ = c.tcp.Close()
}

// Close closes the connection at once; also after Quit or an error, when it may report that it was closed already.
func (c *Conn) Close() error {
	c.dead = true
	return c.tcp.Close()
}

// errUnusable is the cause when a command is asked of a connection that already broke.
var errUnusable = errors.New("the connection is no longer usable")

// command writes one line and reads its reply.
func (c *Conn) command(ctx context.Context, phase Phase, limit time.Duration, line ...string) (smtp.Reply, error) {
	if err := c.ready(ctx, phase); err != nil {
		return smtp.Reply{}, err
	}
	c.out = c.out[:0]
	for _, part := range line {
		c.out = append(c.out, part...)
	}
	c.out = append(c.out, '\r', '\n')
	if err := c.flush(ctx, phase, min(limit, c.cfg.Timeouts.Block)); err != nil {
		return smtp.Reply{}, err
	}
	return c.readReply(ctx, phase, limit, true)
}

// ready refuses a command on a connection that is broken, or on which the peer has spoken unasked (which is how a 421
// reaches an idle connection).
func (c *Conn) ready(ctx context.Context, phase Phase) error {
	if c.dead {
		return &Error{Phase: phase, Kind: Closed, Reason: policy.RemoteClosed, Reply: c.closing, Err: errUnusable}
	}
	if c.r == c.w {
		return nil
	}
	reply, err := c.readReply(ctx, phase, time.Second, true)
	if err != nil {
		return err
	}
	c.dead = true
	return &Error{Phase: phase, Kind: Closed, Reason: policy.RemoteClosed, Reply: &reply}
}

// refused makes the Error for a reply that says no. The connection stays usable unless the reply is 421.
func (c *Conn) refused(phase Phase, reply smtp.Reply) *Error {
	return &Error{Phase: phase, Kind: Refused, Reply: &reply, Reason: reasonFor(phase, Refused, reply.Code)}
}
