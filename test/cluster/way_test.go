package cluster

import (
	"net"
	"net/url"
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
	conns   map[net.Conn]bool
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
	w := &way{l: l, target: u.Host, conns: map[net.Conn]bool{}}
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
		for c := range w.conns {
			c.Close()
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

// passes waits while the way is silent and reports whether it is open.
func (w *way) passes() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.is == silent {
		w.changed.Wait()
	}
	return w.is == open
}

func (w *way) relay(client net.Conn) {
	defer client.Close()
	if !w.passes() {
		return
	}
	server, err := net.Dial("tcp", w.target)
	if err != nil {
		return
	}
	defer server.Close()
	w.mu.Lock()
	w.conns[client], w.conns[server] = true, true
	w.mu.Unlock()
	ended := make(chan struct{}, 2)
	for from, to := range map[net.Conn]net.Conn{client: server, server: client} {
		go func() {
			w.pass(from, to)
			ended <- struct{}{}
		}()
	}
	<-ended
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.conns, client)
	delete(w.conns, server)
}

func (w *way) pass(from, to net.Conn) {
	some := make([]byte, 32<<10)
	for {
		n, err := from.Read(some)
		if n > 0 && w.passes() {
			if _, err := to.Write(some[:n]); err != nil {
				return
			}
		}
		if err != nil || !w.passes() {
			return
		}
	}
}
