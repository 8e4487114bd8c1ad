package publicweb

import (
	"container/list"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// crowd counts the connections that are open. It is safe for concurrent use.
type crowd struct {
	most, ofOne int

	mu      sync.Mutex // guards what follows
	open    *list.List // of *conn, the oldest first
	clients map[netip.Prefix]int
	ended   bool
	serving int        // connections that the HTTP server is busy with
	idle    *sync.Cond // serving is 0
}

func newCrowd(most, ofOne int) *crowd {
	c := &crowd{most: most, ofOne: ofOne, open: list.New(), clients: map[netip.Prefix]int{}}
	c.idle = sync.NewCond(&c.mu)
	return c
}

// enter lets a connection in, nil where its client has too many; then it is closed. The oldest makes room where all
// places are taken.
func (c *crowd) enter(nc net.Conn) *conn {
	from := network(nc.RemoteAddr())
	c.mu.Lock()
	if c.clients[from] >= c.ofOne || c.ended {
		c.mu.Unlock()
		_ = nc.Close() // nothing was said
		return nil
	}
	var oldest *conn
	if c.open.Len() >= c.most {
		oldest = c.open.Front().Value.(*conn)
	}
	in := &conn{Conn: nc, crowd: c, from: from}
	in.left.Store(readMost)
	in.place = c.open.PushBack(in)
	c.clients[from]++
	in.life = time.AfterFunc(lifetime, func() { _ = in.Close() })
	c.mu.Unlock()
	if oldest != nil {
		_ = oldest.Close() // it had its time
	}
	return in
}

// leave takes a connection out.
func (c *crowd) leave(in *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open.Remove(in.place)
	if c.clients[in.from]--; c.clients[in.from] == 0 {
		delete(c.clients, in.from)
	}
}

// state hears of the HTTP server what it is busy with.
func (c *crowd) state(_ net.Conn, s http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch s {
	case http.StateNew:
		c.serving++
	case http.StateClosed, http.StateHijacked:
		if c.serving--; c.serving == 0 {
			c.idle.Broadcast()
		}
	}
}

// end closes what is open and returns when the HTTP server is done with all of it.
func (c *crowd) end() {
	c.mu.Lock()
	c.ended = true
	var open []*conn
	for e := c.open.Front(); e != nil; e = e.Next() {
		open = append(open, e.Value.(*conn))
	}
	c.mu.Unlock()
	for _, in := range open {
		_ = in.Close() // cut
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.serving > 0 {
		c.idle.Wait()
	}
}

// network is what counts as one client: an IPv4 address, or an IPv6 network of 64 bits.
func network(a net.Addr) netip.Prefix {
	at := client(a.String())
	bits := at.BitLen()
	if at.Is6() {
		bits = 64
	}
	p, err := at.WithZone("").Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// listener lets connections in.
type listener struct {
	net.Listener
	crowd *crowd
}

// Accept returns the next connection that may come in.
func (l *listener) Accept() (net.Conn, error) {
	for {
		nc, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if in := l.crowd.enter(nc); in != nil {
			return in, nil
		}
	}
}

// conn is a connection with a bound on what it may bring and on how long it lives.
type conn struct {
	net.Conn
	crowd *crowd
	from  netip.Prefix
	place *list.Element
	life  *time.Timer
	left  atomic.Int64
	// small and large say that it was let bring a report of either size.
	small, large atomic.Bool
	once         sync.Once
}

// Read reads, until the connection has brought all it may.
func (c *conn) Read(p []byte) (int, error) {
	left := c.left.Load()
	if left <= 0 {
		return 0, io.EOF
	}
	n, err := c.Conn.Read(p[:min(int64(len(p)), left)])
	c.left.Add(int64(-n))
	return n, err
}

// Close closes the connection and makes room.
func (c *conn) Close() error {
	c.once.Do(func() {
		c.crowd.leave(c)
		c.life.Stop()
	})
	return c.Conn.Close()
}
