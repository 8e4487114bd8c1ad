package memnet

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
)

// Network is a set of listeners reached by address. Safe for concurrent use.
type Network struct {
	mu        sync.Mutex // guards all below
	listeners map[netip.AddrPort]*Listener
	holes     map[netip.Addr]bool
	port      uint16 // of the newest client
}

// New makes an empty network.
func New() *Network {
	return &Network{listeners: map[netip.AddrPort]*Listener{}, holes: map[netip.Addr]bool{}, port: 40000}
}

// Listen opens "192.0.2.1:25"; EADDRINUSE when it is open already.
func (n *Network) Listen(address string) (*Listener, error) {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, fmt.Errorf("memnet: cannot listen on %q: %w", address, err)
	}
	l := &Listener{network: n, at: at, accept: make(chan *Conn, 1024), closed: make(chan struct{})}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listeners[at] != nil {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Addr: l.Addr(), Err: syscall.EADDRINUSE}
	}
	n.listeners[at] = l
	return l, nil
}

// Blackhole makes every port of an address swallow connection attempts until their context ends.
func (n *Network) Blackhole(address string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.holes[netip.MustParseAddr(address)] = true
}

// Dialer returns a dialer whose connections come from the address.
func (n *Network) Dialer(from string) *Dialer {
	return &Dialer{network: n, from: netip.MustParseAddr(from)}
}

// Dialer opens connections from one address. Safe for concurrent use.
type Dialer struct {
	network *Network
	from    netip.Addr
}

// DialContext connects to "ip:port". Nobody listening gives ECONNREFUSED; a black hole, ctx's error.
func (d *Dialer) DialContext(ctx context.Context, _, address string) (net.Conn, error) {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: err}
	}
	l, hole, from := d.network.look(at, d.from)
	switch {
	case hole:
		<-ctx.Done()
		return nil, refused(from, at, ctx.Err())
	case ctx.Err() != nil:
		return nil, refused(from, at, ctx.Err())
	case l == nil:
		return nil, refused(from, at, syscall.ECONNREFUSED)
	}
	server, client := pair(net.TCPAddrFromAddrPort(at), net.TCPAddrFromAddrPort(from))
	select {
	case l.accept <- server:
		return client, nil
	case <-l.closed:
		return nil, refused(from, at, syscall.ECONNREFUSED)
	case <-ctx.Done():
		return nil, refused(from, at, ctx.Err())
	}
}

func (n *Network) look(at netip.AddrPort, from netip.Addr) (*Listener, bool, netip.AddrPort) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.port++
	return n.listeners[at], n.holes[at.Addr()], netip.AddrPortFrom(from, n.port)
}

func refused(from, at netip.AddrPort, err error) error {
	return &net.OpError{Op: "dial", Net: "tcp", Source: net.TCPAddrFromAddrPort(from),
		Addr: net.TCPAddrFromAddrPort(at), Err: err}
}

// Listener implements net.Listener.
type Listener struct {
	network *Network
	at      netip.AddrPort
	accept  chan *Conn
	once    sync.Once
	closed  chan struct{}
}

// Accept waits for the next connection; net.ErrClosed after Close.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.accept:
		return c, nil
	case <-l.closed:
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.Addr(), Err: net.ErrClosed}
	}
}

// Close frees the address and cuts connections nobody accepted.
func (l *Listener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.network.mu.Lock()
		delete(l.network.listeners, l.at)
		l.network.mu.Unlock()
		for {
			select {
			case c := <-l.accept:
				c.Reset()
			default:
				return
			}
		}
	})
	return nil
}

// Addr returns the address listened on.
func (l *Listener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.at) }

func tcpAddr(s string) net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(s)) }
