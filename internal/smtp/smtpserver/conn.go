package smtpserver

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"postern/internal/mail"
	"postern/internal/smtp"
)

// Conn is one client's connection, as its Session sees it.
type Conn struct {
	srv     *Server
	raw     net.Conn // the transport below any TLS; deadlines are set here
	ctx     context.Context
	cancel  context.CancelFunc
	session Session // nil until NewSession answered, and after it was closed
	wire    wire
	info    ConnInfo
	content Content // reused, so that a message costs no allocation
	held    int     // memory taken of the Gate's

	greeted  bool // EHLO or HELO was said
	extended bool // EHLO was said, not HELO
	tx       transaction
	again    []byte      // a command to run before reading another: it ended a message sent by BDAT
	refusal  *smtp.Reply // answer to the next command, then the end: NewSession refused after STARTTLS
	why      string      // why the connection ends; "" while it goes on
	linger   bool        // the peer may still be sending: read a little, so that it sees our last reply
	discard  bool        // chunks of a message that was refused may still be under way

	messages, bad, refused, idle, logins int

	mu       sync.Mutex // guards all below, and setting read deadlines
	waiting  bool       // blocked for a command outside a transaction
	asked    time.Time  // when the wait for the present command began
	draining bool
	crowded  bool // the house is full and the client was idle for too long
}

// transaction is the mail transaction that is open.
type transaction struct {
	open       bool
	began      time.Time
	from       mail.Address
	utf8       bool
	recipients int
	full       bool  // a recipient too many was told
	size       int64 // declared, 0 if nothing
	weight     int   // what the recipients hold in memory, about
	memory     share // taken for them
}

// Info returns what is known now. It may be called from the Session's methods only.
func (c *Conn) Info() ConnInfo {
	i := c.info
	i.Protocol = c.protocol()
	return i
}

// Flush sends the replies that wait for more of them, for a Session that is about to take its time: what a client has
// asked before is answered before it. Like Info it may be called from the Session's methods only.
func (c *Conn) Flush() { c.check(c.wire.flush()) }

// protocol is the keyword for the Received line (RFC 3848, RFC 6531 §4.3).
func (c *Conn) protocol() string {
	if !c.extended {
		return "SMTP"
	}
	name := "ESMTP"
	if c.tx.utf8 {
		name = "UTF8SMTP"
	}
	if c.info.TLS != nil {
		name += "S"
	}
	if c.info.User != "" {
		name += "A"
	}
	return name
}

func newConn(s *Server, nc net.Conn) *Conn {
	c := &Conn{srv: s, raw: nc}
	c.ctx, c.cancel = context.WithCancel(s.ctx)
	c.wire = wire{nc: nc, pool: &s.buffers, memory: s.cfg.Memory, grown: share{of: s.cfg.Memory},
		writeIn: s.cfg.Timeouts.Write, before: c.beforeRead, after: c.afterRead}
	c.info = ConnInfo{
		Listener: s.cfg.Listener, Mode: s.cfg.Mode, At: time.Now(),
		Client: addrPort(nc.RemoteAddr()), Server: addrPort(nc.LocalAddr()),
	}
	return c
}

func addrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
}

// serve runs the session to its end.
func (c *Conn) serve() {
	defer c.finish()
	if c.srv.cfg.Trace.Panicked != nil {
		defer c.survive()
	}
	if f := c.srv.cfg.Trace.Connected; f != nil {
		f(c.Info())
	}
	if c.srv.cfg.ImplicitTLS && !c.handshake() {
		return
	}
	if !c.greet() {
		return
	}
	for c.why == "" {
		c.next()
	}
}

// survive ends one session where a bug would end them all: a message that meets the bug is sent again and again.
func (c *Conn) survive() {
	v := recover()
	if v == nil {
		return
	}
	c.wire.out = nil // perhaps half a reply
	c.bye("4.3.0", "internal error", "internal error")
	c.srv.cfg.Trace.Panicked(c.Info(), v, debug.Stack())
}

func (c *Conn) greet() bool {
	session, no := c.srv.cfg.NewSession(c.ctx, c)
	if no != nil {
		c.answer("connect", no, nil)
		c.why = "refused"
		return false
	}
	c.session = session
	c.wire.say(220, "", c.srv.cfg.Hostname+" ESMTP Postern")
	return true
}

// next reads and runs one command.
func (c *Conn) next() {
	line := c.again
	c.again = nil
	if line == nil {
		due, over := c.commandDue()
		if over != "" {
			c.bye("4.4.2", "the "+over+" has lasted too long", over+" time is over")
			return
		}
		c.ask()
		var err error
		line, err = c.wire.line(due, c.srv.cfg.Limits.lineLimit)
		if err != nil {
			c.lineFailed(err)
			return
		}
	}
	if c.refusal != nil {
		c.answer("connect", c.refusal, nil)
		c.stop("refused")
		return
	}
	c.run(line)
	if c.wire.overflowing() {
		c.check(c.wire.flush())
	}
}

