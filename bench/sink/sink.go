// Package sink is where the load arrives: a mail server that takes everything, throws it away and counts. It knows each
// message by its number (source.Mark), so that one that is lost or comes twice is seen.
package sink

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"postern/bench/source"
	"postern/bench/wire"
)

// headLimit is how much of a message is searched for its number. Gateways put their own lines above it.
const headLimit = 8 << 10

// Sink is a running server. Its methods may be called by several goroutines.
type Sink struct {
	config   *tls.Config
	sessions sync.WaitGroup

	mu        sync.Mutex
	listeners []net.Listener    // the first is that of Listen
	conns     map[net.Conn]bool // nil once closed

	expected    atomic.Pointer[Expectation]
	connections atomic.Int64
	strangers   atomic.Int64
}

// Expectation is what one load should become.
type Expectation struct {
	run      uint32
	each     uint32 // recipients of each message
	seen     []atomic.Uint32
	open     atomic.Int64 // recipients still to come
	messages atomic.Int64
	bytes    atomic.Int64
	last     atomic.Int64 // Unix nanoseconds
	done     chan struct{}
	finish   sync.Once
}

// Listen starts a sink. Without a config it offers no TLS.
func Listen(address string, config *tls.Config) (*Sink, error) {
	s := &Sink{config: config, conns: map[net.Conn]bool{}}
	return s, s.Also(address)
}

// Also takes mail at another address too.
func (s *Sink) Also(address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.listeners = append(s.listeners, l)
	s.mu.Unlock()
	s.sessions.Go(func() { s.accept(l) })
	return nil
}

// Addr is the address it was made with.
func (s *Sink) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.listeners[0].Addr().String()
}

// Connections is how many it has taken so far.
func (s *Sink) Connections() int64 { return s.connections.Load() }

// Strangers is how many messages came that were not of the load expected at that moment.
func (s *Sink) Strangers() int64 { return s.strangers.Load() }

// Close ends the sink with all its sessions.
func (s *Sink) Close() {
	s.mu.Lock()
	for _, l := range s.listeners {
		l.Close()
	}
	for c := range s.conns {
		c.Close()
	}
	s.conns = nil
	s.mu.Unlock()
	s.sessions.Wait()
}

// Expect makes the sink count a load from now on, in place of the one before.
func (s *Sink) Expect(run uint32, messages, recipients int) *Expectation {
	e := &Expectation{run: run, each: uint32(recipients), seen: make([]atomic.Uint32, messages),
		done: make(chan struct{})}
	e.open.Store(int64(messages) * int64(recipients))
	s.expected.Store(e)
	return e
}

// Wait waits until every message was seen for every recipient, or until nothing new came for patience.
func (e *Expectation) Wait(ctx context.Context, patience time.Duration) error {
	tick := time.NewTicker(patience)
	defer tick.Stop()
	for before := e.open.Load(); ; {
		select {
		case <-e.done:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			now := e.open.Load()
			if now == before {
				return fmt.Errorf("nothing came for %v; %s", patience, e.Faults())
			}
			before = now
		}
	}
}

// Last is when the newest message of the load came.
func (e *Expectation) Last() time.Time { return time.Unix(0, e.last.Load()) }

// Open is how many recipients are still to come.
func (e *Expectation) Open() int { return int(e.open.Load()) }

// Counts says how many transactions the load became at the sink and how many bytes.
func (e *Expectation) Counts() (messages, bytes int64) { return e.messages.Load(), e.bytes.Load() }

// Faults says what was lost and what came more often than it should; "" when nothing.
func (e *Expectation) Faults() string {
	lost, twice := 0, 0
	for i := range e.seen {
		switch n := e.seen[i].Load(); {
		case n < e.each:
			lost++
		case n > e.each:
			twice++
		}
	}
	if lost+twice == 0 {
		return ""
	}
	return fmt.Sprintf("%d messages are missing and %d came too often", lost, twice)
}

func (e *Expectation) arrived(n, recipients uint32, size int) {
	e.messages.Add(1)
	e.bytes.Add(int64(size))
	e.last.Store(time.Now().UnixNano())
	e.seen[n].Add(recipients)
	if e.open.Add(-int64(recipients)) <= 0 {
		e.finish.Do(func() { close(e.done) })
	}
}

func (s *Sink) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			time.Sleep(10 * time.Millisecond) // out of descriptors: others will end
			continue
		}
		s.mu.Lock()
		if s.conns == nil {
			conn.Close()
		} else {
			s.conns[conn] = true
			s.sessions.Go(func() {
				_ = wire.Serve(conn, "sink.test", s.config, &session{sink: s}) // a gateway may leave as it likes
				s.mu.Lock()
				delete(s.conns, conn)
				s.mu.Unlock()
			})
		}
		s.mu.Unlock()
		s.connections.Add(1)
	}
}

// session counts what one connection brings. It belongs to one goroutine.
type session struct {
	sink       *Sink
	recipients uint32
	size       int
	head       []byte
}

func (s *session) Mail([]byte) { s.Reset() }
func (s *session) Rcpt([]byte) { s.recipients++ }
func (s *session) Reset()      { s.recipients, s.size, s.head = 0, 0, s.head[:0] }

func (s *session) Piece(b []byte) {
	s.size += len(b)
	if room := headLimit - len(s.head); room > 0 {
		s.head = append(s.head, b[:min(room, len(b))]...)
	}
}

func (s *session) Done() error {
	e := s.sink.expected.Load()
	run, n, ok := number(s.head)
	if e == nil || !ok || run != e.run || int(n) >= len(e.seen) {
		s.sink.strangers.Add(1)
	} else {
		e.arrived(n, s.recipients, s.size)
	}
	s.Reset()
	return nil
}

// number finds a message's number in its header.
func number(head []byte) (run, n uint32, ok bool) {
	i := bytes.Index(head, []byte("\n"+source.Mark))
	if i < 0 {
		return 0, 0, false
	}
	digits := head[i+1+len(source.Mark):]
	if len(digits) < 16 {
		return 0, 0, false
	}
	v, err := strconv.ParseUint(string(digits[:16]), 16, 64)
	return uint32(v >> 32), uint32(v), err == nil
}
