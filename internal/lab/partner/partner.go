// Package partner is another organisation's mail server, for the demo and for tests: a small SMTP server of its own,
// not built on the gateway's engine, with the faults partners have. It remembers every command with the channel it came
// over, so that a test can say that not one byte of a message crossed a connection it should not have.
package partner

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
)

// Fault is what is wrong with a partner besides its certificate.
type Fault string

// The faults.
const (
	Sound          Fault = ""                 // nothing
	NoTLS          Fault = "no-starttls"      // STARTTLS is not offered
	Masked         Fault = "masked"           // a middlebox wrote XXXXXXXA over the keyword
	RefusesTLS     Fault = "refuses"          // STARTTLS is offered and answered 454
	BreaksTLS      Fault = "breaks"           // garbage instead of a handshake
	ResetsTLS      Fault = "resets"           // closes instead of a handshake
	HangsTLS       Fault = "hangs"            // says 220 and then nothing
	Busy           Fault = "busy"             // greets with 421
	ClosesAfterDot Fault = "closes-after-dot" // takes the content and closes without an answer
	TakesEarly     Fault = "takes-early"      // obeys inside TLS what was sent in the clear behind STARTTLS
)

// Behaviour is how a partner answers. It may be changed while the partner runs; sessions begun before keep theirs.
type Behaviour struct {
	// TLS offers STARTTLS with this configuration; nil offers none, as NoTLS does.
	TLS   *tls.Config
	Fault Fault
	// Upgrade, when set, offers STARTTLS and does TLS instead of crypto/tls, over the connection it is given; what it
	// returns is spoken inside. TLS need not be set then.
	Upgrade func(net.Conn) (net.Conn, error)
	// Replies are sent instead of the usual answer, by verb ("RCPT", "MAIL", "DATA", "." for the content), or by verb
	// and argument ("RCPT TO:<x@y.test>").
	Replies map[string]string
	// Mailboxes are those that exist; others are refused with 550 5.1.1. nil: every name exists.
	Mailboxes []string
	// Before, when set, is called before a command is answered, with its verb, "." for the content. It may block.
	Before func(verb string)
	// Keywords are offered besides STARTTLS; nil offers PIPELINING and 8BITMIME. Inside are those offered inside TLS,
	// nil the same.
	Keywords, Inside []string
}

// Command is one line that came.
type Command struct {
	Verb string // upper case
	Line string
	TLS  bool
	// Leaf is the serial number of the certificate shown, "" without TLS.
	Leaf string
}

// Message is one content that was accepted.
type Message struct {
	From string
	To   []string
	Data string // dots removed, CRLF kept
	TLS  bool
	At   time.Time
}

// Partner is a running server. Its methods are safe for concurrent use.
type Partner struct {
	name string
	l    net.Listener
	wg   sync.WaitGroup

	mu        sync.Mutex // guards what follows
	behaviour Behaviour
	commands  []Command
	messages  []Message
	conns     map[net.Conn]bool
	closed    bool
}

// Listen opens address and serves there as name.
func Listen(name, address string, b Behaviour) (*Partner, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	return Serve(name, l, b), nil
}

// Serve serves at a listener, which it owns from then on.
func Serve(name string, l net.Listener, b Behaviour) *Partner {
	p := &Partner{name: name, l: l, behaviour: b, conns: make(map[net.Conn]bool)}
	p.wg.Go(p.accept)
	return p
}

// Addr is where the partner listens.
func (p *Partner) Addr() net.Addr { return p.l.Addr() }

// Set changes the behaviour for sessions to come.
func (p *Partner) Set(b Behaviour) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.behaviour = b
}

// Connections counts those that are open.
func (p *Partner) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns)
}

// Messages returns what was accepted so far.
func (p *Partner) Messages() []Message {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Message(nil), p.messages...)
}

// Commands returns every line so far.
func (p *Partner) Commands() []Command {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Command(nil), p.commands...)
}

// Close stops listening, cuts open sessions and waits for them.
func (p *Partner) Close() {
	p.mu.Lock()
	p.closed = true
	for c := range p.conns {
		_ = c.Close() // the session sees it
	}
	p.mu.Unlock()
	_ = p.l.Close() // accept sees it
	p.wg.Wait()
}

func (p *Partner) accept() {
	for {
		nc, err := p.l.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			_ = nc.Close() // nobody is served any more
			return
		}
		p.conns[nc] = true
		s := &session{p: p, b: p.behaviour, nc: nc, raw: nc, r: bufio.NewReader(nc)}
		p.mu.Unlock()
		p.wg.Go(func() {
			s.serve()
			if s.b.Upgrade != nil {
				_ = s.nc.Close() // the end of whatever did TLS
			}
			_ = nc.Close() // both sides are done with it
			p.mu.Lock()
			delete(p.conns, nc)
			p.mu.Unlock()
		})
	}
}

// session is one connection; it belongs to its goroutine.
type session struct {
	p    *Partner
	b    Behaviour
	nc   net.Conn // of this moment, TLS or not
	raw  net.Conn
	r    *bufio.Reader
	tls  bool
	leaf string
	from string
	to   []string
}

func (s *session) serve() {
	if s.b.Fault == Busy {
		s.say("421 4.3.2 " + s.p.name + " is busy, come again later")
		return
	}
	s.say("220 " + s.p.name + " ESMTP")
	for {
		line, err := s.r.ReadString('\n')
		if err != nil {
			return
		}
		if !s.command(strings.TrimRight(line, "\r\n")) {
			return
		}
	}
}

func (s *session) say(line string) bool {
	_, err := s.nc.Write([]byte(line + "\r\n"))
	return err == nil
}

