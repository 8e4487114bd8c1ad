package route

import (
	"fmt"
	"slices"
	"strings"

	"postern/internal/mail"
	"postern/internal/policy"
)

// By says who names the hosts of a next hop.
type By string

// Who names hosts. The words are those of the stored text.
const (
	ByMX    By = "mx"  // DNS, for the recipient domain
	ByRoute By = "to"  // a route
	ByOwn   By = "own" // the configuration of a domain of ours
	ByName  By = "via" // a route of that name, which a rule redirects to
)

// NextHop is where mail waits. Deliveries with an equal one may share connections.
type NextHop struct {
	By By
	// Hosts are those an administrator named, "mx.partner.test:25,[2001:db8::1]:25"; "" where DNS names them. ByName it
	// is the name of the route.
	Hosts string
	// Domain is the recipient domain whose mail exchangers are the hosts, or whose own name named hosts must prove;
	// zero where named hosts need not.
	Domain mail.Domain
	// Source is what the route of the domain says of where connections come from, so that none is shared by two. Where
	// DNS names the hosts no two domains share one anyway.
	Source Source
}

// NextHop says where mail for d goes under r, without any I/O.
func (t *Table) NextHop(d mail.Domain, r policy.Requirement) NextHop {
	by, to := t.named(d)
	if to == nil {
		return NextHop{By: by, Domain: d}
	}
	hosts := make([]string, len(to))
	for i, h := range to {
		hosts[i] = h.String()
	}
	out := NextHop{By: by, Hosts: strings.Join(hosts, ",")}
	if by == ByRoute {
		out.Source = t.ofRoute(d)
	}
	if provesDomain(r) {
		out.Domain = d
	}
	return out
}

// provesDomain reports whether r is held against the recipient's domain, so that no two domains share a connection.
func provesDomain(r policy.Requirement) bool {
	return slices.ContainsFunc(r.Demands(), func(p policy.PeerDemand) bool { return p.Names.Domain })
}

// String is the text under which a next hop is stored and shown: "mx:clinic.test", "to:mx.partner.test:25,...",
// "own:mail.internal:25,...", with a source "to:mx.partner.test:25~192.0.2.5", and with a name to prove
// "to:relay.test:25@clinic.test". Mail that a rule redirects has "via:portal".
func (h NextHop) String() string {
	text := string(h.By) + ":" + h.Hosts
	if h.Source != (Source{}) {
		text += "~" + h.Source.String()
	}
	switch {
	case h.By == ByMX:
		return text + h.Domain.String()
	case !h.Domain.IsZero():
		return text + "@" + h.Domain.String()
	}
	return text
}

// ParseNextHop reads what String wrote.
func ParseNextHop(text string) (h NextHop, err error) {
	by, rest, _ := strings.Cut(text, ":")
	switch h.By = By(by); h.By {
	case ByMX:
		h.Domain, err = mail.ParseDomain(rest)
	case ByRoute, ByOwn, ByName:
		hosts, domain, proves := strings.Cut(rest, "@")
		var source string
		var said bool
		if h.Hosts, source, said = strings.Cut(hosts, "~"); said {
			h.Source, err = parseSource(source)
		}
		if proves && err == nil {
			h.Domain, err = mail.ParseDomain(domain)
		}
	default:
		err = fmt.Errorf("%q is no next hop", text)
	}
	if err != nil {
		return NextHop{}, err
	}
	return h, nil
}

// Servers is h without what differs between recipient domains at the same named hosts.
func (h NextHop) Servers() NextHop {
	if h.By != ByMX {
		h.Domain = mail.Domain{}
	}
	return h
}