// commandDue is when the next command must be complete; over names what has no more time, "" while there is some. A
// session's own time does not cut an open transaction, which has one of its own.
func (c *Conn) commandDue() (due time.Time, over string) {
	now, t := time.Now(), &c.srv.cfg.Timeouts
	due = now.Add(t.Command)
	name, end := "session", c.info.At.Add(t.Session)
	if t.Session == 0 {
		end = due
	}
	if c.tx.open {
		name, end = "transaction", c.transactionDue(due)
	}
	if !now.Before(end) {
		over = name
	}
	return earlier(due, end), over
}

// transactionDue is when the open transaction must have ended, latest at most.
func (c *Conn) transactionDue(latest time.Time) time.Time {
	if t := c.srv.cfg.Timeouts.Transaction; t > 0 {
		return earlier(latest, c.tx.began.Add(t))
	}
	return latest
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// lineLimit is how many octets, CRLF included, a command may have that begins so.
func (l *Limits) lineLimit(begin []byte) int {
	switch cmd := smtp.ParseCommand(begin[:min(len(begin), 5)]); cmd.Verb {
	case smtp.VerbMAIL, smtp.VerbRCPT:
		return l.CommandLine + paramExtra
	case smtp.VerbAUTH:
		return authLine
	}
	return l.CommandLine
}

// lineFailed answers a line that could not be read.
func (c *Conn) lineFailed(err error) {
	switch {
	case errors.Is(err, errLineTooLong):
		c.wrong("", 500, "5.5.2", "line too long")
	case errors.Is(err, errLineEnd):
		c.wrong("", 500, "5.5.2", "a line must end in CRLF")
	case errors.Is(err, errNoMemory):
		c.bye("4.3.1", "no memory for so long a line now, try again later", "no memory for a long line")
	case errors.Is(err, errLineFlood):
		c.bye("4.5.2", "line too long", "endless line")
	default:
		c.check(err)
	}
}

// check ends the session if err says that the connection failed.
func (c *Conn) check(err error) {
	switch {
	case err == nil || c.why != "":
	case errors.Is(err, errDraining), errors.Is(err, os.ErrDeadlineExceeded) && c.isDraining():
		c.bye("4.3.2", "shutting down", "shutdown")
	case errors.Is(err, os.ErrDeadlineExceeded) && c.isCrowded():
		c.bye("4.3.2", "too busy to wait for you, try again later", "idle in a full house")
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.bye("4.4.2", "timeout, closing the connection", "timeout")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		c.why = "closed by the client"
	default:
		c.why = "connection lost"
	}
}

// bye is a 421 and the end.
func (c *Conn) bye(status, text, why string) {
	c.wire.say(421, status, c.srv.cfg.Hostname+" "+text)
	c.stop(why)
}

// stop ends the session after what was said so far has been sent.
func (c *Conn) stop(why string) {
	c.linger = true
	c.why = why
}

// finish sends what is left, closes everything and tells.
func (c *Conn) finish() {
	c.check(c.wire.flush())
	if c.session != nil {
		c.session.Reset()
		c.session.Close()
	}
	c.tx.memory.release()
	c.cancel()
	if c.linger || len(c.wire.buffered()) > 0 {
		c.lingerClose()
	}
	c.wire.nc.Close() // with TLS it sends close_notify
	c.wire.forget()
	if f := c.srv.cfg.Trace.Disconnected; f != nil {
		f(c.Info(), End{Messages: c.messages, Took: time.Since(c.info.At), Why: c.why, Broken: c.why == brokenTLS})
	}
}

// lingerClose ends our side and reads away what the peer is still sending: closing a socket with unread input makes
// the kernel send a reset, which may overtake our last reply.
func (c *Conn) lingerClose() {
	half, ok := c.wire.nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	c.mu.Lock()
	c.raw.SetReadDeadline(time.Now().Add(time.Second))
	c.mu.Unlock()
	buf := make([]byte, smallBuffer)
	for range 64 {
		if _, err := c.raw.Read(buf); err != nil {
			return
		}
	}
}

// errDraining ends a wait for a command because the server is shutting down.
var errDraining = errors.New("shutting down")

// beforeRead sets the deadline of a read, unless the server is draining and nothing is open.
func (c *Conn) beforeRead(deadline time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = !c.tx.open
	if c.draining && c.waiting {
		return errDraining
	}
	if c.crowded {
		deadline = time.Unix(1, 0) // it was idle a moment ago, and the reply to what came since is on its way
	}
	return c.raw.SetReadDeadline(deadline)
}

func (c *Conn) afterRead() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = false
}

// drain makes the session end as soon as no transaction is open. Any goroutine may call it.
func (c *Conn) drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.draining = true
	if c.waiting {
		c.raw.SetReadDeadline(time.Unix(1, 0)) // long ago: wakes the read
	}
}

// ask notes that a command is waited for from now on.
func (c *Conn) ask() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = time.Now()
}

// endIdle ends the session if it has waited for a command since before then, outside a transaction. Any goroutine may
// call it.
func (c *Conn) endIdle(then time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting && c.asked.Before(then) {
		c.crowded = true
		c.raw.SetReadDeadline(time.Unix(1, 0))
	}
}

func (c *Conn) isCrowded() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.crowded
}

func (c *Conn) isDraining() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.draining
}
