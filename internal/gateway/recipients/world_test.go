package recipients_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/event"
	"postern/internal/gateway/deliver"
	"postern/internal/gateway/inforce"
	"postern/internal/gateway/recipients"
	"postern/internal/gateway/route"
	"postern/internal/lab/partner"
	"postern/internal/lab/pki"
	"postern/internal/lab/testkit/memnet"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/smtp/smtpclient"
)

// world is a Keeper in front of the server of home.test, in a bubble. Nobody but anna is known there.
type world struct {
	t    *testing.T
	net  *memnet.Network
	ca   *pki.CA
	own  *partner.Partner
	view atomic.Pointer[inforce.View]
	k    *recipients.Keeper
	stop func()

	mu     sync.Mutex // guards events
	events []event.Event
}

func (w *world) Emit(e event.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
}

// replies makes the server refuse what it does not know.
func (w *world) behaves(replies map[string]string) partner.Behaviour {
	cert := w.ca.Issue(pki.Options{Names: []string{"mail.home.test"}})
	all := map[string]string{"RCPT": "550 5.1.1 <x>: no such user", "RCPT TO:<anna@home.test>": "250 2.1.5 ok"}
	for line, reply := range replies {
		all[line] = reply
	}
	return partner.Behaviour{TLS: &tls.Config{Certificates: []tls.Certificate{cert.TLS}}, Replies: all}
}

func story(t *testing.T, f func(w *world), change ...func(*recipients.Config)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, net: memnet.New(), ca: pki.New(time.Now(), "Test CA")}
		l, err := w.net.Listen("192.0.2.99:25")
		if err != nil {
			t.Fatal(err)
		}
		w.own = partner.Serve("mail.home.test", l, w.behaves(nil))
		w.demand(policy.Plaintext)
		cfg := recipients.Config{
			Opener: deliver.New(deliver.Config{Dialer: w.net.Dialer("192.0.2.1"), Legacy: true,
				Roots: func(...string) (map[string]*x509.CertPool, error) {
					return map[string]*x509.CertPool{policy.PublicTrust: w.ca.Pool()}, nil
				}, SMTP: smtpclient.Config{Hello: "gw.home.test"}}),
			InForce: w.view.Load, Sink: w, Sender: mail.MustAddress("postmaster@gw.home.test"),
		}
		for _, c := range change {
			c(&cfg)
		}
		if w.k, err = recipients.New(cfg); err != nil {
			t.Fatal(err)
		}
		w.use(recipients.Source{Domain: mail.MustDomain("home.test")}, recipients.Source{Domain: mail.MustDomain("any.test"), Any: true})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		go func() { done <- w.k.Run(ctx) }()
		w.stop = sync.OnceFunc(func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
		f(w)
		w.stop()
		w.own.Close()
	})
}

func (w *world) use(sources ...recipients.Source) {
	w.t.Helper()
	s, err := recipients.Read(sources)
	if err != nil {
		w.t.Fatal(err)
	}
	w.k.Use(s)
}

// demand puts a level in force for the leg to home.test.
func (w *world) demand(level policy.Level) {
	var own []route.Own
	for _, d := range []string{"home.test", "any.test", "listed.test"} {
		own = append(own, route.Own{Domain: mail.MustDomain(d), To: []route.HostPort{{IP: netip.MustParseAddr("192.0.2.99"), Port: 25}}, Require: level})
	}
	table, err := route.New(route.Config{Hostname: mail.MustDomain("gw.home.test"), Own: own})
	if err != nil {
		w.t.Fatal(err)
	}
	w.view.Store(&inforce.View{Table: table})
}

// ask is what the client hears, "" when the recipient is taken.
func (w *world) ask(to string) string {
	reply := w.k.Refuse(context.Background(), mail.MustAddress(to), func() {})
	if reply == nil {
		return ""
	}
	return reply.String()
}

func (w *world) want(to, want string) {
	w.t.Helper()
	if got := w.ask(to); got != want {
		w.t.Errorf("%s: %q, want %q", to, got, want)
	}
}

// said counts commands at the server that begin so.
func (w *world) said(begin string) (n int) {
	for _, c := range w.own.Commands() {
		if strings.HasPrefix(c.Line, begin) {
			n++
		}
	}
	return n
}

func (w *world) warnings() (out []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		if e, ok := e.(event.Warned); ok {
			out = append(out, e.Text)
		}
	}
	return out
}

// results counts what questions came to.
func (w *world) results() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := map[event.RecipientResult]int{}
	for _, e := range w.events {
		if e, ok := e.(event.RecipientAsked); ok {
			n[e.Result]++
		}
	}
	return fmt.Sprintf("%d known, %d unknown, %d unanswered", n[event.RecipientKnown], n[event.RecipientUnknown], n[event.RecipientUnanswered])
}

const nobody = "550 5.1.1 there is no such mailbox here"
