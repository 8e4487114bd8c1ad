package examiner_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"postern/internal/check"
	"postern/internal/check/examiner"
	"postern/internal/gateway/deliver"
	"postern/internal/gateway/route"
	"postern/internal/gateway/stscache"
	"postern/internal/lab/partner"
	"postern/internal/lab/pki"
	"postern/internal/lab/testkit/memnet"
	"postern/internal/lab/testkit/zone"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/policy/sts"
	"postern/internal/smtp/smtpclient"
	"time"
)

// world is a network in memory with a zone and partners, inside a synctest bubble.
type world struct {
	t          *testing.T
	net        *memnet.Network
	ca         *pki.CA
	zone       strings.Builder
	partners   map[string]*partner.Partner // by address
	deny       []netip.Prefix
	noWay      map[string]bool // addresses without a route to them
	revocation deliver.Revocation
	pins       pins
	policy     sts.Policy // of clinic.test; the zero value is none
	next       byte
}

func newWorld(t *testing.T) *world {
	return &world{t: t, net: memnet.New(), ca: pki.New(time.Now(), "Test CA"), partners: map[string]*partner.Partner{},
		noWay: map[string]bool{}, next: 10}
}

func (w *world) close() {
	for _, p := range w.partners {
		p.Close()
	}
}

// name gives a host of clinic.test another address, with an MX record of its own preference.
func (w *world) name(host string) netip.Addr {
	ip := netip.AddrFrom4([4]byte{192, 0, 2, w.next})
	fmt.Fprintf(&w.zone, "clinic.test MX %d %s\n%s A %s\n", w.next, host, host, ip)
	w.next++
	return ip
}

// mx adds a host with a partner.
func (w *world) mx(host string, b partner.Behaviour) netip.Addr {
	ip := w.name(host)
	w.partners[ip.String()] = partner.Serve(host, w.listen(ip), b)
	return ip
}

func (w *world) listen(ip netip.Addr) *memnet.Listener {
	l, err := w.net.Listen(netip.AddrPortFrom(ip, 25).String())
	if err != nil {
		w.t.Fatal(err)
	}
	return l
}

// script adds a host that answers each line with the next of these, closes after the last one unless that is "...",
// after which it is silent.
func (w *world) script(host string, answers ...string) {
	l := w.listen(w.name(host))
	done := make(chan struct{})
	w.t.Cleanup(func() { <-done })
	go func() {
		defer close(done)
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go converse(nc, answers)
		}
	}()
	w.t.Cleanup(func() { _ = l.Close() })
}

func converse(nc net.Conn, answers []string) {
	defer nc.Close()
	r := bufio.NewReader(nc)
	for i, a := range answers {
		if i > 0 {
			if _, err := r.ReadString('\n'); err != nil {
				return
			}
		}
		if a == "..." {
			_, _ = r.ReadString(0) // until the other side gives up
			return
		}
		if _, err := nc.Write([]byte(a + "\r\n")); err != nil {
			return
		}
	}
}

func serverTLS(ca *pki.CA, name string) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{ca.Issue(pki.Options{Names: []string{name}}).TLS}}
}

// tls is the configuration of a server with a certificate for mx1.clinic.test, unless o says otherwise.
func (w *world) tls(o pki.Options) *tls.Config {
	if o.Names == nil {
		o.Names = []string{"mx1.clinic.test"}
	}
	return &tls.Config{Certificates: []tls.Certificate{w.ca.Issue(o).TLS}}
}

func (w *world) good() partner.Behaviour { return partner.Behaviour{TLS: w.tls(pki.Options{})} }

// dialer knows addresses without a route.
type dialer struct {
	*memnet.Dialer
	noWay map[string]bool
}

func (d dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if at := netip.MustParseAddrPort(address); d.noWay[at.Addr().String()] {
		return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.EHOSTUNREACH}
	}
	return d.Dialer.DialContext(ctx, network, address)
}

func (w *world) routes() route.Config {
	return route.Config{Hostname: mail.MustDomain("gw.example.test"), DenyNetworks: w.deny, Resolver: zone.New(w.t, w.zone.String()), HostsFile: "none",
		DANE: policy.Enforced, STS: policy.Enforced, Policies: published{w.policy}}
}

// published is one policy of every domain.
type published struct{ policy sts.Policy }

// Policy returns it.
func (p published) Policy(context.Context, mail.Domain) (*stscache.Found, stscache.Note, error) {
	if p.policy.Mode == "" {
		return nil, stscache.Note{}, nil
	}
	return &stscache.Found{Policy: p.policy, ID: "1", Fetched: time.Now(), Until: time.Now().Add(time.Hour), Source: stscache.FromCache}, stscache.Note{}, nil
}

// Again returns it too.
func (p published) Again(ctx context.Context, d mail.Domain) (*stscache.Found, stscache.Note, error) {
	return p.Policy(ctx, d)
}

// Known returns it too.
func (p published) Known(ctx context.Context, d mail.Domain) (*stscache.Found, error) {
	found, _, err := p.Policy(ctx, d)
	return found, err
}

// tlsa publishes a record for mx1.clinic.test.
func (w *world) tlsa(record string) {
	w.zone.WriteString("_25._tcp.mx1.clinic.test TLSA " + record + "\n")
}

func (w *world) delivering() deliver.Config {
	roots := map[string]*x509.CertPool{policy.PublicTrust: w.ca.Pool()}
	return deliver.Config{
		Dialer: dialer{w.net.Dialer("192.0.2.1"), w.noWay}, Legacy: true, SMTP: smtpclient.Config{Hello: "gw.example.test"},
		Roots:      func(...string) (map[string]*x509.CertPool, error) { return roots, nil },
		Revocation: w.revocation, Book: w.pins,
	}
}

// checker is a Checker of this world; change may be nil.
func (w *world) checker(change func(*examiner.Config)) *examiner.Checker {
	w.t.Helper()
	cfg := examiner.Config{Route: w.routes(), Deliver: w.delivering()}
	if change != nil {
		change(&cfg)
	}
	c, err := examiner.New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// check checks a target.
func (w *world) check(target string, change func(*examiner.Config)) *check.Report {
	w.t.Helper()
	t, err := check.Parse(target)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.checker(change).Check(context.Background(), t)
}

// spoken lists mail commands that any partner heard.
func (w *world) spoken() (out []string) {
	for ip, p := range w.partners {
		for _, c := range p.Commands() {
			if c.Verb == "MAIL" || c.Verb == "RCPT" || c.Verb == "DATA" || c.Verb == "BDAT" {
				out = append(out, ip+": "+c.Line)
			}
		}
	}
	return out
}
