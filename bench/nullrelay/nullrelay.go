// Package nullrelay is the least a mail relay can be that keeps its word: it takes messages over TLS, answers 250 only
// after their bytes and envelope are on stable storage, and sends them on over connections it keeps open. It has no
// rules, no trace, no Received line, no retries, no reports and no look at certificates. What it reaches on a machine is
// the practical limit for a program of this language and these libraries, and the other servers are held against it.
//
// Accepted messages go into one log, in groups: whoever comes while the disk is busy waits for the next write and the
// one fdatasync behind it (log.go). What was sent on is removed only logically.
package nullrelay

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"postern/bench/wire"
)

// Config says how to run.
type Config struct {
	// Log is the path of the log.
	Log string
	// Server, when set, is offered to clients by STARTTLS.
	Server *tls.Config
	// Next is where everything goes, "host:port". With Client it goes there over STARTTLS, unverified or not as Client says.
	Next   string
	Client *tls.Config
	// Connections to Next; 0 is 8.
	Connections int
}

// memory is how many bytes of content are kept until they are sent; what is above is read from the log.
const memory = 64 << 20

// Relay is a running null relay.
type Relay struct {
	config  Config
	journal *journal

	mu    sync.Mutex
	some  sync.Cond
	queue []*message // accepted, no sender has it
	held  int        // bytes of content in queue
	ended bool
}

// Serve takes mail from a listener until ctx ends, and sends on what a log from before holds.
func Serve(ctx context.Context, l net.Listener, c Config) error {
	j, left, err := openJournal(c.Log)
	if err != nil {
		return err
	}
	if c.Connections == 0 {
		c.Connections = 8
	}
	r := &Relay{config: c, journal: j}
	r.some.L = &r.mu
	for _, m := range left {
		r.accepted(m)
	}
	var senders, sessions sync.WaitGroup
	for range c.Connections {
		senders.Go(r.send)
	}
	senders.Go(func() { j.run(r.accepted) })
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	var open connections
	for {
		conn, err := l.Accept()
		if err != nil {
			break
		}
		open.add(conn)
		sessions.Go(func() {
			_ = wire.Serve(conn, "null.test", c.Server, &session{relay: r}) // clients may leave as they like
			open.remove(conn)
		})
	}
	open.close()
	sessions.Wait()
	close(j.commit)
	r.mu.Lock()
	r.ended = true
	r.mu.Unlock()
	r.some.Broadcast()
	senders.Wait()
	return ctx.Err()
}

// accepted gives a durable message to the senders.
func (r *Relay) accepted(m *message) {
	r.mu.Lock()
	if r.held+len(m.content) > memory {
		m.content = nil
	}
	r.held += len(m.content)
	r.queue = append(r.queue, m)
	r.mu.Unlock()
	r.some.Signal()
}

// next waits for a message; nil when the relay ends.
func (r *Relay) next() *message {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.queue) == 0 && !r.ended {
		r.some.Wait()
	}
	if r.ended {
		return nil
	}
	m := r.queue[0]
	r.queue[0] = nil
	r.queue = r.queue[1:]
	r.held -= len(m.content)
	return m
}

// send is one sender with its connection. What fails is sent again over a new connection until it goes: there is no
// schedule and there are no reports.
func (r *Relay) send() {
	var c *wire.Conn
	defer func() {
		if c != nil {
			c.Quit()
		}
	}()
	for m := r.next(); m != nil; m = r.next() {
		for {
			err := r.transfer(&c, m)
			if err == nil {
				r.journal.forget(m)
				break
			}
			if c != nil {
				c.Close()
				c = nil
			}
			if r.over() {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
}

func (r *Relay) over() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ended
}

func (r *Relay) transfer(c **wire.Conn, m *message) (err error) {
	if *c == nil {
		if *c, err = wire.Dial(r.config.Next, "null.test", r.config.Client); err != nil {
			return err
		}
	}
	content := m.content
	if content == nil {
		if content, err = r.journal.read(m); err != nil {
			return err
		}
	}
	if err := (*c).Send(m.envelope); err != nil {
		return err
	}
	for {
		code, text, err := (*c).Reply()
		if err != nil {
			return err
		}
		if code == 354 {
			break
		}
		if code != 250 {
			return errors.New(string(text))
		}
	}
	if err := (*c).Send(content); err != nil {
		return err
	}
	return (*c).Expect(250)
}

// session takes one client's mail. It belongs to one goroutine.
type session struct {
	relay *Relay
	now   message
}

func (s *session) Mail(arg []byte) {
	s.Reset()
	s.now.envelope = append(append(append(s.now.envelope, "MAIL FROM:"...), arg...), "\r\n"...)
}

func (s *session) Rcpt(arg []byte) {
	s.now.envelope = append(append(append(s.now.envelope, "RCPT TO:"...), arg...), "\r\n"...)
}

func (s *session) Piece(b []byte) { s.now.content = append(s.now.content, b...) }
func (s *session) Reset()         { s.now = message{} }

// Done returns once the message is on stable storage.
func (s *session) Done() error {
	m := s.now
	m.envelope = append(m.envelope, "DATA\r\n"...)
	m.synced = make(chan error, 1)
	s.Reset()
	s.relay.journal.commit <- &m
	return <-m.synced
}

// connections are the open ones, so that they can be closed at the end.
type connections struct {
	mu    sync.Mutex
	conns map[net.Conn]bool
	ended bool
}

func (c *connections) add(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conns == nil {
		c.conns = map[net.Conn]bool{}
	}
	c.conns[conn] = true
}

func (c *connections) remove(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.conns, conn)
}

func (c *connections) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.conns {
		conn.Close()
	}
}

func syncFolder(path string) error {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
