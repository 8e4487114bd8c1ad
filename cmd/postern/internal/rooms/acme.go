package rooms

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"postern/internal/config"
	"postern/internal/dns"
	"postern/internal/gateway/certorder"
	"postern/internal/mail"
	"postern/internal/platform/certpem"
	"postern/internal/platform/sandbox"
)

// acmeCopy is the copy, in the data folder, of the chain that was got from a CA: for verbs that work without a gateway.
// What counts is in the store, with the key.
const acmeCopy = "acme.pem"

// ACMEFile is the file of the certificate from a CA, "" where there is none yet.
func ACMEFile(cfg *config.Config) string {
	file := filepath.Join(string(cfg.Data), acmeCopy)
	if _, err := os.Stat(file); err != nil || !cfg.TLS.ACME.Used() {
		return ""
	}
	return file
}

// secretFile reads a file that nobody else may read.
func secretFile(what string, path config.Path) ([]byte, error) {
	text, err := os.ReadFile(string(path))
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", what, err)
	}
	if err := sandbox.Exposed(string(path)); err != nil {
		return nil, fmt.Errorf("%s %w", what, err)
	}
	return text, nil
}

// ACMEKey reads the key that is to be certified; nil where the gateway makes one.
func ACMEKey(cfg *config.Config) (crypto.Signer, error) {
	path := cfg.TLS.ACME.Key
	if path == "" {
		return nil, nil
	}
	text, err := secretFile("the key", path)
	if err != nil {
		return nil, err
	}
	key, err := certpem.PrivateKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be used as a key: %w", path, err)
	}
	return key, nil
}

// ACMEBinding reads the secret of the external account; nil where there is none. CAs show it in base64url, some with
// padding.
func ACMEBinding(cfg *config.Config) ([]byte, error) {
	path := cfg.TLS.ACME.EAB.Key
	if path == "" {
		return nil, nil
	}
	text, err := secretFile("the secret of eab", path)
	if err != nil {
		return nil, err
	}
	secret, err := base64.RawURLEncoding.DecodeString(
		strings.TrimRight(strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimSpace(string(text))), "="))
	if err != nil || len(secret) == 0 {
		return nil, fmt.Errorf("%s holds no secret in base64url", path)
	}
	return secret, nil
}

// ACME is the certificate that is to be got from a CA, without store, holder and sink. roots are those that vouch for
// the CA's directory where the configuration names none.
func ACME(cfg *config.Config, r dns.Resolver, roots func() *x509.CertPool) (certorder.Config, error) {
	a := &cfg.TLS.ACME
	out := certorder.Config{Directory: a.Directory, BindingID: a.EAB.KeyID,
		File: filepath.Join(string(cfg.Data), acmeCopy)}
	if !a.Email.IsNull() {
		out.Email = a.Email.String()
	}
	for _, n := range a.Names {
		out.Names = append(out.Names, n.String())
	}
	for _, c := range a.Challenges {
		out.Challenges = append(out.Challenges, string(c))
	}
	var err error
	if out.Key, err = ACMEKey(cfg); err != nil {
		return out, err
	}
	if out.BindingKey, err = ACMEBinding(cfg); err != nil {
		return out, err
	}
	if a.Trust != "" {
		text, err := os.ReadFile(string(a.Trust))
		if err != nil {
			return out, err
		}
		trusted, err := certpem.Trusted(text)
		if err != nil {
			return out, fmt.Errorf("%s: %w", a.Trust, err)
		}
		pool := x509.NewCertPool()
		for _, c := range trusted {
			pool.AddCert(c)
		}
		roots = func() *x509.CertPool { return pool }
	}
	out.HTTP = toCA(r, roots)
	return out, nil
}

// How long a CA may take.
const (
	caDial    = 10 * time.Second
	caRequest = 30 * time.Second
)

// toCA speaks HTTPS to a CA, wherever it is: the administrator named it. Names are asked of our own resolver.
func toCA(r dns.Resolver, roots func() *x509.CertPool) *http.Client {
	transport := &http.Transport{
		DialTLSContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, caDial)
			defer cancel()
			host, port, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			addrs, err := addressesOf(ctx, r, host)
			if err != nil {
				return nil, err
			}
			var conn net.Conn
			for _, a := range addrs {
				d := tls.Dialer{Config: &tls.Config{ServerName: host, RootCAs: roots(), MinVersion: tls.VersionTLS12}}
				if conn, err = d.DialContext(ctx, network, net.JoinHostPort(a.String(), port)); err == nil {
					return conn, nil
				}
			}
			return nil, err
		},
		Proxy:                  nil, // whatever the environment says
		MaxResponseHeaderBytes: 64 << 10, ResponseHeaderTimeout: caRequest, IdleConnTimeout: caRequest,
		MaxIdleConnsPerHost: 2,
	}
	return &http.Client{Transport: transport, Timeout: caRequest,
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if r.URL.Scheme != "https" || len(via) > 3 {
				return errors.New("the CA leads elsewhere, and not safely")
			}
			return nil
		}}
}

// addressesOf are the addresses of a host, at least one where the error is nil.
func addressesOf(ctx context.Context, r dns.Resolver, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	name, err := mail.ParseDomain(host)
	if err != nil {
		return nil, err
	}
	answer := r.Addrs(ctx, name)
	list := answer.All()
	if len(list) > 0 {
		return list, nil
	}
	if err := answer.Err(); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("%s has no address", host)
}
