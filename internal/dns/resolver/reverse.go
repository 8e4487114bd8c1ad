package resolver

import (
	"context"
	"net/netip"
	"strings"
	"time"

	wire "github.com/miekg/dns"

	"postern/internal/dns"
	"postern/internal/mail"
)

// PTR returns the names that the address's network gives it, in the order of the answer. Networks smaller than an octet
// are delegated by aliases with a slash in them (RFC 2317 §4), which no host can be called; they are followed inside a
// reply.
func (r *Resolver) PTR(ctx context.Context, addr netip.Addr) (dns.PTRAnswer, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, r.cfg.Total, errTotal)
	defer cancel()
	name, err := reverseName(addr)
	if err != nil {
		return dns.PTRAnswer{}, r.fault(dns.NXDomain, question{name, wire.TypePTR}, "", err)
	}
	first := question{name, wire.TypePTR}
	answer := dns.PTRAnswer{Info: dns.Info{Secure: true, TTL: maxTTL, Name: name}}
	for range maxAliases {
		reply, err := r.ask(ctx, question{answer.Name, wire.TypePTR})
		if err != nil {
			return dns.PTRAnswer{Info: dns.Info{Name: name}}, r.renamed(err, first)
		}
		answer.Secure = answer.Secure && reply.secure
		answer.TTL = min(answer.TTL, max(0, time.Until(reply.expires)))
		names, end, moved := pointers(reply.records, fqdn(answer.Name))
		answer.Names = names
		switch {
		case end == "":
			return dns.PTRAnswer{Info: dns.Info{Name: name}}, r.fault(dns.Malformed, first, "", errChain)
		case len(names) > 0:
			return answer, nil
		case reply.nxdomain:
			return answer, r.fault(dns.NXDomain, first, "", nil)
		case reply.nodata || !moved:
			return answer, nil
		}
		next, _ := hostName(end)
		if next.IsZero() {
			break
		}
		answer.Aliases, answer.Name = append(answer.Aliases, answer.Name), next
	}
	return dns.PTRAnswer{Info: dns.Info{Name: name}}, r.fault(dns.Malformed, first, "", errChain)
}

// reverseName is where the names of an address are (RFC 1035 §3.5, RFC 3596 §2.5).
func reverseName(addr netip.Addr) (mail.Domain, error) {
	name, err := wire.ReverseAddr(addr.Unmap().WithZone("").String())
	if err != nil {
		return mail.Domain{}, err
	}
	return mail.ParseDomain(name)
}

// pointers goes from name along the aliases in records to its PTR records. end is where the way ended, "" where it does
// not end; moved says that there was any. Names are compared as text, for aliases here may be what no host can be
// called.
func pointers(records []wire.RR, name string) (names []mail.Domain, end string, moved bool) {
	end = name
	for range maxAliases {
		alias := ""
		for _, rr := range records {
			if h := rr.Header(); h.Class != wire.ClassINET || !strings.EqualFold(h.Name, end) {
				continue
			}
			switch rr := rr.(type) {
			case *wire.PTR:
				if host, _ := hostName(rr.Ptr); !host.IsZero() {
					names = append(names, host)
				}
			case *wire.CNAME:
				alias = rr.Target
			}
		}
		if len(names) > 0 || alias == "" {
			return names, end, moved
		}
		end, moved = alias, true
	}
	return nil, "", true
}
