package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"postern/internal/lab/partner"
	"postern/internal/lab/pki"
	"postern/internal/lab/zone"
)

// demoHost is one partner's mail server in the demo.
type demoHost struct {
	name  string // host name
	fault partner.Fault
	cert  func(ca *pki.CA, now time.Time, name string) *pki.Certificate // nil: no TLS
	old   bool                                                          // only TLS 1.0
}

// demoDomain is one domain and its mail servers, the preferred first.
type demoDomain struct {
	name  string
	about string // one phrase for people
	hosts []demoHost
}

func goodCert(ca *pki.CA, _ time.Time, name string) *pki.Certificate {
	return ca.Issue(pki.Options{Names: []string{name}})
}

func expiredCert(ca *pki.CA, now time.Time, name string) *pki.Certificate {
	return ca.Issue(pki.Options{Names: []string{name}, NotAfter: now.Add(-26 * time.Hour)})
}

func selfSigned(ca *pki.CA, _ time.Time, name string) *pki.Certificate {
	return ca.Issue(pki.Options{Names: []string{name}, SelfSigned: true})
}

func otherName(ca *pki.CA, _ time.Time, _ string) *pki.Certificate {
	return ca.Issue(pki.Options{Names: []string{"www.hosting.test"}})
}

// demoDomains is the world: the two domains of our own first.
var demoDomains = []demoDomain{
	{"practice.test", "our own server, good certificate", []demoHost{{name: "mail.practice.test", cert: goodCert}}},
	{"branch.test", "our branch's server, no TLS", []demoHost{{name: "mail.branch.test"}}},
	{"clinic.test", "good certificate", []demoHost{{name: "mx.clinic.test", cert: goodCert}}},
	{"bank.test", "certificate expired yesterday", []demoHost{{name: "mx.bank.test", cert: expiredCert}}},
	{"court.test", "certificate for another name", []demoHost{{name: "mx.court.test", cert: otherName}}},
	{"notary.test", "self-signed certificate", []demoHost{{name: "mx.notary.test", cert: selfSigned}}},
	{"law.test", "expired, renewed while mail waits", []demoHost{{name: "mx.law.test", cert: expiredCert}}},
	{"lab.test", "good certificate", []demoHost{{name: "mx.lab.test", cert: goodCert}}},
	{"shop.test", "no TLS", []demoHost{{name: "mx.shop.test"}}},
	{"club.test", "self-signed certificate", []demoHost{{name: "mx.club.test", cert: selfSigned}}},
	{"museum.test", "the TLS handshake breaks", []demoHost{{name: "mx.museum.test", cert: goodCert, fault: partner.BreaksTLS}}},
	{"archive.test", "TLS 1.0 only", []demoHost{{name: "mx.archive.test", cert: goodCert, old: true}}},
	{"harbour.test", "first MX no TLS, second self-signed", []demoHost{
		{name: "mx1.harbour.test"}, {name: "mx2.harbour.test", cert: selfSigned}}},
}

const demoRules = `
[[rule]]
name        = "confidential"
description = "patients' and clients' data; the box is not ticked"
scope       = "outbound"
action      = "force-tls"
[rule.match]
recipient   = ["clinic.test", "bank.test", "court.test", "notary.test", "law.test"]
[rule.force_tls]
defer       = "%[1]s"

[[rule]]
name        = "laboratory"
description = "orders to the laboratory; the box is ticked"
scope       = "outbound"
action      = "force-tls"
[rule.match]
recipient   = ["lab.test"]
[rule.force_tls]
unspecified_recipients = "opportunistic"
defer       = "%[1]s"
`

// demoWorld is everything around the gateway: a folder, a CA, a name server, partners on loopback addresses.
type demoWorld struct {
	dir      string
	ca       *pki.CA
	now      time.Time
	zone     *zone.Server
	port     int
	partners map[string]*partner.Partner // by host name
	at       map[string]string           // where a partner is, by its address and port in DNS
	// oneAddress does as if the system had no loopback address but 127.0.0.1.
	oneAddress bool
}

