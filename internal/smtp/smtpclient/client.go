package smtpclient

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"

	"postern/internal/smtp"
)

// Timeouts are the limits of each phase. Zero values mean the minimum that RFC 5321 §4.5.3.2 asks for, or what stands
// at the field.
type Timeouts struct {
	Greeting  time.Duration // 5m
	Hello     time.Duration // 5m
	StartTLS  time.Duration // 2m: the reply to STARTTLS
	Handshake time.Duration // 60s
	Mail      time.Duration // 5m
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
	// MaxReplyLine bounds a line of a reply in octets, CRLF included; 0 means 4096.
	MaxReplyLine int
	// MaxReplyLines bounds the lines of one reply; 0 means 100.
	MaxReplyLines int
	// MaxReplyBytes bounds one reply as a whole; 0 means 32768.
	MaxReplyBytes int
}

// Extensions is what the newest EHLO offered; the zero value offers nothing, as after HELO.
type Extensions struct {
	StartTLS, Pipelining, Chunking, EightBit, UTF8, DSN, Enhanced bool
	// Size says that SIZE is offered, MaxSize the largest message in octets, 0 for no fixed limit (RFC 1870 §4).
	Size    bool
	MaxSize int64
	// MaxRecipients is RCPTMAX of LIMITS (RFC 9422 §4.2), 0 when not told.
	MaxRecipients int
	// Masked says that a keyword stood there that a middlebox had overwritten ("XXXXXXXA").
	Masked bool
	// Raw is the lines after the first, escaped and bounded.
	Raw []string
}

// Conn is one connection to a next hop. New makes one.
type Conn struct {
	nc  net.Conn
	cfg Config
	ext Extensions
}

// New takes over nc, which must be connected. It does no I/O.
func New(nc net.Conn, cfg Config) *Conn { return &Conn{nc: nc, cfg: cfg} }

var errUnfinished = errors.New("smtpclient: being written")

// Greet reads the greeting. A reply other than 220 is returned with an Error of kind Refused.
func (c *Conn) Greet(ctx context.Context) (smtp.Reply, error) { return smtp.Reply{}, errUnfinished }

// Hello says EHLO. Before TLS an answer of 5xx makes it say HELO; inside TLS never.
func (c *Conn) Hello(ctx context.Context) error { return errUnfinished }

// Extensions returns what the newest EHLO offered.
func (c *Conn) Extensions() Extensions { return c.ext }

// StartTLS says STARTTLS and does the handshake.
func (c *Conn) StartTLS(ctx context.Context, tc *tls.Config) (*tls.ConnectionState, error) {
	return nil, errUnfinished
}

// TLS returns the state of the handshake, nil while there is no TLS.
func (c *Conn) TLS() *tls.ConnectionState { return nil }

// Send performs one transaction. The Result is never nil.
func (c *Conn) Send(ctx context.Context, t *Transaction) (*Result, error) {
	return &Result{Recipients: make([]RecipientResult, len(t.Recipients))}, errUnfinished
}

// Reset says RSET, which also finds out whether an idle connection still lives.
func (c *Conn) Reset(ctx context.Context) error { return errUnfinished }

// Healthy reports whether another transaction may be tried on the connection.
func (c *Conn) Healthy() bool { return false }

// Quit says QUIT if the connection is healthy, and closes it.
func (c *Conn) Quit(ctx context.Context) { _ = c.nc.Close() }

// Close closes the connection at once.
func (c *Conn) Close() error { return c.nc.Close() }
