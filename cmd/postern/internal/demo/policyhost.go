package demo

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"postern/internal/lab/pki"
	"postern/internal/policy/sts"
)

// policyHosts serves the MTA-STS policies of the world, by the name that is asked for.
type policyHosts struct {
	server *http.Server
	at     string
	texts  map[string]string // by host name
}

// servePolicies begins to serve, with certificates of the world's CA.
func servePolicies(ca *pki.CA) (*policyHosts, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &policyHosts{at: l.Addr().String(), texts: map[string]string{}}
	p.server = &http.Server{Handler: p, ReadHeaderTimeout: 5 * time.Second,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), TLSConfig: &tls.Config{
			GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
				return &ca.Issue(pki.Options{Names: []string{hello.ServerName}}).TLS, nil
			}}}
	go func() { _ = p.server.ServeTLS(l, "", "") }() // it ends with close
	return p, nil
}

// publish has a domain serve a policy for its hosts.
func (p *policyHosts) publish(host string, mode sts.Mode, mx ...string) error {
	policy, err := sts.New(mode, mx, 24*time.Hour)
	if err == nil {
		p.texts[host] = policy.Text()
	}
	return err
}

func (p *policyHosts) close() { _ = p.server.Close() }

// ServeHTTP answers for the name that was asked for.
func (p *policyHosts) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	text := p.texts[r.TLS.ServerName]
	if text == "" || r.URL.Path != "/.well-known/mta-sts.txt" {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	_, _ = io.WriteString(w, text)
}
