package zone

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Server serves a Zone over UDP and TCP on one port of 127.0.0.1. Its methods are safe for concurrent use.
type Server struct {
	udp   *net.UDPConn
	tcp   *net.TCPListener
	zone  atomic.Pointer[Zone]
	asked atomic.Int64
	wg    sync.WaitGroup

	mu     sync.Mutex // guards what follows
	open   map[net.Conn]bool
	closed bool
}

// Serve parses text and starts a server, which answers when Serve returns. Close ends it.
func Serve(text string) (*Server, error) {
	z, err := Parse(text)
	if err != nil {
		return nil, err
	}
	s := &Server{open: map[net.Conn]bool{}}
	s.zone.Store(z)
	if err := s.listen(); err != nil {
		return nil, err
	}
	s.wg.Go(s.serveUDP)
	s.wg.Go(s.serveTCP)
	return s, nil
}

// listen finds a port that is free for both protocols.
func (s *Server) listen() error {
	var err error
	for range 20 {
		if s.tcp, err = net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
			continue
		}
		port := s.tcp.Addr().(*net.TCPAddr).Port
		if s.udp, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}); err == nil {
			return nil
		}
		s.tcp.Close()
	}
	return fmt.Errorf("cannot open a DNS port on the loopback: %w", err)
}

// Addr is where the server listens, for both protocols.
func (s *Server) Addr() netip.AddrPort { return s.udp.LocalAddr().(*net.UDPAddr).AddrPort() }

// Set replaces the whole zone; on an error the old one stays.
func (s *Server) Set(text string) error {
	z, err := Parse(text)
	if err == nil {
		s.zone.Store(z)
	}
	return err
}

// Asked returns how many questions have arrived.
func (s *Server) Asked() int { return int(s.asked.Load()) }

// Close stops the server and waits until nothing of it runs.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	for conn := range s.open {
		conn.Close()
	}
	s.mu.Unlock()
	err := errors.Join(s.udp.Close(), s.tcp.Close())
	s.wg.Wait()
	return err
}

func (s *Server) answer(network string, query []byte) []byte {
	s.asked.Add(1)
	return s.zone.Load().Answer(network, query)
}

func (s *Server) serveUDP() {
	buf := make([]byte, 1<<16)
	for {
		n, from, err := s.udp.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		if reply := s.answer("udp", buf[:n]); reply != nil {
			s.udp.WriteToUDPAddrPort(reply, from) // a datagram may be lost
		}
	}
}

func (s *Server) serveTCP() {
	for {
		conn, err := s.tcp.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		if !s.track(conn) {
			conn.Close()
			return
		}
		s.wg.Go(func() {
			defer s.untrack(conn)
			s.serveStream(conn)
		})
	}
}

func (s *Server) track(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.open[conn] = true
	}
	return !s.closed
}

func (s *Server) untrack(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, conn)
	conn.Close()
}

// serveStream answers the questions on one stream until the client leaves or an answer is to hang up.
func (s *Server) serveStream(conn net.Conn) {
	for {
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		var length [2]byte
		if _, err := io.ReadFull(conn, length[:]); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(conn, query); err != nil {
			return
		}
		reply := s.answer("tcp", query)
		if reply == nil {
			return
		}
		framed := binary.BigEndian.AppendUint16(nil, uint16(len(reply)))
		if _, err := conn.Write(append(framed, reply...)); err != nil {
			return
		}
	}
}
