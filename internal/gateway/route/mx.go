package route

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"

	"postern/internal/dns"
	"postern/internal/mail"
	"postern/internal/policy"
)

// mxHops walks RFC 5321 §5.1. The hops that it returns may all have problems.
func (t *Table) mxHops(ctx context.Context, d mail.Domain) ([]Hop, *Problem) {
	answer, err := t.cfg.Resolver.MX(ctx, d)
	if err != nil {
		p := lookupProblem(err, "the mail exchangers of "+d.String())
		if p.Permanent = dns.IsNXDomain(err); p.Permanent {
			p.Signed = answer.Secure
			p.Text = fmt.Sprintf("the domain %s does not exist", d)
		}
		return nil, p
	}
	if len(answer.Records) == 0 {
		return t.implicitMX(ctx, d, answer.Secure)
	}
	records := slices.DeleteFunc(answer.Records, dns.MX.Null)
	if len(records) == 0 {
		return nil, &Problem{Reason: policy.DNSNullMX, Permanent: true, Signed: answer.Secure,
			Text: fmt.Sprintf("the domain %s says that it takes no mail (null MX)", d)}
	}
	domains := []mail.Domain{d}
	if answer.Secure && answer.Name != d {
		domains = append(domains, answer.Name)
	}
	hops := t.examine(ctx, domains, order(records, t.cfg.MaxHosts), answer.Secure)
	if answer.Secure {
		vouchFor(hops)
	}
	signed := answer.Secure && hops[0].signed
	if hops = t.dropLoop(hops); len(hops) == 0 {
		return nil, &Problem{Reason: policy.MXLoop, Permanent: true, Signed: signed,
			Text: fmt.Sprintf("mail for %s loops back to us: this gateway is its best mail exchanger, and no route "+
				"says where to deliver", d)}
	}
	return hops, nil
}

// vouchFor marks the names of hops as proven by signed DNS. A hop without a name has nothing to be proven.
func vouchFor(hops []Hop) {
	for i := range hops {
		if !hops[i].Host.IsZero() {
			hops[i].Proven, hops[i].By = true, policy.MXBySignedDNS
		}
	}
}

// implicitMX is the domain itself where it has no MX record. Signed says that DNS vouched for the lack of one; to prove
// the name takes addresses that are vouched for too.
func (t *Table) implicitMX(ctx context.Context, d mail.Domain, signed bool) ([]Hop, *Problem) {
	hops := t.examine(ctx, []mail.Domain{d}, []dns.MX{{Host: d, Text: d.String()}}, signed)
	if signed && hops[0].signed {
		vouchFor(hops)
	}
	signed = signed && hops[0].signed
	switch p := hops[0].Problem; {
	case p == nil:
		return hops, nil
	case p.Reason == policy.MXLoop:
		return nil, &Problem{Reason: policy.MXLoop, Permanent: true, Signed: signed,
			Text: fmt.Sprintf("%s has no MX record and is this gateway itself, and no route says where to deliver", d)}
	case p.Reason == policy.DNSNoAddress:
		return nil, &Problem{Reason: policy.DNSNoAddress, Permanent: true, Signed: signed,
			Text: fmt.Sprintf("the domain %s has neither an MX record nor an address", d)}
	default:
		return nil, p
	}
}

// order sorts by preference, shuffles equal ones, keeps each host once, and cuts the list at limit: whoever publishes a
// hundred exchangers gets the best ones tried.
func order(records []dns.MX, limit int) []dns.MX {
	rand.Shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
	slices.SortStableFunc(records, func(a, b dns.MX) int { return cmp.Compare(a.Pref, b.Pref) })
	seen := map[string]bool{}
	records = slices.DeleteFunc(records, func(mx dns.MX) bool {
		name := cmp.Or(mx.Host.String(), mx.Text)
		twice := seen[name]
		seen[name] = true
		return twice
	})
	return records[:min(len(records), limit)]
}

// examine turns mail exchangers of a domain, and of the name behind it, into hops, looking them up side by side. Signed
// says that DNS vouched for which they are.
func (t *Table) examine(ctx context.Context, domains []mail.Domain, records []dns.MX, signed bool) []Hop {
	hops := make([]Hop, len(records))
	each(len(records), func(i int) {
		found := t.mxHop(ctx, records[i], &hops[i])
		t.askTLSA(ctx, &hops[i], domains, found, signed)
	})
	return hops
}

// mxHop makes the hop of one mail exchanger, and returns what DNS said of its addresses.
func (t *Table) mxHop(ctx context.Context, mx dns.MX, hop *Hop) (found dns.Addresses) {
	*hop = Hop{Host: mx.Host, Port: t.cfg.Port, Pref: mx.Pref}
	switch ip, isIP := addressOf(mx.Host); {
	case mx.Host.IsZero():
		hop.Problem = &Problem{Reason: policy.DNSNoAddress,
			Text: fmt.Sprintf("the MX record names %q, which is no host name", mx.Text)}
		return found
	case mx.Host == t.cfg.Hostname:
		hop.signed = true // whose name it is, we know ourselves
		hop.Problem = &Problem{Reason: policy.MXLoop, Text: fmt.Sprintf("%s is this gateway itself", mx.Host)}
		return found
	case isIP:
		hop.Host, found = mail.Domain{}, given([]netip.Addr{ip})
	case isLocalhost(mx.Host):
		hop.Host, found = mail.Domain{}, given(loopback())
	default:
		if found, hop.signed, hop.Problem = t.lookup(ctx, mx.Host); hop.Problem != nil {
			return found
		}
	}
	hop.Addrs, hop.Problem = t.judge(mx.Text, hop.Port, found.All(), false)
	return found
}

// dropLoop removes what RFC 5321 §5.1 forbids to try: the hops that are this gateway, and all that are not preferred to
// them. Whoever is as good as we are would only send the mail back.
func (t *Table) dropLoop(hops []Hop) []Hop {
	for i := range hops {
		if p := hops[i].Problem; p != nil && p.Reason == policy.MXLoop {
			pref := hops[i].Pref // the first in order, so the best
			return slices.DeleteFunc(hops, func(h Hop) bool { return h.Pref >= pref })
		}
	}
	return hops
}
