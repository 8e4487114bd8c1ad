package route

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"

	"postern/internal/mail"
)

// Source is where connections come from: an address of this machine of each family. A zero one leaves the choice to the
// system, for that family alone.
type Source struct{ V4, V6 netip.Addr }

// NewSource makes a Source of at most one address of each family.
func NewSource(addrs []netip.Addr) (s Source, err error) {
	for _, a := range addrs {
		a = a.Unmap()
		place := &s.V6
		if a.Is4() {
			place = &s.V4
		}
		switch {
		case !a.IsValid() || a.Zone() != "" || undialable(a):
			return Source{}, fmt.Errorf("%s is not an address that connections can come from", a)
		case place.IsValid():
			return Source{}, fmt.Errorf("%s and %s are of one family: there can be one of IPv4 and one of IPv6",
				*place, a)
		}
		*place = a
	}
	return s, nil
}

// For is the address that connections to another come from; the zero Addr leaves it to the system.
func (s Source) For(to netip.Addr) netip.Addr {
	if to.Unmap().Is4() {
		return s.V4
	}
	return s.V6
}

// String is "192.0.2.5,2001:db8::5", "" where nothing is said.
func (s Source) String() string {
	var texts []string
	for _, a := range [...]netip.Addr{s.V4, s.V6} {
		if a.IsValid() {
			texts = append(texts, a.String())
		}
	}
	return strings.Join(texts, ",")
}

// over is s, and what general says of the families of which s says nothing.
func (s Source) over(general Source) Source {
	return Source{cmp.Or(s.V4, general.V4), cmp.Or(s.V6, general.V6)}
}

// parseSource reads what String wrote.
func parseSource(text string) (Source, error) {
	var addrs []netip.Addr
	for part := range strings.SplitSeq(text, ",") {
		a, err := netip.ParseAddr(part)
		if err != nil {
			return Source{}, fmt.Errorf("%q is no source of connections", text)
		}
		addrs = append(addrs, a)
	}
	return NewSource(addrs)
}

// Source is where connections for mail to d come from, without any I/O. To the servers of our own domains the system
// chooses: they are in a network of ours, to which an address of the world may have no way back.
func (t *Table) Source(d mail.Domain) Source {
	if by, _ := t.named(d); by == ByOwn {
		return Source{}
	}
	return t.ofRoute(d).over(t.cfg.Manner.Source)
}

// ofRoute is what the route of d says of it.
func (t *Table) ofRoute(d mail.Domain) Source {
	m, _ := t.manners.of(d)
	return m.Source
}
