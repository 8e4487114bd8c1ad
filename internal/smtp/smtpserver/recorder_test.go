package smtpserver_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/internal/lab/pki"
	"postern/internal/lab/testkit/memnet"
	"postern/internal/mail"
	"postern/internal/smtp"
	"postern/internal/smtp/smtpserver"
)

// recorder is a Session factory that writes down what it was told. The local part of an address scripts the answers:
// "refuse" 550, "later" 450, "cut" 421, "panic" panics; a sender "full" refuses the content without reading it, "half"
// after one octet, and "liar" answers success without reading it.
type recorder struct {
	mu     sync.Mutex
	log    []string
	opened int
	closed int
}

func (r *recorder) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log = append(r.log, fmt.Sprintf(format, args...))
}

func (r *recorder) lines() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.log, "\n")
}

func (r *recorder) open(_ context.Context, c *smtpserver.Conn) (smtpserver.Session, *smtp.Reply) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.opened++
	return &recording{r: r, c: c}, nil
}

type recording struct {
	r     *recorder
	c     *smtpserver.Conn
	env   mail.Envelope
	size  int64
	rcpts []string
}

func reply(code int, status, text string) *smtp.Reply {
	return &smtp.Reply{Code: code, Status: status, Lines: []string{text}}
}

func (s *recording) Auth(_ context.Context, user, password string) *smtp.Reply {
	if password != "secret" {
		return reply(535, "5.7.8", "wrong")
	}
	s.r.note("login %s", user)
	return nil
}

func (s *recording) Mail(_ context.Context, e mail.Envelope, size int64) *smtp.Reply {
	s.env, s.size, s.rcpts = e, size, nil
	return scripted(e.From)
}

func scripted(a mail.Address) *smtp.Reply {
	switch a.Local {
	case "refuse":
		return reply(550, "5.7.1", "no")
	case "later":
		return reply(450, "4.2.0", "not now")
	case "cut":
		return reply(421, "4.3.2", "go away")
	case "panic":
		panic("a bug")
	case "worded":
		return reply(250, "2.1.5", "as you wish")
	}
	return nil
}

func (s *recording) Rcpt(_ context.Context, r mail.Recipient) *smtp.Reply {
	if no := scripted(r.Address); no != nil {
		return no
	}
	to := r.Address.String()
	if r.Notify != 0 || r.ORCPT != "" {
		to += fmt.Sprintf(" notify=%d orcpt=%s", r.Notify, r.ORCPT)
	}
	s.rcpts = append(s.rcpts, to)
	return nil
}

func (s *recording) Data(_ context.Context, c *smtpserver.Content) *smtp.Reply {
	switch s.env.From.Local {
	case "full":
		return reply(452, "4.3.1", "full")
	case "half":
		c.Read(make([]byte, 1))
		return reply(451, "4.3.0", "broken")
	case "liar":
		return nil
	}
	content, err := io.ReadAll(c)
	if err != nil {
		s.r.note("aborted %v", err)
		return reply(250, "2.0.0", "a success that must not be heard")
	}
	text := fmt.Sprintf("%q", content)
	if len(content) > 200 {
		text = fmt.Sprintf("%d octets", len(content))
	}
	extra := ""
	if s.env != (mail.Envelope{From: s.env.From, RequireTLS: s.env.RequireTLS}) {
		extra = fmt.Sprintf(" body=%s utf8=%v ret=%s envid=%s", s.env.Body, s.env.UTF8, s.env.Ret, s.env.EnvID)
	}
	if s.env.RequireTLS {
		extra += " requiretls"
	}
	if s.size > 0 {
		extra += fmt.Sprintf(" size=%d", s.size)
	}
	if c.EightBit() {
		extra += " 8bit"
	}
	i := s.c.Info()
	if i.User != "" {
		extra += " user=" + i.User
	}
	s.r.note("%s helo=%s from=<%s> to=<%s>%s %s", i.Protocol, i.Helo, s.env.From, strings.Join(s.rcpts, ">,<"), extra, text)
	return nil
}

func (s *recording) Reset() { s.env, s.rcpts = mail.Envelope{}, nil }

func (s *recording) Close() {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	s.r.closed++
}

// world is a server over a network in memory. Make it inside the bubble.
type world struct {
	t    *testing.T
	net  *memnet.Network
	srv  *smtpserver.Server
	rec  *recorder
	ca   *pki.CA
	done chan struct{}
}

const at = "192.0.2.1:25"

func newWorld(t *testing.T, change func(*smtpserver.Config)) *world {
	t.Helper()
	w := &world{t: t, net: memnet.New(), rec: &recorder{}, ca: pki.New(time.Now(), "Test"), done: make(chan struct{})}
	cfg := smtpserver.Config{Hostname: "gw.test", Listener: "test", NewSession: w.rec.open}
	cert := w.ca.Issue(pki.Options{Names: []string{"gw.test"}})
	cfg.TLS = &tls.Config{Certificates: []tls.Certificate{cert.TLS}}
	if change != nil {
		change(&cfg)
	}
	var err error
	if w.srv, err = smtpserver.New(cfg); err != nil {
		t.Fatal(err)
	}
	l, err := w.net.Listen(at)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(w.done)
		if err := w.srv.Serve(l); err != nil {
			t.Error(err)
		}
	}()
	return w
}

func (w *world) dial(from string) net.Conn {
	w.t.Helper()
	nc, err := w.net.Dialer(from).DialContext(context.Background(), "tcp", at)
	if err != nil {
		w.t.Fatal(err)
	}
	return nc
}

func (w *world) clientTLS(nc net.Conn) (net.Conn, error) {
	tc := tls.Client(nc, &tls.Config{RootCAs: w.ca.Pool(), ServerName: "gw.test"})
	return tc, tc.Handshake()
}

// close ends the server and checks that every session was closed.
func (w *world) close() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	if err := w.srv.Shutdown(ctx); err != nil {
		w.t.Error(err)
	}
	<-w.done
	if w.rec.opened != w.rec.closed {
		w.t.Errorf("%d sessions opened, %d closed", w.rec.opened, w.rec.closed)
	}
}
