package balancer_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/event"
	"postern/internal/gateway/balancer"
	"postern/internal/lab/pki"
	"postern/internal/lab/testkit/memnet"
	"postern/internal/smtp"
	"postern/internal/smtp/smtpserver"
)

const (
	at     = "192.0.2.1:25"
	haIP   = "10.0.0.10" // the balancer
	hdr    = "PROXY TCP4 198.51.100.7 192.0.2.80 42578 25\r\n"
	octets = "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc6\x33\x64\x07\xc0\x00\x02\x50\xa6\x52\x00\x19"
	local  = "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"
)

// sink keeps what it is told.
type sink struct {
	mu   sync.Mutex
	told []event.ProxyRefused
}

func (s *sink) Emit(e event.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = append(s.told, e.(event.ProxyRefused))
}

// all is what it was told.
func (s *sink) all() []event.ProxyRefused {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.told)
}

// world is a listener behind a balancer's header in a bubble.
type world struct {
	t    *testing.T
	n    *memnet.Network
	l    *balancer.Listener
	sink *sink
}

func in(t *testing.T, do func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New()
		inner, err := n.Listen(at)
		if err != nil {
			t.Fatal(err)
		}
		s := &sink{}
		networks := []netip.Prefix{netip.MustParsePrefix("10.0.0.10/32"), netip.MustParsePrefix("::ffff:10.0.1.0/120"), netip.MustParsePrefix("2001:db8::/64")}
		l := balancer.New(inner, balancer.Config{Networks: networks, Listener: "world", Sink: s})
		do(&world{t, n, l, s})
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
}

func (w *world) dial(from string) net.Conn {
	nc, err := w.n.Dialer(from).DialContext(context.Background(), "tcp", at)
	if err != nil {
		w.t.Fatal(err)
	}
	return nc
}

// accept returns the next connection in a while, nil if there is none.
func (w *world) accept() net.Conn {
	var nc net.Conn
	done := make(chan struct{})
	go func() {
		defer close(done)
		nc, _ = w.l.Accept()
	}()
	select {
	case <-done:
		return nc
	case <-time.After(time.Minute):
		w.l.Close()
		<-done
		return nil
	}
}

func TestWhoAClientIs(t *testing.T) {
	for name, c := range map[string]struct {
		from, says, client, server, left string
	}{
		"version 1":                   {haIP, hdr, "198.51.100.7:42578", "192.0.2.80:25", ""},
		"version 2":                   {haIP, octets, "198.51.100.7:42578", "192.0.2.80:25", ""},
		"with the first command":      {haIP, hdr + "EHLO c.test\r\n", "198.51.100.7:42578", "192.0.2.80:25", "EHLO c.test\r\n"},
		"with a long message":         {haIP, octets + strings.Repeat("x", 9000), "198.51.100.7:42578", "192.0.2.80:25", strings.Repeat("x", 9000)},
		"a check":                     {haIP, local + "EHLO check\r\n", haIP, at, "EHLO check\r\n"},
		"a check in version 1":        {haIP, "PROXY UNKNOWN\r\n", haIP, at, ""},
		"a network in IPv6 clothes":   {"10.0.1.200", octets, "198.51.100.7:42578", "192.0.2.80:25", ""},
		"a balancer by IPv6":          {"2001:db8::5", octets, "198.51.100.7:42578", "192.0.2.80:25", ""},
		"in IPv6 clothes":             {"::ffff:10.0.0.10", octets, "198.51.100.7:42578", "192.0.2.80:25", ""},
		"a stranger":                  {"203.0.113.9", hdr, "203.0.113.9", at, hdr},
		"a stranger, octets":          {"10.0.0.11", octets, "10.0.0.11", at, octets},
		"a stranger who says nothing": {"203.0.113.9", "", "203.0.113.9", at, ""},
		"two headers":                 {haIP, octets + hdr, "198.51.100.7:42578", "192.0.2.80:25", hdr},
	} {
		for _, pieces := range []bool{false, true} {
			in(t, func(w *world) {
				nc := w.dial(c.from)
				go func() {
					defer nc.Close()
					if !pieces {
						io.WriteString(nc, c.says)
						return
					}
					for i := range len(c.says) {
						io.WriteString(nc, c.says[i:i+1])
						if i < 300 {
							time.Sleep(time.Millisecond)
						}
					}
				}()
				got := w.accept()
				if got == nil {
					t.Errorf("%s: no connection: %+v", name, w.sink.all())
					return
				}
				if r := got.RemoteAddr().String(); r != c.client && !strings.HasPrefix(r, c.client+":") && !strings.HasPrefix(r, "["+c.client+"]:") {
					t.Errorf("%s: the client is %s, want %s", name, r, c.client)
				}
				if s := got.LocalAddr().String(); s != c.server {
					t.Errorf("%s: the server is %s, want %s", name, s, c.server)
				}
				left, err := io.ReadAll(got) // the time for the header must not count any more
				if string(left) != c.left || err != nil {
					t.Errorf("%s: after the header come %q, %v, want %q", name, left, err, c.left)
				}
				got.Close()
				if len(w.sink.all()) > 0 {
					t.Errorf("%s: told %+v", name, w.sink.all())
				}
			})
		}
	}
}

func TestWithoutAHeaderABalancerIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		says       string
		stays      bool // the connection is not closed by the other side
		text, hint string
		check      bool
	}{
		"a command":          {"EHLO c.test\r\n", true, "no PROXY header", "send-proxy-v2", false},
		"TLS":                {"\x16\x03\x01\x02\x00\x01", true, "no PROXY header", "send-proxy-v2", false},
		"nothing":            {"", true, "in time", "on_first_ack", false},
		"nothing, and gone":  {"", false, "before a word", "", true},
		"half of a header":   {"PROXY TCP4 198.5", true, "in time", "limits.proxy_timeout", false},
		"half, and gone":     {octets[:20], false, "ended inside", "version 1 or 2", false},
		"a UNIX socket":      {"\r\n\r\n\x00\r\nQUIT\n\x21\x31\x00\x01x", true, "UNIX socket", "version 1 or 2", false},
		"one without an end": {"PROXY TCP4 " + strings.Repeat("9", 5000), true, "107 octets", "version 1 or 2", false},
		"one far too long":   {octets[:14] + "\xff\xff", true, "4096", "version 1 or 2", false},
	} {
		in(t, func(w *world) {
			began := time.Now()
			nc := w.dial(haIP)
			go io.WriteString(nc, c.says)
			synctest.Wait()
			if !c.stays {
				nc.Close()
			}
			go w.l.Accept()
			if c.stays {
				if b, err := io.ReadAll(nc); len(b) > 0 || time.Since(began) > 5*time.Second {
					t.Errorf("%s: closed after %v with %q, %v", name, time.Since(began), b, err)
				}
			}
			synctest.Wait()
			if len(w.sink.all()) != 1 {
				t.Fatalf("%s: told %+v", name, w.sink.all())
			}
			e := w.sink.all()[0]
			if e.Listener != "world" || e.Balancer.String() != haIP || e.Check != c.check || e.Again ||
				!strings.Contains(e.Text, c.text) || !strings.Contains(e.Hint, c.hint) || (e.Hint == "") != c.check {
				t.Errorf("%s: told %+v", name, e)
			}
			nc.Close()
		})
	}
}

func TestABalancerThatIsSetUpWronglyFillsNoLog(t *testing.T) {
	in(t, func(w *world) {
		go w.l.Accept()
		aloud := 0
		for range 150 { // every two seconds, for five minutes
			nc := w.dial(haIP)
			io.WriteString(nc, "EHLO check\r\n")
			io.ReadAll(nc)
			nc.Close()
			time.Sleep(2 * time.Second)
		}
		for _, e := range w.sink.all() {
			if !e.Again {
				aloud++
			}
		}
		if len(w.sink.all()) != 150 || aloud != 5 {
			t.Errorf("%d refusals, of which %d aloud, want 150 and 5", len(w.sink.all()), aloud)
		}
	})
}

