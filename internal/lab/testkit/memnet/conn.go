package memnet

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// Window is how many octets one direction of a connection buffers before Write blocks.
const Window = 1 << 20

// Conn is one end of a connection. It implements net.Conn with deadlines; all methods are safe for concurrent use.
type Conn struct {
	in, out       *half
	local, remote net.Addr
}

// Pipe returns the two ends of a connection between 192.0.2.1:25 and 198.51.100.1:40000.
func Pipe() (server, client *Conn) {
	return pair(tcpAddr("192.0.2.1:25"), tcpAddr("198.51.100.1:40000"))
}

func pair(a, b net.Addr) (*Conn, *Conn) {
	x, y := newHalf(), newHalf()
	return &Conn{in: x, out: y, local: a, remote: b}, &Conn{in: y, out: x, local: b, remote: a}
}

// Read reads what the peer wrote; io.EOF after the peer closed its side, a timeout error after the read deadline.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.in.read(p)
	return n, c.wrap("read", err)
}

// Write hands p to the peer, blocking while Window octets are unread.
func (c *Conn) Write(p []byte) (int, error) {
	n, err := c.out.write(p)
	return n, c.wrap("write", err)
}

// Close ends both directions: the peer reads what was written, then io.EOF; its writes fail with EPIPE.
func (c *Conn) Close() error {
	c.out.endWrite(io.EOF, net.ErrClosed)
	c.in.endRead(net.ErrClosed, syscall.EPIPE)
	return nil
}

// CloseWrite ends our direction only, as a FIN does.
func (c *Conn) CloseWrite() error {
	c.out.endWrite(io.EOF, syscall.EPIPE)
	return nil
}

// Reset cuts the connection as an RST does: the peer loses what it had not read and gets ECONNRESET.
func (c *Conn) Reset() {
	c.out.drop()
	c.out.endWrite(syscall.ECONNRESET, net.ErrClosed)
	c.in.endRead(net.ErrClosed, syscall.ECONNRESET)
}

// LocalAddr returns this end's address.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr returns the peer's address.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	c.in.setReadDeadline(t)
	c.out.setWriteDeadline(t)
	return nil
}

// SetReadDeadline sets the time after which Read fails; the zero time is never. It wakes a blocked Read.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.in.setReadDeadline(t)
	return nil
}

// SetWriteDeadline sets the time after which a blocked Write fails; the zero time is never.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.out.setWriteDeadline(t)
	return nil
}

func (c *Conn) wrap(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: "tcp", Source: c.local, Addr: c.remote, Err: err}
}

// half is one direction. changed is closed and replaced at every change, which wakes everybody who waits: channels
// block durably in a bubble, mutexes would not.
type half struct {
	mu                sync.Mutex // guards all below; never held while waiting
	buf               []byte
	readErr           error // for the reader once buf is empty
	writeErr          error // for the writer, at once
	closedRead        bool  // the reader closed: it gets readErr even if buf is not empty
	readDue, writeDue time.Time
	changed           chan struct{}
}

func newHalf() *half { return &half{changed: make(chan struct{})} }

// signal wakes all waiters; mu is held.
func (h *half) signal() {
	close(h.changed)
	h.changed = make(chan struct{})
}

func (h *half) read(p []byte) (int, error) {
	for {
		h.mu.Lock()
		switch {
		case h.closedRead:
			defer h.mu.Unlock()
			return 0, h.readErr
		case expired(h.readDue):
			h.mu.Unlock()
			return 0, os.ErrDeadlineExceeded
		case len(h.buf) > 0 || len(p) == 0:
			defer h.mu.Unlock()
			n := copy(p, h.buf)
			h.buf = h.buf[n:]
			if len(h.buf) == 0 {
				h.buf = nil
			}
			h.signal()
			return n, nil
		case h.readErr != nil:
			defer h.mu.Unlock()
			return 0, h.readErr
		}
		changed, due := h.changed, h.readDue
		h.mu.Unlock()
		wait(changed, due)
	}
}

func (h *half) write(p []byte) (n int, err error) {
	for {
		h.mu.Lock()
		switch {
		case h.writeErr != nil:
			defer h.mu.Unlock()
			return n, h.writeErr
		case expired(h.writeDue):
			h.mu.Unlock()
			return n, os.ErrDeadlineExceeded
		}
		if room := Window - len(h.buf); room > 0 && len(p) > 0 {
			k := min(room, len(p))
			h.buf = append(h.buf, p[:k]...)
			n, p = n+k, p[k:]
			h.signal()
		}
		changed, due := h.changed, h.writeDue
		h.mu.Unlock()
		if len(p) == 0 {
			return n, nil
		}
		wait(changed, due)
	}
}

// endWrite is called by the writing end: forReader is what the reader gets after the buffered octets.
func (h *half) endWrite(forReader, forWriter error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.readErr == nil {
		h.readErr = forReader
	}
	h.writeErr = forWriter
	h.signal()
}

// endRead is called by the reading end: nothing more will be read.
func (h *half) endRead(forReader, forWriter error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.buf, h.closedRead, h.readErr = nil, true, forReader
	if h.writeErr == nil {
		h.writeErr = forWriter
	}
	h.signal()
}

func (h *half) drop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.buf = nil
}

func (h *half) setReadDeadline(t time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.readDue = t
	h.signal()
}

func (h *half) setWriteDeadline(t time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.writeDue = t
	h.signal()
}

func expired(due time.Time) bool { return !due.IsZero() && !time.Now().Before(due) }

func wait(changed <-chan struct{}, due time.Time) {
	if due.IsZero() {
		<-changed
		return
	}
	t := time.NewTimer(time.Until(due))
	defer t.Stop()
	select {
	case <-changed:
	case <-t.C:
	}
}
