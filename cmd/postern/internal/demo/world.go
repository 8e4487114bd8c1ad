package demo

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
	"postern/internal/mail"
	"postern/internal/policy/dane"
	"postern/internal/policy/sts"
)

// mailHost is one partner's mail server in the demo.
type mailHost struct {
	name  string // host name
	fault partner.Fault
	cert  func(ca *pki.CA, now time.Time, name string) *pki.Certificate // nil: no TLS
	old   bool                                                          // only TLS 1.0
	// publishes is the certificate whose TLSA record (3 1 1) stands in signed DNS; nil publishes none.
	publishes func(ca *pki.CA, now time.Time, name string) *pki.Certificate
}

// mailDomain is one domain and its mail servers, the preferred first.
type mailDomain struct {
	name  string
	about string // one phrase for people
	hosts []mailHost
	sts   sts.Mode // of the MTA-STS policy that names them; "" is none
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

// domains is the world: the two domains of our own first.
var domains = []mailDomain{
	{"practice.test", "our own server, good certificate", []mailHost{{name: "mail.practice.test", cert: goodCert}}, ""},
	{"branch.test", "our branch's server, no TLS", []mailHost{{name: "mail.branch.test"}}, ""},
	{"clinic.test", "good certificate", []mailHost{{name: "mx.clinic.test", cert: goodCert}}, ""},
	{"bank.test", "certificate expired yesterday", []mailHost{{name: "mx.bank.test", cert: expiredCert}}, ""},
	{"court.test", "certificate for another name", []mailHost{{name: "mx.court.test", cert: otherName}}, ""},
	{"notary.test", "self-signed certificate", []mailHost{{name: "mx.notary.test", cert: selfSigned}}, ""},
	{"law.test", "expired, renewed while mail waits", []mailHost{{name: "mx.law.test", cert: expiredCert}}, ""},
	{"lab.test", "good certificate", []mailHost{{name: "mx.lab.test", cert: goodCert}}, ""},
	{"shop.test", "no TLS", []mailHost{{name: "mx.shop.test"}}, ""},
	{"club.test", "self-signed certificate", []mailHost{{name: "mx.club.test", cert: selfSigned}}, ""},
	{"museum.test", "the TLS handshake breaks",
		[]mailHost{{name: "mx.museum.test", cert: goodCert, fault: partner.BreaksTLS}}, ""},
	{"archive.test", "TLS 1.0 only", []mailHost{{name: "mx.archive.test", cert: goodCert, old: true}}, ""},
	{"office.test", "self-signed, and its TLSA record says so",
		[]mailHost{{name: "mx.office.test", cert: selfSigned, publishes: presented}}, ""},
	{"depot.test", "good certificate, and the TLSA record of another", []mailHost{
		{name: "mx.depot.test", cert: goodCert, publishes: otherName}}, ""},
	{"harbour.test", "first MX no TLS, second self-signed", []mailHost{
		{name: "mx1.harbour.test"}, {name: "mx2.harbour.test", cert: selfSigned}}, ""},
	{"theatre.test", "certificate expired yesterday, MTA-STS enforced",
		[]mailHost{{name: "mx.theatre.test", cert: expiredCert}}, sts.Enforce},
	{"gallery.test", "self-signed certificate, MTA-STS under test",
		[]mailHost{{name: "mx.gallery.test", cert: selfSigned}}, sts.Testing},
}

const rulesFile = `
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

// World is everything around the gateway: a folder, a CA, a name server, partners on loopback addresses.
type World struct {
	Dir      string
	Ca       *pki.CA
	Now      time.Time
	zone     *zone.Server
	policies *policyHosts
	Port     int
	Partners map[string]*partner.Partner // by host name
	shown    map[string]*pki.Certificate // what each presents, by host name
	at       map[string]string           // where a partner is, by its address and port in DNS
	// oneAddress does as if the system had no loopback address but 127.0.0.1.
	oneAddress bool
}

// NewWorld starts the name server and the partners, and writes what the gateway needs into a folder. oneAddress does as
// if the system had no loopback address but 127.0.0.1.
func NewWorld(dir string, oneAddress bool) (*World, error) {
	now := time.Now()
	w := &World{Dir: dir, Now: now, Ca: pki.New(now, "Demonstration Root CA"), Partners: map[string]*partner.Partner{},
		shown: map[string]*pki.Certificate{}, at: map[string]string{}, oneAddress: oneAddress}
	var err error
	if w.policies, err = servePolicies(w.Ca); err != nil {
		return nil, err
	}
	var names strings.Builder
	next := 11
	for _, d := range domains {
		for i, h := range d.hosts {
			ip := fmt.Sprintf("127.0.0.%d", next)
			next++
			if err := w.start(h, ip); err != nil {
				w.Close()
				return nil, fmt.Errorf("cannot open a partner's server: %w", err)
			}
			fmt.Fprintf(&names, "%s MX %d %s\n%s A %s\n", d.name, 10*(i+1), h.name, h.name, ip)
			if h.publishes != nil {
				record, err := w.tlsa(h)
				if err != nil {
					w.Close()
					return nil, err
				}
				names.WriteString(record)
			}
		}
		record, err := w.policy(d, fmt.Sprintf("127.0.0.%d", next))
		if err != nil {
			w.Close()
			return nil, err
		}
		if names.WriteString(record); record != "" {
			next++
		}
	}
	server, err := zone.Serve(names.String())
	if err != nil {
		w.Close()
		return nil, err
	}
	w.zone = server
	return w, w.files()
}

// start opens one partner; the first chooses the port of all. Linux and Windows have the whole network 127.0.0.0/8.
// Where a system has the one address alone, or the port is taken, the partner is at a port of its own, and the
// gateway's connections are brought there: see DialContext.
func (w *World) start(h mailHost, ip string) error {
	p, err := partner.Listen(h.name, net.JoinHostPort(ip, strconv.Itoa(w.Port)), w.behaviour(h))
	if err != nil || w.oneAddress {
		if err == nil {
			p.Close()
		}
		p, err = partner.Listen(h.name, "127.0.0.1:0", w.behaviour(h))
	}
	if err != nil {
		return err
	}
	if w.Port == 0 {
		w.Port = p.Addr().(*net.TCPAddr).Port
	}
	w.at[net.JoinHostPort(ip, strconv.Itoa(w.Port))] = p.Addr().String()
	w.Partners[h.name] = p
	return nil
}

// DialContext opens a connection to a partner, by the address that DNS has for it.
func (w *World) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if at, ok := w.at[address]; ok {
		address = at
	}
	var d net.Dialer
	return d.DialContext(ctx, network, address)
}

func (w *World) behaviour(h mailHost) partner.Behaviour {
	if h.cert == nil {
		return partner.Behaviour{}
	}
	shown := h.cert(w.Ca, w.Now, h.name)
	w.shown[h.name] = shown
	c := &tls.Config{Certificates: []tls.Certificate{shown.TLS}}
	if h.old {
		c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS10
	}
	return partner.Behaviour{TLS: c, Fault: h.fault}
}

// policy publishes the MTA-STS policy of a domain, and returns its lines of the zone; "" where it has none.
func (w *World) policy(d mailDomain, ip string) (string, error) {
	if d.sts == "" {
		return "", nil
	}
	var mx []string
	for _, h := range d.hosts {
		mx = append(mx, h.name)
	}
	host := "mta-sts." + d.name
	w.at[net.JoinHostPort(ip, "443")] = w.policies.at
	return fmt.Sprintf("%s A %s\n_mta-sts.%s TXT \"v=STSv1; id=1\"\n", host, ip, d.name),
		w.policies.publish(host, d.sts, mx...)
}

// presented stands for the certificate that a host presents; see tlsa.
func presented(*pki.CA, time.Time, string) *pki.Certificate { return nil }

// tlsa is the TLSA record that a host publishes, as a line of the zone.
func (w *World) tlsa(h mailHost) (string, error) {
	c := h.publishes(w.Ca, w.Now, h.name)
	if c == nil {
		c = w.shown[h.name]
	}
	record, err := dane.Of(c.Leaf, 3, 1, 1)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s TLSA %s\n", dane.Name(mail.MustDomain(h.name), uint16(w.Port)), dane.Format(record)), nil
}

// Repair gives a partner a good certificate.
func (w *World) Repair(host string) {
	w.Partners[host].Set(w.behaviour(mailHost{name: host, cert: goodCert}))
}

// files writes the configuration an administrator would, and what it names.
func (w *World) files() error {
	own := w.Ca.Issue(pki.Options{Names: []string{"gw.practice.test"}})
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

[policies]
networks = ["127.0.0.0/8"]

[admin]
listen = "127.0.0.1:0"
`, w.Port, w.zone.Addr())
	for name, content := range map[string][]byte{
		"ca.pem": w.Ca.RootPEM(), "gateway.pem": own.CertPEM, "gateway.key": own.KeyPEM,
		"postern.toml": []byte(text), "rules.toml": fmt.Appendf(nil, rulesFile, window),
	} {
		if err := os.WriteFile(filepath.Join(w.Dir, name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// Close ends the servers.
func (w *World) Close() {
	for _, p := range w.Partners {
		p.Close()
	}
	w.policies.close()
	if w.zone != nil {
		_ = w.zone.Close() // nobody asks any more
	}
}

// leaks are mail commands that a partner heard without TLS from a forced delivery's recipients.
func (w *World) leaks(recipients []string) (out []string) {
	for host, p := range w.Partners {
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
