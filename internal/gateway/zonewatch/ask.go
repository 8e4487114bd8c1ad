package zonewatch

import (
	"context"
	"crypto/x509"
	"errors"
	"sync"
	"time"

	"postern/internal/dns"
	"postern/internal/gateway/stscache"
	"postern/internal/mail"
	"postern/internal/policy/dane"
	"postern/internal/policy/ownzone"
	"postern/internal/policy/sts"
	"postern/internal/policy/tlsrpt"
)

// The bounds of a look.
const (
	askTime   = 30 * time.Second // for one question, whatever it takes
	atATime   = 6                // questions, fewer than our own web listener lets one client ask
	mostHosts = 20               // mail hosts of one domain
)

// Asker asks. All of it must be set. It is safe for concurrent use.
type Asker struct {
	Resolver dns.Resolver
	// Validates says that the resolver's word is believed that an answer is signed.
	Validates bool
	Fetcher   stscache.Fetcher
}

// Look asks about some of our domains and about all of our hosts, and returns what senders who trust roots would find
// now. It does not fail: what could not be asked says so. It returns early when ctx ends.
func (a *Asker) Look(ctx context.Context, own *ownzone.Own, domains []ownzone.Domain,
	roots *x509.CertPool) *ownzone.Seen {
	seen := &ownzone.Seen{Now: time.Now(), Roots: roots, Validates: a.Validates,
		Domains: make([]ownzone.SeenDomain, len(domains)), Hosts: map[mail.Domain]ownzone.SeenHost{}}
	places := make(chan struct{}, atATime)
	each(places, len(domains), func(i int) {
		seen.Domains[i] = a.domain(ctx, domains[i],
			len(own.Reports.Destinations) > 0)
	})
	hosts := own.Hosts()
	for _, host := range hosts {
		seen.Hosts[host] = ownzone.SeenHost{}
	}
	for i := range seen.Domains {
		for n, mx := range seen.Domains[i].MX.Records {
			if _, there := seen.Hosts[mx.Host]; !there && !mx.Host.IsZero() && n < mostHosts {
				seen.Hosts[mx.Host] = ownzone.SeenHost{}
				hosts = append(hosts, mx.Host)
			}
		}
	}
	found := make([]ownzone.SeenHost, len(hosts))
	each(places, len(hosts), func(i int) { found[i] = a.host(ctx, hosts[i]) })
	for i, host := range hosts {
		seen.Hosts[host] = found[i]
	}
	return seen
}

// each does something n times, as many at once as there are places, and returns when all is done.
func each(places chan struct{}, n int, do func(int)) {
	var group sync.WaitGroup
	for i := range n {
		places <- struct{}{}
		group.Go(func() {
			defer func() { <-places }()
			do(i)
		})
	}
	group.Wait()
}

// domain asks about a domain. The policy host is asked where there should be a policy, or a record says that there is
// one; the record about reports where reports are taken.
func (a *Asker) domain(ctx context.Context, d ownzone.Domain, reports bool) ownzone.SeenDomain {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	out := ownzone.SeenDomain{Name: d.Name}
	out.MX, out.MXErr = a.Resolver.MX(ctx, d.Name)
	record, err := mail.ParseDomain("_mta-sts." + d.Name.String())
	if err != nil {
		return out // the name is as long as a name may be: there can be no record, nor a policy
	}
	out.TXT, out.TXTErr = a.Resolver.TXT(ctx, record)
	if reports {
		a.reports(ctx, &out)
	}
	if _, err := sts.ParseRecord(out.TXT.Texts); d.Policy.Mode == "" && err != nil {
		return out
	}
	out.Served, err = a.Fetcher.Fetch(ctx, d.Name)
	if err != nil {
		out.Served, out.Fault = sts.Policy{}, fault(ctx, err)
	}
	return out
}

// LookForReports asks of some of our domains for the record about reports on TLS alone.
func (a *Asker) LookForReports(ctx context.Context, domains []ownzone.Domain) []ownzone.SeenDomain {
	out := make([]ownzone.SeenDomain, len(domains))
	each(make(chan struct{}, atATime), len(domains), func(i int) {
		ctx, cancel := context.WithTimeout(ctx, askTime)
		defer cancel()
		out[i] = ownzone.SeenDomain{Name: domains[i].Name, OnlyReports: true}
		a.reports(ctx, &out[i])
	})
	return out
}

// reports asks for the record about reports on TLS.
func (a *Asker) reports(ctx context.Context, d *ownzone.SeenDomain) {
	name, err := mail.ParseDomain(tlsrpt.Name(d.Name))
	if err != nil {
		return // the name is as long as a name may be: there can be no record
	}
	d.Reports, d.ReportsErr = a.Resolver.TXT(ctx, name)
}

// host asks about a mail host.
func (a *Asker) host(ctx context.Context, name mail.Domain) (out ownzone.SeenHost) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	out.Addrs = a.Resolver.Addrs(ctx, name)
	tlsa, err := mail.ParseDomain(dane.Name(name, 25))
	if err != nil {
		return out // there can be none
	}
	out.TLSA, out.TLSAErr = a.Resolver.TLSA(ctx, tlsa)
	return out
}

// fault says what a failure of the Fetcher means for those who want the policy.
func fault(ctx context.Context, err error) ownzone.Fault {
	failure, ok := errors.AsType[*stscache.Failure](err)
	if !ok || ctx.Err() != nil {
		return ownzone.Fault{Code: ownzone.STSHostUnknown, Text: "the policy host could not be asked in time"}
	}
	out := ownzone.Fault{Code: ownzone.STSHostUnknown, Text: failure.Text}
	switch failure.Kind {
	case stscache.HostUnknown:
		if failure.Err == nil || dns.IsNXDomain(failure.Err) {
			out.Code = ownzone.STSHostUnreachable
		}
	case stscache.HostPrivate, stscache.HostSilent, stscache.HostRefused, stscache.TLSFailed:
		out.Code = ownzone.STSHostUnreachable
	case stscache.Certificate:
		out.Code = ownzone.STSHostCertificate
	case stscache.BadStatus, stscache.BadAnswer:
		out.Code = ownzone.STSHostAnswer
	case stscache.PolicyInvalid:
		out.Code = ownzone.STSPolicyMalformed
	}
	return out
}
