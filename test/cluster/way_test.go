package cluster

import (
	"net"
	"net/url"
	"slices"
	"sync"
	"testing"
)

// state is what a way lets through.
type state int

const (
	open   state = iota
	cut          // every connection ends, and no new one begins
	silent       // nothing gets through, and nobody is told; what was on its way goes on afterwards
)

// way is the way of one gateway to the database: what connects to it is passed on while it is open.
type way struct {
	l      net.Listener
	target string

	mu      sync.Mutex // guards what follows
	changed *sync.Cond
	is      state
	links   map[*link]bool
}

// link is one connection over a way.
type link struct {
	client, server net.Conn
	hangs          bool // nothing gets through, whatever the way is
}

// wayTo opens a way and returns it with the address of the database over it.
func wayTo(t *testing.T, address string) (*way, string) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &way{l: l, target: u.Host, links: map[*link]bool{}}
	w.changed = sync.NewCond(&w.mu)
	go w.serve()
	t.Cleanup(func() {
		l.Close()
		w.set(cut)
	})
	u.Host = l.Addr().String()
	return w, u.String()
}

// set changes what gets through.
func (w *way) set(s state) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.is = s
	if s == cut {
		for c := range w.links {
			c.client.Close()
			c.server.Close()
		}
	}
	w.changed.Broadcast()
}

func (w *way) serve() {
	for {
		c, err := w.l.Accept()
		if err != nil {
			return
		}
		go w.relay(c)
	}
}

// hang has every connection hang that there is now, but for those from some ports to the database. New ones do not.
func (w *way) hang(but []int64) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.links {
		if !slices.Contains(but, int64(c.server.LocalAddr().(*net.TCPAddr).Port)) {
			c.hangs = true
			n++
		}
	}
	return n
}

// passes waits while nothing gets through and reports whether the way is open.
func (w *way) passes(c *link) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.is == silent || c.hangs && w.is != cut {
		w.changed.Wait()
	}
	return w.is == open
}

func (w *way) relay(client net.Conn) {
	defer client.Close()
	c := &link{client: client}
	if !w.passes(c) {
		return
	}
	var err error
	if c.server, err = net.Dial("tcp", w.target); err != nil {
		return
	}
	defer c.server.Close()
	w.mu.Lock()
	w.links[c] = true
	w.mu.Unlock()
	ended := make(chan struct{}, 2)
	for from, to := range map[net.Conn]net.Conn{client: c.server, c.server: client} {
		go func() {
			w.pass(c, from, to)
			ended <- struct{}{}
		}()
	}
	<-ended
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.links, c)
}

func (w *way) pass(c *link, from, to net.Conn) {
	some := make([]byte, 32<<10)
	for {
		n, err := from.Read(some)
		if n > 0 && w.passes(c) {
			if _, err := to.Write(some[:n]); err != nil {
				return
			}
		}
		if err != nil || !w.passes(c) {
			return
		}
	}
}
