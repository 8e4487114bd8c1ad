package rooms

import (
	"crypto"

	"postern/internal/config"
	"postern/internal/dns"
	"postern/internal/gateway/tlsreport"
	"postern/internal/gateway/webclient"
	"postern/internal/policy/certcheck/roots"
)

// ReportAuthor says who reports on TLS with other domains' servers.
func ReportAuthor(cfg *config.Config) tlsreport.Author {
	t := &cfg.TLSRPT
	return tlsreport.Author{Organization: t.Organization, Contact: t.Contact, From: t.From, Gateway: cfg.Hostname}
}

// Reporting says how reports are written, signed and brought to those that want them. Who sends adds what they are made
// of and where mail is queued.
func Reporting(cfg *config.Config, r dns.Resolver, dialer webclient.Dialer, trusted *roots.Store,
	key crypto.Signer) tlsreport.Config {
	dkim := &cfg.TLSRPT.DKIM
	return tlsreport.Config{Names: r, Author: ReportAuthor(cfg),
		Sign: tlsreport.Signing(dkim.Domain.String(), dkim.Selector, key),
		Web: webclient.New(webclient.Config{Resolver: r, Dialer: dialer, Allow: cfg.Policies.Networks,
			Roots: PublicRoots(trusted)})}
}
