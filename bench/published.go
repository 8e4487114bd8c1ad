package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"postern/bench/rig"
	"postern/internal/lab/pki"
	"postern/internal/lab/zone"
)

// busyDomains is how many domains the load of a round goes to. Each is a site with connections of its own; many would
// measure handshakes and not what is published.
const busyDomains = 20

// policyIP is where the policy host of every domain listens, at port 443.
const policyIP = "127.1.255.1"

// published is a world in DNS. All domains have one mail host, the sink.
type published struct {
	dir         string       // of the roots
	bare, whole *zone.Server // nothing is published; a TLSA record of the host and a policy of every domain
	hosts       *http.Server
	port        string       // of the sink
	delay       atomic.Int64 // of the policy hosts' answers, nanoseconds
}

// publish starts name servers and the policy host.
func (b *bench) publish() (p *published, err error) {
	p = &published{}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	if p.dir, err = os.MkdirTemp("", "postern-bench-published-"); err != nil {
		return p, err
	}
	if err = os.WriteFile(filepath.Join(p.dir, "roots.pem"), b.ca.RootPEM(), 0o600); err != nil {
		return p, err
	}
	_, p.port, _ = net.SplitHostPort(b.secure.Addr())
	if p.bare, err = zone.Serve("!*.bench.test 3600 MX 10 sink.test\n!sink.test 3600 A 127.0.0.1\n"); err != nil {
		return p, err
	}
	// The last line is for mta-sts.DOMAIN; that it is for DOMAIN too does no harm.
	p.whole, err = zone.Serve(fmt.Sprintf("*.bench.test 3600 MX 10 sink.test\nsink.test 3600 A "+
		"127.0.0.1\n_%s._tcp.sink.test 3600 TLSA 3 1 1 %x\n*.bench.test 3600 TXT \"v=STSv1; id=1;\"\n*.bench.test "+
		"3600 A %s\n", p.port, sha256.Sum256(b.cert.Leaf.RawSubjectPublicKeyInfo), policyIP))
	if err != nil {
		return p, err
	}
	return p, p.serve(b.ca)
}

// serve starts the policy host, which has a certificate for whatever name it is asked by.
func (p *published) serve(ca *pki.CA) error {
	l, err := net.Listen("tcp", policyIP+":443")
	if err != nil {
		return fmt.Errorf("policy hosts listen at port 443, which takes root: %w", err)
	}
	config := &tls.Config{GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		return &ca.Issue(pki.Options{Names: []string{hello.ServerName}}).TLS, nil
	}}
	p.hosts = &http.Server{ErrorLog: log.New(io.Discard, "", 0),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(time.Duration(p.delay.Load()))
			w.Header().Set("Content-Type", "text/plain")
			// who asked may be gone
			_, _ = io.WriteString(w, "version: STSv1\nmode: enforce\nmx: sink.test\nmax_age: 604800\n")
		})}
	go func() { _ = p.hosts.Serve(tls.NewListener(l, config)) }() // until it is closed
	return nil
}

func (p *published) close() {
	if p.hosts != nil {
		_ = p.hosts.Close()
	}
	for _, s := range []*zone.Server{p.bare, p.whole} {
		if s != nil {
			_ = s.Close()
		}
	}
	_ = os.RemoveAll(p.dir) // in the temporary folder
}

// contestant asks one of the name servers.
func (p *published) contestant(name string, dns *zone.Server) Contestant {
	return Contestant{Name: name, Kind: rig.Postern, Settings: map[string]string{
		"dns.servers": fmt.Sprintf("[%q]", dns.Addr()), "delivery.port": p.port, "delivery.deny_networks": "[]",
		"trust.roots": fmt.Sprintf("%q", filepath.Join(p.dir, "roots.pem")), "policies.networks": `["127.0.0.0/8"]`,
		"policies.sts_timeout": `"20s"`,
	}}
}

// publishedCommand measures what keeping to published policies costs.
func publishedCommand(ctx context.Context, args []string) error {
	var c common
	f := newFlags("published")
	c.register(f)
	pace := shortSuite().pace
	pace.register(f)
	n := f.Int("n", 10_000, "domains with a policy that is kept")
	first := f.Int("first", 200, "first mails to new domains")
	if err := parse(f, args); err != nil {
		return err
	}
	return c.with(ctx, func(b *bench) error {
		p, err := b.publish()
		if err != nil {
			return err
		}
		defer p.close()
		report := newReport(pace)
		if *first > 0 {
			waits, err := b.firstMails(ctx, p, *first)
			if err != nil {
				return err
			}
			fmt.Println(waits)
		}
		comparison, err := b.comparePublished(ctx, p, *n, pace)
		report.Comparisons = append(report.Comparisons, comparison)
		report.print(os.Stdout)
		if failed := writeJSON(c.json, report); failed != nil {
			return failed
		}
		return err
	})
}

// comparePublished sends one message to each of n domains, so that their policies are kept, and then the load.
func (b *bench) comparePublished(ctx context.Context, p *published, n int, pace pace) (Comparison, error) {
	who := []Contestant{p.contestant("nothing published", p.bare), p.contestant("DANE and MTA-STS", p.whole)}
	for i := range who {
		dir, err := os.MkdirTemp(p.dir, "data-")
		if err != nil {
			return Comparison{}, err
		}
		who[i].Folder = dir
		all := ordinary()
		all.Domains = n
		began := time.Now()
		if err := b.once(ctx, who[i], all, n); err != nil {
			return Comparison{}, err
		}
		b.progress("== %s: %d domains were written to in %v\n", who[i].Name, n, time.Since(began).Round(time.Second))
	}
	w := ordinary()
	w.Domains = busyDomains
	return b.compare(ctx, "published", w, who, pace)
}

// once starts a server for one load.
func (b *bench) once(ctx context.Context, c Contestant, w Work, n int) error {
	s, err := b.start(ctx, c, w)
	if err != nil {
		return err
	}
	defer s.Stop()
	_, err = b.round(ctx, s, w, n)
	return err
}
