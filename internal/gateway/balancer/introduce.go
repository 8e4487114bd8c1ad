package balancer

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"postern/internal/event"
	"postern/internal/smtp/proxyheader"
)

// Why a connection is refused, besides what its header says of itself.
var (
	errFull   = fmt.Errorf("%d connections wait for their PROXY header already", Waiting)
	errSilent = errors.New("the connection was closed before a word")
	errLate   = errors.New("no PROXY header came in time")
	errHalf   = errors.New("the connection ended inside the PROXY header")
)

// introduce reads the header of a connection and hands it on with the client's address, or closes it.
func (l *Listener) introduce(nc net.Conn) {
	in, err := l.read(nc)
	l.leave(nc)
	if err != nil {
		_ = nc.Close() // it has told us nothing, so nothing is told
		l.refuse(nc, err)
		return
	}
	l.hand(accepted{nc: in})
}

// read waits for the header of a connection.
func (l *Listener) read(nc net.Conn) (net.Conn, error) {
	if err := nc.SetReadDeadline(time.Now().Add(l.cfg.Wait)); err != nil {
		return nil, errSilent
	}
	buf := make([]byte, 0, 256)
	for {
		h, n, err := proxyheader.Parse(buf)
		if err != nil {
			return nil, err
		}
		if n > 0 {
			return introduced(nc, h, buf[n:]), nc.SetReadDeadline(time.Time{})
		}
		if len(buf) == cap(buf) {
			buf = append(make([]byte, 0, proxyheader.Max), buf...)
		}
		n, err = nc.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if n == 0 && err != nil {
			return nil, ended(len(buf), err)
		}
	}
}

// ended says why nothing more came after so many octets.
func ended(had int, err error) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errLate
	case had == 0:
		return errSilent
	case errors.Is(err, io.EOF):
		return errHalf
	}
	return fmt.Errorf("%w: %w", errHalf, err)
}

// refuse tells of a connection that was closed.
func (l *Listener) refuse(nc net.Conn, err error) {
	e := event.ProxyRefused{Listener: l.cfg.Listener, Balancer: addressOf(nc.RemoteAddr()), Text: err.Error(),
		Hint: hint(err)}
	e.Check = errors.Is(err, errSilent)
	e.Again = !e.Check && !l.aloud(time.Now())
	l.cfg.Sink.Emit(e)
}

// hint says what to do about a refusal.
func hint(err error) string {
	switch {
	case errors.Is(err, errSilent):
		return "" // somebody looked whether the port is open
	case errors.Is(err, proxyheader.ErrNone):
		return "let the balancer send one (HAProxy: send-proxy-v2, and check-send-proxy for its checks), or take " +
			"its address out of proxy in [[listen]]"
	case errors.Is(err, errLate):
		return "the balancer must send it at once, for SMTP clients wait for our greeting, and in its checks too " +
			"(HAProxy: check-send-proxy; AWS: proxy_protocol_v2.client_to_server.header_placement = on_first_ack); " +
			"the time is limits.proxy_timeout"
	case errors.Is(err, errFull):
		return "look at the balancer, which opens connections and does not say for whom"
	}
	return "look at what the balancer sends: it has to be a header of PROXY protocol version 1 or 2 for a client by TCP"
}

// introduced is a connection with the addresses that its header told, and what came with the header.
func introduced(nc net.Conn, h proxyheader.Header, left []byte) net.Conn {
	c := &conn{Conn: nc, client: nc.RemoteAddr(), server: nc.LocalAddr()}
	if !h.Local {
		c.client, c.server = net.TCPAddrFromAddrPort(h.Client), net.TCPAddrFromAddrPort(h.Server)
	}
	if len(left) > 0 {
		c.left = left
	}
	return c
}

// conn is a connection that came through a balancer. Reads must not be concurrent, which neither TLS, SMTP nor HTTP do.
type conn struct {
	net.Conn
	client, server net.Addr
	left           []byte // came with the header and is still to be read
}

// Read reads what came with the header, and then the rest.
func (c *conn) Read(p []byte) (int, error) {
	if c.left == nil {
		return c.Conn.Read(p)
	}
	n := copy(p, c.left)
	if c.left = c.left[n:]; len(c.left) == 0 {
		c.left = nil
	}
	return n, nil
}

// RemoteAddr is the client's address.
func (c *conn) RemoteAddr() net.Addr { return c.client }

// LocalAddr is the address at the balancer that the client connected to.
func (c *conn) LocalAddr() net.Addr { return c.server }
