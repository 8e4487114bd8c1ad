package balancer

import (
	"cmp"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"postern/internal/event"
	"postern/internal/platform/publicaddr"
)

// Waiting is how many connections of one listener may wait for their header at a time.
const Waiting = 256

// tellPause is how often a balancer that is set up wrongly is told of in the log.
const tellPause = time.Minute

// Config is what a Listener needs. Networks and Sink must be set.
type Config struct {
	// Networks are those whose connections begin with a header.
	Networks []netip.Prefix
	// Wait is how long a header may take; 0 means five seconds.
	Wait time.Duration
	// Listener names this one in events.
	Listener string
	Sink     event.Sink
}

// Listener is a net.Listener whose connections have their client's address. Safe for concurrent use.
type Listener struct {
	net.Listener
	cfg   Config
	start sync.Once
	ready chan accepted
	done  chan struct{} // closed by Close
	group sync.WaitGroup

	mu      sync.Mutex // guards all below
	closed  bool
	waiting map[net.Conn]bool
	told    time.Time // when a refusal was last told of aloud
}

// accepted is what Accept returns.
type accepted struct {
	nc  net.Conn
	err error
}

// New returns a listener in front of another, which it closes with itself. It starts nothing before the first Accept.
func New(l net.Listener, cfg Config) *Listener {
	cfg.Wait = cmp.Or(cfg.Wait, 5*time.Second)
	cfg.Networks = publicaddr.Unmapped(cfg.Networks)
	return &Listener{Listener: l, cfg: cfg, ready: make(chan accepted), done: make(chan struct{}),
		waiting: map[net.Conn]bool{}}
}

// Accept returns the next connection of which is known who the client is.
func (l *Listener) Accept() (net.Conn, error) {
	l.start.Do(l.begin)
	select {
	case a := <-l.ready:
		return a.nc, a.err
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// begin starts taking connections, unless the listener was closed before.
func (l *Listener) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.group.Go(l.run)
	}
}

// Close closes the listener and every connection that waits for its header. It returns when nothing runs any more.
func (l *Listener) Close() error {
	l.mu.Lock()
	first := !l.closed
	l.closed = true
	if first {
		close(l.done)
	}
	for nc := range l.waiting {
		_ = nc.Close() // it was told nothing
	}
	l.mu.Unlock()
	err := l.Listener.Close()
	l.group.Wait()
	return err
}

// run takes connections until the listener is closed. An error is handed on like a connection, so whoever accepts says
// how long to pause.
func (l *Listener) run() {
	for {
		nc, err := l.Listener.Accept()
		switch {
		case err != nil:
			if !l.hand(accepted{err: err}) || errors.Is(err, net.ErrClosed) {
				return
			}
		case !l.named(nc.RemoteAddr()):
			l.hand(accepted{nc: nc})
		case l.enter(nc):
			l.group.Go(func() { l.introduce(nc) })
		}
	}
}

// hand gives something to whoever accepts, and reports whether anybody took it.
func (l *Listener) hand(a accepted) bool {
	select {
	case l.ready <- a:
		return true
	case <-l.done:
		if a.nc != nil {
			_ = a.nc.Close() // nobody serves it any more
		}
		return false
	}
}

// named reports whether an address is one of a balancer.
func (l *Listener) named(a net.Addr) bool {
	at := addressOf(a)
	return slices.ContainsFunc(l.cfg.Networks, func(n netip.Prefix) bool { return n.Contains(at) })
}

// addressOf is the address that networks are held against.
func addressOf(a net.Addr) netip.Addr {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return t.AddrPort().Addr().Unmap().WithZone("")
}

// enter lets a connection wait for its header; false says that it was closed.
func (l *Listener) enter(nc net.Conn) bool {
	l.mu.Lock()
	room := len(l.waiting) < Waiting
	if room && !l.closed {
		l.waiting[nc] = true
		l.mu.Unlock()
		return true
	}
	l.mu.Unlock()
	_ = nc.Close() // it was told nothing
	if !room {
		l.refuse(nc, errFull)
	}
	return false
}

// leave takes a connection out that waited.
func (l *Listener) leave(nc net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.waiting, nc)
}

// aloud reports whether a refusal at a time is told of in a warning.
func (l *Listener) aloud(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || !l.told.IsZero() && now.Sub(l.told) < tellPause {
		return false
	}
	l.told = now
	return true
}