func newDemoWorld(dir string, oneAddress bool) (*demoWorld, error) {
	now := time.Now()
	w := &demoWorld{dir: dir, now: now, ca: pki.New(now, "Demonstration Root CA"), partners: map[string]*partner.Partner{}, at: map[string]string{}, oneAddress: oneAddress}
	var names strings.Builder
	next := 11
	for _, d := range demoDomains {
		for i, h := range d.hosts {
			ip := fmt.Sprintf("127.0.0.%d", next)
			next++
			if err := w.start(h, ip); err != nil {
				w.close()
				return nil, fmt.Errorf("cannot open a partner's server: %w", err)
			}
			fmt.Fprintf(&names, "%s MX %d %s\n%s A %s\n", d.name, 10*(i+1), h.name, h.name, ip)
		}
	}
	server, err := zone.Serve(names.String())
	if err != nil {
		w.close()
		return nil, err
	}
	w.zone = server
	return w, w.files()
}

// start opens one partner; the first chooses the port of all. Linux and Windows have the whole network 127.0.0.0/8. Where a system
// has the one address alone, or the port is taken, the partner is at a port of its own, and the gateway's connections are
// brought there: see DialContext.
func (w *demoWorld) start(h demoHost, ip string) error {
	p, err := partner.Listen(h.name, net.JoinHostPort(ip, strconv.Itoa(w.port)), w.behaviour(h))
	if err != nil || w.oneAddress {
		if err == nil {
			p.Close()
		}
		p, err = partner.Listen(h.name, "127.0.0.1:0", w.behaviour(h))
	}
	if err != nil {
		return err
	}
	if w.port == 0 {
		w.port = p.Addr().(*net.TCPAddr).Port
	}
	w.at[net.JoinHostPort(ip, strconv.Itoa(w.port))] = p.Addr().String()
	w.partners[h.name] = p
	return nil
}

// DialContext opens a connection to a partner, by the address that DNS has for it.
func (w *demoWorld) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if at, ok := w.at[address]; ok {
		address = at
	}
	var d net.Dialer
	return d.DialContext(ctx, network, address)
}

func (w *demoWorld) behaviour(h demoHost) partner.Behaviour {
	if h.cert == nil {
		return partner.Behaviour{}
	}
	c := &tls.Config{Certificates: []tls.Certificate{h.cert(w.ca, w.now, h.name).TLS}}
	if h.old {
		c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS10
	}
	return partner.Behaviour{TLS: c, Fault: h.fault}
}

// repair gives a partner a good certificate.
func (w *demoWorld) repair(host string) {
	w.partners[host].Set(w.behaviour(demoHost{name: host, cert: goodCert}))
}

// files writes the configuration an administrator would, and what it names.
func (w *demoWorld) files() error {
	own := w.ca.Issue(pki.Options{Names: []string{"gw.practice.test"}})
	text := fmt.Sprintf(`hostname = "gw.practice.test"
data     = "data"

[[listen]]
name    = "world"
address = "127.0.0.1:0"

[tls]
certificates = [{ cert = "gateway.pem", key = "gateway.key" }]

[relay]
networks = ["127.0.0.0/8"]

[[domain]]
name       = "practice.test"
deliver_to = ["mail.practice.test:%[1]d"]
trust      = "ca.pem"

[[domain]]
name       = "branch.test"
deliver_to = ["mail.branch.test:%[1]d"]

[dns]
servers = ["%[2]s"]

[delivery]
port          = %[1]d
deny_networks = []
retry         = ["1s", "2s"]
lifetime      = "30s"
delay_notice  = 0

[trust]
roots = "ca.pem"

[admin]
listen = "127.0.0.1:0"
`, w.port, w.zone.Addr())
	for name, content := range map[string][]byte{
		"ca.pem": w.ca.RootPEM(), "gateway.pem": own.CertPEM, "gateway.key": own.KeyPEM,
		"postern.toml": []byte(text), "rules.toml": fmt.Appendf(nil, demoRules, demoWindow),
	} {
		if err := os.WriteFile(filepath.Join(w.dir, name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (w *demoWorld) close() {
	for _, p := range w.partners {
		p.Close()
	}
	if w.zone != nil {
		_ = w.zone.Close() // nobody asks any more
	}
}

// leaks are mail commands that a partner heard without TLS from a forced delivery's recipients.
func (w *demoWorld) leaks(recipients []string) (out []string) {
	for host, p := range w.partners {
		for _, c := range p.Commands() {
			for _, to := range recipients {
				if !c.TLS && c.Verb == "RCPT" && strings.Contains(c.Line, "<"+to+">") {
					out = append(out, host+" heard without TLS: "+c.Line)
				}
			}
		}
	}
	return out
}
