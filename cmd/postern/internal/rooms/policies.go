package rooms

import (
	"crypto/x509"

	"postern/internal/config"
	"postern/internal/dns"
	"postern/internal/gateway/stscache"
	"postern/internal/platform/records"
	"postern/internal/policy"
	"postern/internal/policy/certcheck/roots"
)

// Policies says how the MTA-STS policies of recipient domains are found, over connections of dialer, and where they are
// kept.
func Policies(cfg *config.Config, r dns.Resolver, dialer stscache.Dialer, trusted *roots.Store,
	store records.Store) stscache.Config {
	return stscache.Config{Store: store, Resolver: r, Timeout: cfg.Policies.STSTimeout.Duration,
		Fetcher: stscache.NewHTTPS(stscache.HTTPSConfig{Resolver: r, Dialer: dialer, Allow: cfg.Policies.Networks,
			Roots: PublicRoots(trusted)})}
}

// PublicRoots yields the public roots as they are now. Where they cannot be read nobody is trusted, and not whom the
// system trusts.
func PublicRoots(trusted *roots.Store) func() *x509.CertPool {
	return func() *x509.CertPool {
		pools, err := trusted.Pools(policy.PublicTrust)
		if pool := pools[policy.PublicTrust]; err == nil && pool != nil {
			return pool
		}
		return x509.NewCertPool()
	}
}
