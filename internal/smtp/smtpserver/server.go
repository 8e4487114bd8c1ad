package smtpserver

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"
)

// Server serves one kind of listener. Serve may be called for several listeners. All methods are safe for concurrent
// use.
type Server struct {
	cfg    Config
	tls    *tls.Config // nil: none
	ctx    context.Context
	cancel context.CancelFunc
	// buffers are what content is read through, *[]byte of largeBuffer.
	buffers sync.Pool

	mu        sync.Mutex // guards all below
	listeners map[net.Listener]bool
	conns     map[*Conn]bool
	draining  bool
	running   sync.WaitGroup // one for each connection
}

// New checks cfg and makes a server. It does nothing until Serve.
func New(cfg Config) (*Server, error) {
	if cfg.Hostname == "" || cfg.NewSession == nil {
		return nil, errors.New("smtpserver: Hostname and NewSession are required")
	}
	cfg = cfg.withDefaults()
	tc, err := serverTLS(&cfg)
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, tls: tc, listeners: map[net.Listener]bool{}, conns: map[*Conn]bool{}}
	s.buffers.New = func() any { b := make([]byte, largeBuffer); return &b }
	s.ctx, s.cancel = context.WithCancel(context.Background())
	cfg.Gate.join(s)
	return s, nil
}

// Serve accepts connections until Shutdown or Close, and then returns nil; connections may still be open. It closes l.
// An Accept that fails for want of file descriptors or memory is tried again after a pause of up to a second.
func (s *Server) Serve(l net.Listener) error {
	defer l.Close()
	if !s.addListener(l) {
		return nil
	}
	defer s.removeListener(l)
	var pause time.Duration
	for {
		nc, err := l.Accept()
		if err == nil {
			pause = 0
			s.start(nc)
			continue
		}
		if s.isDraining() {
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		if f := s.cfg.Trace.AcceptFailed; f != nil {
			f(err, pause)
		}
		select {
		case <-time.After(pause):
		case <-s.ctx.Done():
			return nil
		}
	}
}

// start serves a new connection in its own goroutine, or turns it away.
func (s *Server) start(nc net.Conn) {
	client := addrPort(nc.RemoteAddr())
	cost := s.sessionCost()
	if full := s.cfg.Gate.enter(client.Addr(), cost); full != admitted {
		if full != fullClient {
			s.cfg.Gate.relieve(time.Now())
		}
		s.turnAway(nc, "421 "+s.sorry(full))
		return
	}
	c := newConn(s, nc)
	c.held = cost
	if !s.addConn(c) {
		s.cfg.Gate.leave(client.Addr(), c.held)
		c.cancel()
		s.turnAway(nc, "421 4.3.2 "+s.cfg.Hostname+" shutting down")
		return
	}
	go func() {
		defer s.running.Done()
		defer func() { s.cfg.Gate.leave(client.Addr(), c.held) }()
		defer s.removeConn(c)
		c.serve()
	}()
}

// sessionCost is what a new session may come to cost.
func (s *Server) sessionCost() int {
	if s.tls == nil {
		return SessionMemory
	}
	return SessionMemory + TLSMemory
}

// sorry is what a client is told that a Gate turns away.
func (s *Server) sorry(full admission) string {
	switch full {
	case fullClient:
		return "4.7.0 " + s.cfg.Hostname + " too many connections from your address"
	case fullShare:
		return "4.7.0 " + s.cfg.Hostname + " too many connections from your address while memory is short"
	case fullMemory:
		return "4.3.1 " + s.cfg.Hostname + " no memory for another session, try again later"
	}
	return "4.3.2 " + s.cfg.Hostname + " too many connections, try again later"
}

// turnAway says one line, which the kernel takes without waiting for the client, and closes.
func (s *Server) turnAway(nc net.Conn, line string) {
	if !s.cfg.ImplicitTLS {
		nc.SetWriteDeadline(time.Now().Add(time.Second))
		nc.Write([]byte(line + "\r\n")) // best effort
	}
	nc.Close()
	if f := s.cfg.Trace.Rejected; f != nil {
		f(addrPort(nc.RemoteAddr()), line)
	}
}

// Shutdown stops accepting, says 421 to every client that has no transaction open, and to the others when theirs has
// ended. It returns when all connections are gone; when ctx ends first it cuts them and returns ctx's error.
func (s *Server) Shutdown(ctx context.Context) error {
	s.beginDrain()
	done := make(chan struct{})
	go func() { s.running.Wait(); close(done) }()
	select {
	case <-done:
		s.cancel()
		return nil
	case <-ctx.Done():
		s.Close()
		<-done
		return ctx.Err()
	}
}

// Close stops accepting and cuts every connection. It does not wait; Shutdown does.
func (s *Server) Close() {
	s.beginDrain()
	s.cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.raw.Close()
	}
}

func (s *Server) beginDrain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining = true
	for l := range s.listeners {
		l.Close()
	}
	for c := range s.conns {
		c.drain()
	}
}

// endIdle ends the sessions that have waited for a command longer than a full house can afford.
func (s *Server) endIdle(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.endIdle(now.Add(-s.cfg.Timeouts.Crowded))
	}
}

func (s *Server) isDraining() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.draining
}

func (s *Server) addListener(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.draining {
		s.listeners[l] = true
	}
	return !s.draining
}

func (s *Server) removeListener(l net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
}

func (s *Server) addConn(c *Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		return false
	}
	s.conns[c] = true
	s.running.Add(1)
	return true
}

func (s *Server) removeConn(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}
