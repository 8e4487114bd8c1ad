package rooms

import (
	"crypto/x509"
	"fmt"
	"net/netip"
	"os"
	"slices"

	"postern/internal/config"
	"postern/internal/dns/resolver"
	"postern/internal/gateway/publicweb"
	"postern/internal/gateway/stscache"
	"postern/internal/gateway/zonewatch"
	"postern/internal/platform/certpem"
	"postern/internal/platform/sandbox"
	"postern/internal/policy/ownzone"
	"postern/internal/policy/tlsrpt"
)

// OwnZone is what we serve and what DNS should say of it: the certificates and next keys are read from their files.
func OwnZone(cfg *config.Config) (*ownzone.Own, error) {
	out := &ownzone.Own{Hostname: cfg.Hostname, Web: ServesWeb(cfg), Reports: reportsRecord(cfg)}
	for i := range cfg.Domain {
		d := ownzone.Domain{Name: cfg.Domain[i].Name}
		if s := &cfg.Domain[i].STS; s.Published() {
			p, err := s.Policy()
			if err != nil {
				return nil, err
			}
			d.Policy = p
		}
		out.Domains = append(out.Domains, d)
	}
	var files []string
	for _, c := range cfg.TLS.Certificates {
		files = append(files, string(c.Cert))
	}
	if file := ACMEFile(cfg); file != "" {
		files = append(files, file)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("cannot read the certificate: %w", err)
		}
		chain, err := certpem.Chain(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		out.Certificates = append(out.Certificates, ownzone.Certificate{File: file, Chain: chain})
	}
	for _, file := range cfg.TLS.NextKeys {
		key, err := NextKey(file)
		if err != nil {
			return nil, err
		}
		out.NextKeys = append(out.NextKeys, key)
	}
	return out, nil
}

// reportsRecord is what should stand in _smtp._tls of each domain; the zero Record where no reports are taken.
func reportsRecord(cfg *config.Config) (out tlsrpt.Record) {
	for _, a := range cfg.TLSRPT.Receive {
		out.Destinations = append(out.Destinations, tlsrpt.Destination{Mail: a})
	}
	if cfg.TLSRPT.ReceiveHTTPS {
		out.Destinations = append(out.Destinations,
			tlsrpt.Destination{URL: "https://" + cfg.Hostname.String() + publicweb.ReportPath})
	}
	return out
}

// NextKey reads a file of tls.next_keys. A private key that everyone on the machine may read is no secret and is
// refused.
func NextKey(file config.Path) (ownzone.Key, error) {
	text, err := os.ReadFile(string(file))
	if err != nil {
		return ownzone.Key{}, fmt.Errorf("cannot read the next key: %w", err)
	}
	spki, secret, err := certpem.PublicKey(text)
	if err != nil {
		return ownzone.Key{}, fmt.Errorf("%s cannot be used as a next key: %w", file, err)
	}
	if secret {
		if err := sandbox.Exposed(string(file)); err != nil {
			return ownzone.Key{}, fmt.Errorf("the private key %w", err)
		}
	}
	return ownzone.Key{File: string(file), SPKI: spki}, nil
}

// ServesWeb reports whether a listener serves the policies of our domains.
func ServesWeb(cfg *config.Config) bool {
	return slices.ContainsFunc(cfg.Listen, func(l config.Listen) bool { return l.Mode == config.ModeWeb })
}

// AskingOthers makes what asks DNS and policy hosts about our own domains. The policy host of a domain of ours may
// have any address: inside one's own network its name often leads another way. A nil dialer is a net.Dialer, and port
// is where it listens, 0 for 443.
func AskingOthers(r *resolver.Resolver, dialer stscache.Dialer, roots func() *x509.CertPool,
	port uint16) *zonewatch.Asker {
	return &zonewatch.Asker{Resolver: r, Validates: r.Validates(), Fetcher: stscache.NewHTTPS(stscache.HTTPSConfig{
		Resolver: r, Dialer: dialer, Roots: roots, Port: port,
		Allow: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}})}
}
