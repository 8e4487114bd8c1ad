package endurance

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/internal/lab/pki"
)

// stages are where a peer can misbehave, in the order in which a session comes to them. "." is the answer to content.
var stages = []string{"greeting", "EHLO", "STARTTLS", "handshake", "MAIL", "RCPT", "DATA", ".", "QUIT"}

// faults are how.
var faults = []string{"hangs", "closes", "garbage", "drips", "endless"}

// crooked is a mail server with one fault at one stage, until it is mended.
type crooked struct {
	stage, fault string
	tls          *tls.Config
	l            net.Listener

	mu     sync.Mutex // guards what follows
	mended bool
	conns  map[net.Conn]bool
	most   int // connections at a time
	taken  int
}

func newCrooked(t *testing.T, stage, fault string, cfg *tls.Config) *crooked {
	p := &crooked{stage: stage, fault: fault, tls: cfg, l: listen(t), conns: map[net.Conn]bool{}}
	go func() {
		for {
			nc, err := p.l.Accept()
			if err != nil {
				return
			}
			p.mu.Lock()
			p.conns[nc] = true
			p.most = max(p.most, len(p.conns))
			p.mu.Unlock()
			go func() {
				p.serve(nc)
				nc.Close()
				p.mu.Lock()
				defer p.mu.Unlock()
				delete(p.conns, nc)
			}()
		}
	}()
	t.Cleanup(p.mend)
	return p
}

// mend ends the fault, and the sessions it holds.
func (p *crooked) mend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mended = true
	for nc := range p.conns {
		nc.Close()
	}
}

func (p *crooked) sound(stage string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mended || p.stage != stage
}

// misbehave does what the fault is instead of answering; false ends the session.
func (p *crooked) misbehave(nc net.Conn) bool {
	switch p.fault {
	case "hangs":
		_, _ = io.Copy(io.Discard, nc) // until it is cut
	case "garbage":
		fmt.Fprint(nc, "\x00\xff~!\r\n999 what\r\n25 0\r\n")
	case "drips":
		for range 3600 {
			if _, err := nc.Write([]byte("2")); err != nil {
				return false
			}
			time.Sleep(time.Second)
		}
	case "endless":
		line := strings.Repeat("250-"+strings.Repeat("x", 200)+"\r\n", 100)
		for {
			if _, err := io.WriteString(nc, line); err != nil {
				return false
			}
		}
	}
	return false
}

func (p *crooked) serve(nc net.Conn) {
	r := bufio.NewReader(nc)
	answer := func(stage, reply string) bool {
		if !p.sound(stage) {
			return p.misbehave(nc)
		}
		_, err := fmt.Fprint(nc, reply)
		return err == nil
	}
	if !answer("greeting", "220 peer.test\r\n") {
		return
	}
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		verb, _, _ := strings.Cut(strings.ToUpper(strings.TrimSpace(line)), " ")
		switch verb {
		case "EHLO":
			if !answer(verb, "250-peer.test\r\n250 STARTTLS\r\n") {
				return
			}
		case "STARTTLS":
			if !answer(verb, "220 go ahead\r\n") || !p.sound("handshake") && !p.misbehave(nc) {
				return
			}
			tc := tls.Server(nc, p.tls)
			if tc.Handshake() != nil {
				return
			}
			nc, r = tc, bufio.NewReader(tc)
		case "DATA":
			if !answer(verb, "354 go on\r\n") {
				return
			}
			if _, err := content(r); err != nil {
				return
			}
			p.mu.Lock()
			p.taken++
			p.mu.Unlock()
			if !answer(".", "250 taken\r\n") {
				return
			}
		case "QUIT":
			answer(verb, "221 bye\r\n")
			return
		default:
			if !answer(verb, "250 ok\r\n") {
				return
			}
		}
	}
}

// A peer that is broken at any stage, in any way, keeps its own mail waiting and nobody else's: the message is not
// returned, healthy sites go on, and once the peer is mended it gets its message, once.
func TestBrokenPeersHarmNobodyElse(t *testing.T) {
	t.Parallel()
	s := newSink(t)
	g := newGateway(t, "")
	cfg := &tls.Config{Certificates: []tls.Certificate{g.ca.Issue(pki.Options{Names: []string{"peer.test"}}).TLS}}
	g.more = append(g.more, fmt.Sprintf("[[route]]\nmatch = [\"shop.test\", \"far.test\"]\nto = [%q]\n", s.addr()))
	peers := map[string]*crooked{}
	for i, stage := range stages {
		for _, fault := range faults {
			domain := fmt.Sprintf("s%d-%s.test", i, fault)
			peers[domain] = newCrooked(t, stage, fault, cfg)
			g.more = append(g.more, fmt.Sprintf("[[route]]\nmatch = [%q]\nto = [%q]\n", domain, peers[domain].l.Addr()))
		}
	}
	closed := freeAddress(t) // and one that refuses connections
	g.more = append(g.more, fmt.Sprintf("[[route]]\nmatch = [\"closed.test\"]\nto = [%q]\n", closed))
	g.start()
	for domain := range peers {
		if err := g.send(domain+".", "x", "bob@"+domain); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.send("closed.", "x", "bob@closed.test"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(either(4*time.Second, 10*time.Minute)) // attempts, time-outs, retries
	for i := range 10 {
		mark := fmt.Sprintf("healthy-%d.", i)
		began := time.Now()
		if err := g.send(mark, "x", "bob@shop.test"); err != nil {
			t.Fatal(err)
		}
		s.arrived(t, []string{mark}, patience, 0)
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("mail to a healthy site took %v", took)
		}
	}
	if rss := g.resident(); rss > 200<<20 {
		t.Errorf("%d MiB are resident", rss>>20)
	}
	for domain, p := range peers {
		p.mu.Lock()
		if p.most > 5 {
			t.Errorf("%s (%s at %s) has %d connections at a time", domain, p.fault, p.stage, p.most)
		}
		p.mu.Unlock()
		p.mend()
	}
	eventually(t, 2*patience, "every mended peer gets its message", func() bool {
		for _, p := range peers {
			p.mu.Lock()
			taken := p.taken
			p.mu.Unlock()
			if taken == 0 {
				return false
			}
		}
		return true
	})
	eventually(t, patience, "only the closed site waits", func() bool { return g.waiting() == 1 })
	var twice []string
	for domain, p := range peers {
		if p.taken > 1 && p.stage != "." {
			twice = append(twice, fmt.Sprintf("%s: %d times (%s at %s)", domain, p.taken, p.fault, p.stage))
		}
	}
	slices.Sort(twice)
	if len(twice) > 0 {
		t.Errorf("taken more than once: %q", twice)
	}
	if different, _ := s.taken(); different != 10 {
		t.Errorf("%d messages at the healthy site, 10 were sent: a notice was written", different)
	}
}
