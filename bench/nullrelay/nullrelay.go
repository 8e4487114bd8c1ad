// Package nullrelay is the least a mail relay can be that keeps its word: it takes messages over TLS, answers 250 only
// after their bytes and envelope are on stable storage, and sends them on over connections it keeps open. It has no
// rules, no trace, no Received line, no retries, no reports and no look at certificates. What it reaches on a machine
// is the practical limit for a program of this language and these libraries, and the other servers are held against it.
//
// Accepted messages go into one log, in groups: whoever comes while the disk is busy waits for the next write and the
// one fdatasync behind it (log.go). What was sent on is removed only logically. A message goes to one next hop
// (hop.go).
package nullrelay

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"postern/bench/wire"
)

// Config says how to run.
type Config struct {
	// Log is the path of the log.
	Log string
	// Server, when set, is offered to clients by STARTTLS.
	Server *tls.Config
	// Next is where everything goes, "host:port", that Hops does not send elsewhere by the domain of its first
	// recipient. With Client it goes there over STARTTLS, judged as Client says.
	Next   string
	Hops   map[string]string
	Client *tls.Config
	// Connections to each next hop; 0 is 8.
	Connections int
}

// memory is how many bytes of content are kept until they are sent; what is above is read from the log.
const memory = 64 << 20

// relay is a running null relay.
type relay struct {
	config  Config
	journal *journal
	senders sync.WaitGroup
	free    chan []byte // contents that were sent, for the next ones

	mu    sync.Mutex
	hops  map[string]*hop // by address
	held  int             // bytes of content that wait in memory
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
	r := &relay{config: c, journal: j, hops: map[string]*hop{}, free: make(chan []byte, 64)}
	for _, m := range left {
		r.accepted(m)
	}
	var commits, sessions sync.WaitGroup
	commits.Go(func() { j.run(r.accepted) })
	defer context.AfterFunc(ctx, func() { l.Close() })()
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
	commits.Wait()
	r.end()
	if _, err := j.write(nil, nil); err != nil { // what was sent on since the last group
		return err
	}
	return ctx.Err()
}

// session takes one client's mail. It belongs to one goroutine.
type session struct {
	relay *relay
	now   message
}

func (s *session) Mail(arg []byte) {
	s.Reset()
	s.now.envelope = append(append(append(s.now.envelope, "MAIL FROM:"...), arg...), "\r\n"...)
	if _, size, ok := bytes.Cut(arg, []byte(" SIZE=")); ok {
		if n, err := strconv.Atoi(string(size)); err == nil && n <= keptBuffer {
			s.now.content = s.relay.buffer(n + len(".\r\n"))
		}
	}
}

func (s *session) Rcpt(arg []byte) {
	s.now.envelope = append(append(append(s.now.envelope, "RCPT TO:"...), arg...), "\r\n"...)
	if s.now.hop == nil {
		_, domain, _ := bytes.Cut(arg, []byte("@"))
		s.now.hop = s.relay.hop(string(bytes.TrimSuffix(domain, []byte(">"))))
	}
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

// keptBuffer is the largest content whose memory is used again.
const keptBuffer = 2 << 20

// buffer is an empty one with room for n bytes.
func (r *relay) buffer(n int) []byte {
	select {
	case b := <-r.free:
		if cap(b) >= n {
			return b[:0]
		}
	default:
	}
	return make([]byte, 0, n)
}

// release gives a buffer back.
func (r *relay) release(b []byte) {
	if cap(b) > keptBuffer {
		return
	}
	select {
	case r.free <- b:
	default:
	}
}

// connections are the open ones, so that they can be closed at the end.
type connections struct {
	mu    sync.Mutex
	conns map[net.Conn]bool
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