// command answers one line; false ends the session.
func (s *session) command(line string) bool {
	verb, argument, _ := strings.Cut(line, " ")
	verb = strings.ToUpper(verb)
	s.p.mu.Lock()
	s.p.commands = append(s.p.commands, Command{Verb: verb, Line: line, TLS: s.tls, Leaf: s.leaf})
	s.p.mu.Unlock()
	s.before(verb)
	for _, key := range []string{line, verb} {
		if reply, ok := s.b.Replies[key]; ok {
			return s.say(reply)
		}
	}
	switch verb {
	case "EHLO", "HELO":
		return s.hello()
	case "STARTTLS":
		return s.startTLS()
	case "MAIL":
		s.from, s.to = path(argument), nil
		return s.say("250 2.1.0 sender ok")
	case "RCPT":
		if to := path(argument); s.b.Mailboxes != nil &&
			!slices.ContainsFunc(s.b.Mailboxes, func(m string) bool { return strings.EqualFold(m, to) }) {
			return s.say("550 5.1.1 no such user")
		}
		s.to = append(s.to, path(argument))
		return s.say("250 2.1.5 recipient ok")
	case "DATA":
		if len(s.to) == 0 {
			return s.say("554 5.5.1 no valid recipients")
		}
		return s.say("354 go on") && s.data()
	case "RSET", "NOOP":
		s.from, s.to = "", nil
		return s.say("250 2.0.0 ok")
	case "QUIT":
		s.say("221 2.0.0 bye")
		return false
	}
	return s.say("502 5.5.1 what?")
}

// path is the mailbox between the angle brackets.
func path(argument string) string {
	_, after, _ := strings.Cut(argument, "<")
	mailbox, _, _ := strings.Cut(after, ">")
	return mailbox
}

func (s *session) hello() bool {
	keywords := s.b.Keywords
	if s.tls && s.b.Inside != nil {
		keywords = s.b.Inside
	}
	if keywords == nil {
		keywords = []string{"PIPELINING", "8BITMIME"}
	}
	lines := append([]string{s.p.name + " at your service"}, keywords...)
	switch {
	case s.b.Fault == Masked:
		lines = append(lines, "XXXXXXXA")
	case s.offers():
		lines = append(lines, "STARTTLS")
	}
	var out strings.Builder
	for i, l := range lines {
		sep := "-"
		if i == len(lines)-1 {
			sep = " "
		}
		out.WriteString("250" + sep + l + "\r\n")
	}
	return s.say(strings.TrimSuffix(out.String(), "\r\n"))
}

func (s *session) startTLS() bool {
	switch {
	case !s.offers() || s.b.Fault == Masked:
		return s.say("502 5.5.1 not offered")
	case s.b.Fault == RefusesTLS:
		return s.say("454 4.7.0 TLS is not available now")
	}
	if !s.say("220 2.0.0 ready to start TLS") {
		return false
	}
	switch s.b.Fault {
	case BreaksTLS:
		_, _ = s.r.Peek(1) // the ClientHello has begun
		s.say("500 5.5.1 this is not TLS")
		s.drain()
		return false
	case ResetsTLS:
		return false
	case HangsTLS:
		s.drain()
		return false
	}
	if s.b.Upgrade != nil {
		return s.upgrade()
	}
	early, _ := s.r.Peek(s.r.Buffered()) // as a rule nothing, and forgotten
	conn := tls.Server(s.raw, s.b.TLS)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if conn.HandshakeContext(ctx) != nil {
		return false
	}
	s.nc, s.r, s.tls, s.leaf = conn, bufio.NewReader(conn), true, s.serial()
	if s.b.Fault == TakesEarly {
		s.r = bufio.NewReader(io.MultiReader(bytes.NewReader(early), conn))
	}
	return true
}

// offers reports whether STARTTLS is to be had.
func (s *session) offers() bool {
	return (s.b.TLS != nil || s.b.Upgrade != nil) && s.b.Fault != NoTLS && !s.tls
}

// upgrade goes on inside what Upgrade makes of the connection. What came before is forgotten.
func (s *session) upgrade() bool {
	conn, err := s.b.Upgrade(s.raw)
	if err != nil {
		return false
	}
	s.nc, s.r, s.tls, s.leaf = conn, bufio.NewReader(conn), true, "?"
	return true
}

func (s *session) before(verb string) {
	if s.b.Before != nil {
		s.b.Before(verb)
	}
}

// drain reads until the other side gives up.
func (s *session) drain() { _, _ = io.Copy(io.Discard, s.r) }

// serial names the certificate that the configuration shows by default.
func (s *session) serial() string {
	if len(s.b.TLS.Certificates) > 0 && s.b.TLS.Certificates[0].Leaf != nil {
		return s.b.TLS.Certificates[0].Leaf.SerialNumber.String()
	}
	return "?"
}

func (s *session) data() bool {
	var content strings.Builder
	for {
		line, err := s.r.ReadString('\n')
		if err != nil {
			return false
		}
		if line == ".\r\n" {
			break
		}
		content.WriteString(strings.TrimPrefix(line, "."))
	}
	s.before(".")
	if s.b.Fault == ClosesAfterDot {
		return false
	}
	if reply, ok := s.b.Replies["."]; ok {
		return s.say(reply)
	}
	s.p.mu.Lock()
	s.p.messages = append(s.p.messages, Message{From: s.from, To: s.to, Data: content.String(), TLS: s.tls,
		At: time.Now()})
	s.p.mu.Unlock()
	return s.say("250 2.0.0 taken")
}