func TestConnectionsThatWaitAreBounded(t *testing.T) {
	in(t, func(w *world) {
		go w.l.Accept() // the first connection that has a header
		var all []net.Conn
		for range balancer.Waiting + 10 {
			all = append(all, w.dial(haIP))
		}
		synctest.Wait()
		if len(w.sink.all()) != 10 || !strings.Contains(w.sink.all()[0].Text, "256 connections wait") {
			t.Errorf("told %d times: %+v", len(w.sink.all()), w.sink.all())
		}
		time.Sleep(6 * time.Second) // they are closed, and others come in
		nc := w.dial(haIP)
		io.WriteString(nc, hdr)
		synctest.Wait()
		if len(w.sink.all()) != balancer.Waiting+10 {
			t.Errorf("told %d times", len(w.sink.all()))
		}
		for _, nc := range append(all, nc) {
			nc.Close()
		}
	})
}

func TestCloseEndsAllThatWaits(t *testing.T) {
	in(t, func(w *world) {
		var all []net.Conn
		result := make(chan error)
		go func() {
			_, err := w.l.Accept()
			result <- err
		}()
		for range 3 {
			nc := w.dial(haIP)
			io.WriteString(nc, "PROXY TC")
			all = append(all, nc)
		}
		synctest.Wait()
		w.l.Close()
		if err := <-result; !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		for _, nc := range all {
			if b, err := io.ReadAll(nc); len(b) > 0 || err != nil && !errors.Is(err, io.EOF) {
				t.Logf("%q %v", b, err)
			}
			nc.Close()
		}
		if _, err := w.l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
}

// faulty is a listener that cannot accept twice.
type faulty struct {
	net.Listener
	left int
}

func (f *faulty) Accept() (net.Conn, error) {
	if f.left--; f.left >= 0 {
		return nil, errors.New("too many open files")
	}
	return f.Listener.Accept()
}

func TestFaultsAreHandedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New()
		inner, _ := n.Listen(at)
		l := balancer.New(&faulty{inner, 2}, balancer.Config{Sink: &sink{}})
		for range 2 {
			if _, err := l.Accept(); err == nil || errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
		}
		nc, err := n.Dialer("203.0.113.9").DialContext(context.Background(), "tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		if got, err := l.Accept(); err != nil {
			t.Error(err)
		} else {
			got.Close()
		}
		l.Close()
	})
}

// What the engine sees: the client's address before the first octet of TLS.
func TestTheHeaderIsReadBeforeTLS(t *testing.T) {
	in(t, func(w *world) {
		ca := pki.New(time.Now(), "Test")
		var mu sync.Mutex
		var seen []smtpserver.ConnInfo
		srv, err := smtpserver.New(smtpserver.Config{Hostname: "gw.test", Mode: smtpserver.SMTPS,
			TLS: &tls.Config{Certificates: []tls.Certificate{ca.Issue(pki.Options{Names: []string{"gw.test"}}).TLS}},
			NewSession: func(_ context.Context, c *smtpserver.Conn) (smtpserver.Session, *smtp.Reply) {
				mu.Lock()
				defer mu.Unlock()
				seen = append(seen, c.Info())
				return nil, &smtp.Reply{Code: 554, Lines: []string{"enough"}}
			}})
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error)
		go func() { done <- srv.Serve(w.l) }()
		nc := w.dial(haIP)
		io.WriteString(nc, octets)
		tc := tls.Client(nc, &tls.Config{InsecureSkipVerify: true})
		greeting := make([]byte, 8)
		if _, err := io.ReadFull(tc, greeting); err != nil || string(greeting) != "554 enou" {
			t.Errorf("%q, %v", greeting, err)
		}
		nc.Close()
		synctest.Wait()
		if len(seen) != 1 || seen[0].Client.String() != "198.51.100.7:42578" || seen[0].Server.String() != "192.0.2.80:25" || seen[0].TLS == nil {
			t.Errorf("%+v", seen)
		}
		if err := srv.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		<-done
	})
}
