package api

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// guests are the connections at the admin port. There are never more than most, so that whoever comes there takes
// neither the memory nor the descriptors that mail needs. When one more comes, the one goes that has waited for longest
// without a whole request: idle, or half-sent. Where all are being answered, the newcomer hears 503. Safe for
// concurrent use.
type guests struct {
	net.Listener
	most int

	mu   sync.Mutex
	here map[net.Conn]*guest
}

// guest is one connection.
type guest struct {
	since    time.Time // when it came, or when its last answer ended
	answered bool      // a request of it is being answered
}

// DefaultConnections is how many connections the admin port takes where nobody says.
const DefaultConnections = 64

func newGuests(l net.Listener, most int) *guests {
	if most == 0 {
		most = DefaultConnections
	}
	return &guests{Listener: l, most: most, here: map[net.Conn]*guest{}}
}

// Accept returns the next connection that there is a place for.
func (g *guests) Accept() (net.Conn, error) {
	for {
		c, err := g.Listener.Accept()
		if err != nil || g.enter(c) {
			return c, err
		}
		sorry(c)
	}
}

// enter finds a place for a connection.
func (g *guests) enter(c net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.here) >= g.most {
		oldest := g.oldest()
		if oldest == nil {
			return false
		}
		delete(g.here, oldest)
		_ = oldest.Close() // its goroutine ends with it
	}
	g.here[c] = &guest{since: time.Now()}
	return true
}

// oldest is the connection that has waited for longest, nil where none waits. The caller holds the lock.
func (g *guests) oldest() (out net.Conn) {
	for c, one := range g.here {
		if !one.answered && (out == nil || one.since.Before(g.here[out].since)) {
			out = c
		}
	}
	return out
}

// sorry tells a newcomer that there is no place. Over TLS that would take a handshake; it is just closed there.
func sorry(c net.Conn) {
	if _, plain := c.(*net.TCPConn); plain {
		_ = c.SetWriteDeadline(time.Now().Add(time.Second)) // shows at the write
		_, _ = c.Write([]byte("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Type: " +
			// best effort
			"text/plain\r\nConnection: close\r\n\r\nAs many requests as the admin port takes (admin.connections) are " +
			"being answered. Try again in a moment.\n"))
	}
	_ = c.Close() // nothing was read
}

// state is told by the server what becomes of a connection.
func (g *guests) state(c net.Conn, s http.ConnState) {
	if s == http.StateClosed || s == http.StateHijacked {
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.here, c)
	}
}

type guestKey struct{}

// answering notes, around a handler, that a connection's request is being answered.
func (g *guests) answering(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, _ := r.Context().Value(guestKey{}).(net.Conn)
		g.mark(c, true)
		defer g.mark(c, false)
		boundBody(w, r)
		next.ServeHTTP(w, r)
	})
}

// boundBody bounds the time for the body of a request, and for nothing else: a deadline that stays behind it ends the
// context of an answer that takes longer, a check or a stream.
func boundBody(w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	if r.Body == nil || r.Body == http.NoBody {
		_ = control.SetReadDeadline(time.Time{}) // not every writer can; then the server's holds
		return
	}
	_ = control.SetReadDeadline(time.Now().Add(bodyTime(r))) // likewise
	r.Body = &timedBody{ReadCloser: r.Body, whole: func() { _ = control.SetReadDeadline(time.Time{}) }}
}

// timedBody calls whole when the body was read to its end.
type timedBody struct {
	io.ReadCloser
	whole func()
}

// Read reads.
func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		b.whole()
	}
	return n, err
}

func (g *guests) mark(c net.Conn, answered bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if one := g.here[c]; one != nil {
		one.answered, one.since = answered, time.Now()
	}
}

// bodyTime is how long the body of a request may take.
func bodyTime(r *http.Request) time.Duration {
	if r.ContentLength > SmallBody || r.ContentLength < 0 {
		return time.Minute
	}
	return 10 * time.Second
}

// SmallBody bounds the body of every request at the admin port but the upload of rules by somebody who is known.
const SmallBody = 64 << 10

// withGuest lets answering find the connection.
func withGuest(ctx context.Context, c net.Conn) context.Context {
	return withPeer(context.WithValue(ctx, guestKey{}, c), c)
}
