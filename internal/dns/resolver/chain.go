package resolver

import (
	"context"
	"errors"
	"strings"
	"time"

	wire "github.com/miekg/dns"

	"postern/internal/dns"
	"postern/internal/mail"
)

// maxAliases bounds a chain of CNAMEs.
const maxAliases = 10

// errChain is the cause of a Malformed error for a chain that loops, is too long, or leads to a name no host can have.
var errChain = errors.New("the chain of aliases has no usable end")

// follow answers name and qtype, going along CNAMEs within a reply and, where a reply ends with an alias and says
// nothing about its target, over more questions. Secure holds only if every reply was secure.
func (r *Resolver) follow(ctx context.Context, name mail.Domain, qtype uint16) (dns.Info, []wire.RR, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, r.cfg.Total, errTotal)
	defer cancel()
	info := dns.Info{Secure: true, TTL: maxTTL, Name: name}
	if _, literal := name.Literal(); literal || name.IsZero() {
		return dns.Info{Name: name}, nil, r.fault(dns.NXDomain, question{name, qtype}, "", errors.New("not a DNS name"))
	}
	for {
		reply, err := r.ask(ctx, question{info.Name, qtype})
		if err != nil {
			return dns.Info{Name: name}, nil, r.renamed(err, question{name, qtype})
		}
		info.Secure = info.Secure && reply.secure
		info.TTL = min(info.TTL, max(0, time.Until(reply.expires)))
		link := walk(reply.records, info.Name, qtype)
		info.Aliases = append(info.Aliases, link.passed...)
		info.Name = link.end
		switch {
		case link.broken || len(info.Aliases) > maxAliases:
			return dns.Info{Name: name}, nil, r.fault(dns.Malformed, question{name, qtype}, "", errChain)
		case len(link.records) > 0:
			return info, link.records, nil
		case reply.nxdomain:
			return info, nil, r.fault(dns.NXDomain, question{name, qtype}, "", nil)
		case !reply.nodata && len(link.passed) == 0 && len(reply.records) > 0:
			return dns.Info{Name: name}, nil, r.fault(dns.Malformed, question{name, qtype}, "", errStray)
		case reply.nodata || len(link.passed) == 0:
			return info, nil, nil
		}
	}
}

// renamed gives an error about the end of a chain the name that the caller asked for.
func (r *Resolver) renamed(err error, q question) error {
	var e *dns.Error
	if errors.As(err, &e) {
		return r.fault(e.Kind, q, e.Server, e)
	}
	return r.fault(dns.ServFail, q, "", err)
}

// link is how far one reply leads.
type link struct {
	records []wire.RR // of the type asked for, at end
	passed  []mail.Domain
	end     mail.Domain
	broken  bool
}

// walk goes from name along the CNAMEs in records to the records of qtype.
func walk(records []wire.RR, name mail.Domain, qtype uint16) link {
	l := link{end: name}
	for range maxAliases + 1 {
		var alias *wire.CNAME
		for _, rr := range records {
			h := rr.Header()
			if h.Class != wire.ClassINET || !strings.EqualFold(h.Name, fqdn(l.end)) {
				continue
			}
			if h.Rrtype == qtype {
				l.records = append(l.records, rr)
			} else if c, ok := rr.(*wire.CNAME); ok {
				alias = c
			}
		}
		if len(l.records) > 0 || alias == nil {
			return l
		}
		l.passed = append(l.passed, l.end)
		if l.end, _ = hostName(alias.Target); l.end.IsZero() {
			break
		}
	}
	l.broken = true
	return l
}
