package acceptance

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"

	"postern/internal/lab/pki"
	"postern/test/harness"
)

// policyHost is the web server of a domain's MTA-STS policy, at port 443 of a loopback address of its own.
type policyHost struct {
	ip     string
	server *http.Server

	mu    sync.Mutex
	cert  *pki.Certificate
	serve http.HandlerFunc
	asked int
}

func (p *policyHost) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.asked++
	serve := p.serve
	p.mu.Unlock()
	if r.URL.Path != "/.well-known/mta-sts.txt" {
		http.NotFound(out, r)
		return
	}
	serve(out, r)
}

// count is how often it was asked.
func (p *policyHost) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

// set changes what it serves from now on.
func (p *policyHost) set(serve http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.serve = serve
}

// shows changes the certificate.
func (p *policyHost) shows(c *pki.Certificate) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cert = c
}

// vanishes ends it, as when its machine is gone.
func (p *policyHost) vanishes() { _ = p.server.Close() } // nothing is to be kept of it

// policy serves a policy.
func policy(mode string, mx ...string) http.HandlerFunc {
	text := "version: STSv1\r\nmode: " + mode + "\r\n"
	for _, name := range mx {
		text += "mx: " + name + "\r\n"
	}
	text += "max_age: 604800\r\n"
	return func(out http.ResponseWriter, _ *http.Request) {
		out.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = out.Write([]byte(text))
	}
}

// policyHost starts the policy host of a domain and announces a policy with an id.
func (w *world) policyHost(domain, id string, serve http.HandlerFunc) *policyHost {
	w.T.Helper()
	name := "mta-sts." + domain
	p := &policyHost{ip: harness.NewIP(), cert: w.CA.Issue(pki.Options{Names: []string{name}}), serve: serve}
	l, err := net.Listen("tcp", p.ip+":443")
	if err != nil {
		w.T.Skipf("a policy host listens at port 443, which takes root: %v", err)
	}
	config := &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		return &p.cert.TLS, nil
	}}
	p.server = &http.Server{Handler: p, ErrorLog: log.New(io.Discard, "", 0)}
	go func() { _ = p.server.Serve(tls.NewListener(l, config)) }() // until it is closed
	w.T.Cleanup(p.vanishes)
	w.Settings["policies.networks"] = `["127.0.0.0/8"]`
	w.Record(name+" A "+p.ip, announcement(domain, id))
	return p
}

func announcement(domain, id string) string {
	return fmt.Sprintf("!_mta-sts.%s TXT \"v=STSv1; id=%s;\"", domain, id)
}

// erase removes the lines of DNS that begin with a text.
func (w *world) erase(prefix string) {
	w.T.Helper()
	w.Zone = slices.DeleteFunc(w.Zone, func(line string) bool { return strings.HasPrefix(line, prefix) })
	w.Record()
}

// announces has a domain announce another id; "" announces nothing.
func (w *world) announces(domain, id string) {
	w.T.Helper()
	w.erase("!_mta-sts." + domain + " ")
	if id != "" {
		w.Record(announcement(domain, id))
	}
}
