package server

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"postern/cmd/postern/internal/rooms"
	"postern/internal/check"
	"postern/internal/config"
	"postern/internal/gateway/certorder"
	"postern/internal/gateway/expiry"
	"postern/internal/gateway/identity"
	"postern/internal/gateway/publicweb"
	"postern/internal/policy/certcheck"
)

// certifies reads our own certificates: those of files, and the one that is got from a CA.
func (g *Gateway) certifies(ctx context.Context) (err error) {
	if !g.cfg.TLS.Offered() {
		g.warn("certificate", errors.New("no certificate is configured"),
			"STARTTLS is not offered; set tls.certificates or tls.acme")
		return nil
	}
	var more []identity.Source
	if g.cfg.TLS.ACME.Used() {
		if g.acme, err = g.orders(ctx); err != nil {
			return err
		}
		more = append(more, g.acme)
	}
	var files []identity.File
	for _, c := range g.cfg.TLS.Certificates {
		files = append(files, identity.File{Cert: string(c.Cert), Key: string(c.Key)})
	}
	g.certs, err = identity.Load(files, func(n identity.Notice) {
		if n.Err != nil {
			g.warn("certificate", n.Err, "repair the file; the certificate read before stays in force")
		}
	}, more...)
	return err
}

// orders opens what gets a certificate from a CA. Nothing is asked before it runs.
func (g *Gateway) orders(ctx context.Context) (*certorder.Keeper, error) {
	cfg, err := rooms.ACME(g.cfg, g.resolver, rooms.PublicRoots(g.roots))
	if err != nil {
		return nil, err
	}
	cfg.Store, cfg.Sink, cfg.Holder = g.store, g.sink, g.cfg.Hostname.String()+"/"+strconv.Itoa(os.Getpid())
	return certorder.Open(ctx, cfg)
}

// clientCertificate is what is shown to servers that ask; nil shows none. One that no CA has signed yet is not shown.
func (g *Gateway) clientCertificate() *tls.Certificate {
	if c := g.client.Load(); c != nil || g.acme == nil || !g.cfg.TLS.ACME.Client || g.acme.Status().Temporary {
		return c
	}
	return g.acme.Certificate()
}

// ownEnds are our own certificates with their ends. One of our own making is no matter of its end: what keeps the CA's
// from coming is told.
func (g *Gateway) ownEnds() (out []expiry.Own) {
	add := func(kind string, leaf *x509.Certificate) {
		o := expiry.Own{Kind: kind, Name: leaf.Subject.CommonName, Begin: leaf.NotBefore, End: leaf.NotAfter}
		if len(leaf.DNSNames) > 0 {
			o.Name = leaf.DNSNames[0]
		}
		if g.acme != nil && leaf.Equal(g.acme.Certificate().Leaf) {
			s := g.acme.Status()
			if s.Temporary {
				return
			}
			o.Renews, o.Fault = true, s.Fault
		}
		out = append(out, o)
	}
	if g.certs != nil {
		for _, leaf := range g.certs.Leaves() {
			add(check.OwnServer, leaf)
		}
	}
	if c := g.client.Load(); c != nil && c.Leaf != nil {
		add(check.OwnClient, c.Leaf)
	}
	return out
}

// shownToPartners is the page for partners as it was made last; whoever asks again and again reads no files by it. The
// zero value is ready. Safe for concurrent use.
type shownToPartners struct {
	mu   sync.Mutex
	page *publicweb.Partners
}

// partnersFor is how long a page is shown before it is made anew.
const partnersFor = time.Minute

// showPartners is what partners are shown; nil where they are shown nothing.
func (g *Gateway) showPartners() *publicweb.Partners {
	cfg := g.inForce.Load()
	if !cfg.TLS.PartnerPage {
		return nil
	}
	g.partners.mu.Lock()
	defer g.partners.mu.Unlock()
	if p := g.partners.page; p == nil || time.Since(p.At) >= partnersFor {
		g.partners.page = g.makePartners(cfg)
	}
	return g.partners.page
}

// makePartners makes the page. What cannot be read is left out: others are told of it.
func (g *Gateway) makePartners(cfg *config.Config) *publicweb.Partners {
	out := &publicweb.Partners{Host: g.cfg.Hostname.String(), At: time.Now(), Ports: g.portsForPartners()}
	roots := rooms.PublicRoots(g.roots)()
	for _, f := range rooms.OwnFiles(cfg) {
		own, _, err := f.Look(roots, out.At, 0)
		if err != nil || len(own.Chain) == 0 {
			continue
		}
		c := publicweb.PartnerCertificate{To: "mail servers that send to us", Chain: own.Chain, Root: own.Root,
			Change: g.changeOf(&own)}
		if f.Kind() == check.OwnClient {
			c.To = "mail servers that we send to and that ask for a certificate"
		}
		if r := own.RootCertificate(); r != nil {
			facts := certcheck.Facts(r)
			c.Root = &facts
		}
		out.Certificates = append(out.Certificates, c)
	}
	for _, file := range cfg.TLS.NextKeys {
		if key, err := rooms.NextKey(file); err == nil {
			sum := sha256.Sum256(key.SPKI)
			out.NextKeys = append(out.NextKeys, hex.EncodeToString(sum[:]))
		}
	}
	return out
}

// changeOf says what will become of a certificate.
func (g *Gateway) changeOf(own *check.Own) string {
	if g.acme != nil && own.File == rooms.ACMEFile(g.cfg) {
		s := g.acme.Status()
		switch {
		case s.Temporary:
			return "a public certificate for the same key is expected"
		case s.Fault == "":
			return "renewed with the same key about " + s.Next.UTC().Format(time.DateOnly)
		}
	}
	return fmt.Sprintf("renewed before it ends, on %s", own.EndsAt.Format(time.DateOnly))
}

// portsForPartners are the ports to which other mail servers send, with what TLS is spoken there.
func (g *Gateway) portsForPartners() (out []string) {
	for _, l := range g.cfg.Listen {
		host, port, err := net.SplitHostPort(l.Address)
		ip := net.ParseIP(host)
		text := port + " (STARTTLS): TLS 1.0 to 1.3"
		if l.Mode != config.ModeSMTP || l.Auth || err != nil || ip != nil && (ip.IsLoopback() || ip.IsPrivate()) ||
			slices.Contains(out, text) {
			continue
		}
		out = append(out, text)
	}
	return out
}
