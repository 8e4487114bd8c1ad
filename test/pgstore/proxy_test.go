package pgstore

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// moment is when a proxy cuts a connection.
type moment int

const (
	never  moment = iota
	before        // the server never hears of the COMMIT
	after         // the server has committed, and its answer is lost
)

// proxy stands between a store and the server, and cuts connections at COMMIT.
type proxy struct {
	t      testing.TB
	l      net.Listener
	target string

	mu    sync.Mutex
	cut   moment // the next COMMIT
	cuts  int    // how many were made
	shut  bool   // nobody gets through
	mute  bool   // the first question of each new connection gets no answer
	away  int    // so many were sent away since sever
	conns map[net.Conn]bool
}

// through starts a proxy and returns the address of the database through it.
func through(t testing.TB, address string) (*proxy, string) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{t: t, l: l, target: u.Host, conns: map[net.Conn]bool{}}
	go p.serve()
	t.Cleanup(func() {
		l.Close()
		p.sever(true)
	})
	u.Host = l.Addr().String()
	return p, u.String()
}

func (p *proxy) serve() {
	for {
		c, err := p.l.Accept()
		if err != nil {
			return
		}
		go p.relay(c)
	}
}

// next has the next COMMIT cut, and then lets nobody through if shut.
func (p *proxy) next(m moment, shut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut, p.shut, p.cuts = m, false, 0
	if shut {
		p.cuts = -1
	}
}

// made counts the cuts since next.
func (p *proxy) made() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cuts
}

// sever cuts every connection, and lets new ones through or not.
func (p *proxy) sever(shut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shut, p.away = shut, 0
	for c := range p.conns {
		c.Close()
	}
}

// sentAway counts who did not get through since sever.
func (p *proxy) sentAway() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.away
}

// take tells whether a COMMIT is to be cut at a moment.
func (p *proxy) take(m moment) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cut != m {
		return false
	}
	p.shut = p.cuts < 0
	p.cut, p.cuts = never, max(p.cuts, 0)+1
	return true
}

func (p *proxy) relay(client net.Conn) {
	server, err := net.Dial("tcp", p.target)
	p.mu.Lock()
	if err != nil || p.shut {
		p.away++
		p.mu.Unlock()
		client.Close()
		if err == nil {
			server.Close()
		}
		return
	}
	p.conns[client], p.conns[server] = true, true
	p.mu.Unlock()
	end := sync.OnceFunc(func() {
		client.Close()
		server.Close()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.conns, client)
		delete(p.conns, server)
	})
	go func() {
		p.answers(client, server)
		end()
	}()
	p.asks(client, server)
	end()
}

// asks passes on what the client sends: a start-up message, and then messages of a letter, a length and a content. The
// statement COMMIT is prepared under a name, which its execution names.
func (p *proxy) asks(client, server net.Conn) {
	head := make([]byte, 8)
	if _, err := io.ReadFull(client, head); err != nil {
		return
	}
	rest := make([]byte, binary.BigEndian.Uint32(head)-8)
	if _, err := io.ReadFull(client, rest); err != nil {
		return
	}
	if _, err := server.Write(append(head, rest...)); err != nil {
		return
	}
	var commit []byte
	for {
		m, err := message(client)
		if err != nil {
			return
		}
		name, text, _ := bytes.Cut(m[5:], []byte{0})
		if m[0] == 'P' && bytes.HasPrefix(text, []byte("COMMIT\x00")) {
			commit = append([]byte{}, name...)
		}
		if m[0] == 'B' && commit != nil && bytes.HasPrefix(text, append(commit, 0)) && p.take(before) {
			return
		}
		if m[0] == 'Q' && p.swallows() {
			continue
		}
		if _, err := server.Write(m); err != nil {
			return
		}
	}
}

func (p *proxy) swallows() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mute
}

// silence has questions in simple form, as the first of each connection is, answered or not.
func (p *proxy) silence(mute bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mute = mute
}

// answers passes on what the server answers.
func (p *proxy) answers(client, server net.Conn) {
	for {
		m, err := message(server)
		if err != nil {
			return
		}
		if m[0] == 'C' && bytes.HasPrefix(m[5:], []byte("COMMIT")) && p.take(after) {
			return
		}
		if _, err := client.Write(m); err != nil {
			return
		}
	}
}

// message reads a message with its letter and length.
func message(from io.Reader) ([]byte, error) {
	head := make([]byte, 5)
	if _, err := io.ReadFull(from, head); err != nil {
		return nil, err
	}
	out := make([]byte, 1+binary.BigEndian.Uint32(head[1:]))
	copy(out, head)
	_, err := io.ReadFull(from, out[5:])
	return out, err
}
