package route

import (
	"context"
	"time"

	"postern/internal/dns"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/policy/dane"
)

// What a host publishes is asked for again after its time to live, within these bounds: a record of no time at all
// serves the connection for which it was asked.
const (
	leastPublished = 10 * time.Second
	mostPublished  = 5 * time.Minute
)

// askTLSA finds the TLSA records of a hop whose addresses were found, and what they demand (RFC 7672 §2.2). Records
// that could not be looked up are not the same as none: the hop is passed over then. signed says that the host's name
// owes nothing to unsigned DNS; if it does, its own records count all the same, and speak for nobody else (RFC 7672
// §2.2.1). domains are the recipients' domain and the name behind it, where it is an alias.
func (t *Table) askTLSA(ctx context.Context, hop *Hop, domains []mail.Domain, found dns.Addresses, signed bool) {
	now := time.Now()
	hop.Until = now.Add(mostPublished)
	if t.cfg.DANE == "" || hop.Problem != nil || hop.Host.IsZero() {
		return
	}
	bases, err := t.bases(ctx, hop.Host, found)
	for _, base := range bases {
		var answer dns.TLSAAnswer
		if answer, err = t.tlsaOf(ctx, base, hop.Port); err != nil {
			break
		}
		hop.Until = earliest(hop.Until, now.Add(max(answer.TTL, leastPublished)))
		if len(answer.Records) > 0 && answer.Secure {
			hop.publishes(base, domains, answer, t.cfg.DANE, now)
			break
		}
	}
	if err != nil {
		t.tlsaUnknown(hop, err, now)
	}
	for i := range hop.Published {
		hop.Published[i].Half = !signed
	}
}

// bases are the names below which a host's TLSA records are looked for, in that order: of an alias the name behind it
// and its own, as far as these are signed (RFC 7672 §2.2.2); of a host that is not signed none.
func (t *Table) bases(ctx context.Context, host mail.Domain, found dns.Addresses) ([]mail.Domain, error) {
	family := found.V4
	if len(family.Addrs) == 0 || !family.Secure && len(found.V6.Addrs) > 0 && found.V6.Secure {
		family = found.V6
	}
	switch {
	case len(family.Addrs) == 0:
		return nil, nil
	case len(family.Aliases) == 0 && family.Secure:
		return []mail.Domain{host}, nil
	case family.Secure:
		return []mail.Domain{family.Name, host}, nil
	case len(family.Aliases) == 0:
		return nil, nil
	}
	alias, err := t.cfg.Resolver.CNAME(ctx, host)
	if err != nil || !alias.Secure || alias.Target.IsZero() {
		return nil, err
	}
	return []mail.Domain{host}, nil
}

// tlsaOf asks for the records of a port below a base name. A name that does not exist has none.
func (t *Table) tlsaOf(ctx context.Context, base mail.Domain, port uint16) (dns.TLSAAnswer, error) {
	name, err := mail.ParseDomain(dane.Name(base, port))
	if err != nil { // too long to exist
		return dns.TLSAAnswer{}, nil
	}
	answer, err := t.cfg.Resolver.TLSA(ctx, name)
	if dns.IsNXDomain(err) {
		err = nil
	}
	return answer, err
}

// publishes writes down the records that were found.
func (h *Hop) publishes(base mail.Domain, domains []mail.Domain, answer dns.TLSAAnswer, mode string, now time.Time) {
	set := dane.Sort(answer.Records)
	p := policy.Published{Kind: policy.PublishedDANE, Mode: mode, Source: dane.Name(base, h.Port),
		AsOf: now.UTC(), Until: h.Until.UTC(), Unusable: len(set.Unusable), Demand: policy.EncryptedDemand()}
	for _, r := range answer.Records {
		p.Records = append(p.Records, dane.Format(r))
	}
	switch {
	case len(set.Usable) > 0:
		p.Demand = policy.HostDemand()
		h.TLSA, h.Bases = set.Usable, append([]mail.Domain{base, h.Host}, domains...)
	default:
		p.Note = "none of the TLSA records can be used, so that they demand TLS and nothing more: " +
			set.Unusable[0].Why
	}
	h.Published = append(h.Published, p)
}

// tlsaUnknown: whether the host demands DANE could not be found out.
func (t *Table) tlsaUnknown(hop *Hop, err error, now time.Time) {
	p := lookupProblem(err, "the TLSA records of "+hop.Host.String())
	if t.cfg.DANE == policy.Enforced {
		p.Text += "; mail is not sent there while it is not known whether DANE is demanded"
		hop.Problem, hop.Addrs = p, nil
	}
	hop.Published = append(hop.Published, policy.Published{Kind: policy.PublishedDANE, Mode: t.cfg.DANE,
		AsOf: now.UTC(), Note: p.Text, Shortfalls: []policy.Shortfall{{Reason: p.Reason, Text: p.Text}}})
}

func earliest(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
