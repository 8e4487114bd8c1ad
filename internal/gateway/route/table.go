package route

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"postern/internal/event"
	"postern/internal/mail"
	"postern/internal/policy"
)

// Table answers where mail goes. It is immutable and safe for concurrent use.
type Table struct {
	cfg   Config
	own   map[mail.Domain]Own
	exact map[mail.Domain][]HostPort
	wild  []wildcard // longest first
	any   []HostPort // of "*"; nil without one
}

type wildcard struct {
	parent mail.Domain
	to     []HostPort
}

// New checks cfg and builds a Table. Its error names everything that is wrong.
func New(cfg Config) (*Table, error) {
	if cfg.Port == 0 {
		cfg.Port = 25
	}
	cfg.MaxHosts = orDefault(cfg.MaxHosts, 10)
	cfg.MaxAddrs = orDefault(cfg.MaxAddrs, 8)
	cfg.Timeout = orDefault(cfg.Timeout, 30*time.Second)
	cfg.HostsFile = cmp.Or(cfg.HostsFile, "/etc/hosts")
	cfg.DenyNetworks = Unmapped(cfg.DenyNetworks)
	cfg.LocalAddrs = slices.Clone(cfg.LocalAddrs)
	t := &Table{cfg: cfg, own: map[mail.Domain]Own{}, exact: map[mail.Domain][]HostPort{}}
	var errs []error
	for _, o := range cfg.Own {
		errs = append(errs, t.addOwn(o))
	}
	for _, r := range cfg.Routes {
		errs = append(errs, t.addRoute(r))
	}
	slices.SortStableFunc(t.wild, func(a, b wildcard) int {
		return cmp.Compare(len(b.parent.String()), len(a.parent.String()))
	})
	t.cfg.Own, t.cfg.Routes = nil, nil // kept in the maps
	return t, errors.Join(errs...)
}

func orDefault[T int | time.Duration](v, def T) T {
	if v <= 0 {
		return def
	}
	return v
}

// Unmapped copies networks, with those of IPv4-mapped addresses (::ffff:10.0.0.0/104) in their IPv4 form.
func Unmapped(networks []netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range networks {
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		out = append(out, p.Masked())
	}
	return out
}

func (t *Table) addOwn(o Own) error {
	if _, twice := t.own[o.Domain]; twice {
		return fmt.Errorf("the domain %s is configured twice", o.Domain)
	}
	if o.Domain.IsZero() {
		return errors.New("a domain without a name")
	}
	to, err := t.hosts(o.To)
	if err != nil {
		return fmt.Errorf("domain %s: %w", o.Domain, err)
	}
	o.To, o.Pins = to, slices.Clone(o.Pins)
	t.own[o.Domain] = o
	return nil
}

func (t *Table) addRoute(r Route) error {
	name := strings.Join(r.Match, ", ")
	if len(r.Match) == 0 {
		return errors.New("a route that matches nothing")
	}
	if len(r.To) == 0 {
		return fmt.Errorf("route for %s: it names no host", name)
	}
	to, err := t.hosts(r.To)
	if err != nil {
		return fmt.Errorf("route for %s: %w", name, err)
	}
	for _, m := range r.Match {
		if err := t.addMatch(m, to); err != nil {
			return fmt.Errorf("route for %s: %w", name, err)
		}
	}
	return nil
}

func (t *Table) addMatch(match string, to []HostPort) error {
	if match == "*" {
		if t.any != nil {
			return errors.New(`"*" is routed twice`)
		}
		t.any = to
		return nil
	}
	below, isWild := strings.CutPrefix(match, "*.")
	d, err := mail.ParseDomain(below)
	if err != nil {
		return fmt.Errorf("%q is neither a domain, *.domain nor *", match)
	}
	if !isWild {
		if _, twice := t.exact[d]; twice {
			return fmt.Errorf("%q is routed twice", match)
		}
		t.exact[d] = to
		return nil
	}
	if slices.ContainsFunc(t.wild, func(w wildcard) bool { return w.parent == d }) {
		return fmt.Errorf("%q is routed twice", match)
	}
	t.wild = append(t.wild, wildcard{d, to})
	return nil
}

// hosts checks named hosts and gives each its port. A name that is an address literal, or looks like an address,
// becomes one.
func (t *Table) hosts(in []HostPort) ([]HostPort, error) {
	var out []HostPort
	for _, h := range in {
		if ip, ok := addressOf(h.Host); ok {
			h = HostPort{IP: ip, Port: h.Port}
		}
		if h.Host.IsZero() == !h.IP.IsValid() {
			return nil, errors.New("a next hop needs either a name or an address")
		}
		if h.IP = h.IP.Unmap(); h.IP.IsValid() && undialable(h.IP) {
			return nil, fmt.Errorf("%s is not the address of a host", h.IP)
		}
		h.Port = cmp.Or(h.Port, t.cfg.Port)
		out = append(out, h)
	}
	return out, nil
}

// addressOf returns the address that d is, written as a literal or as a dotted quad where a name should be.
func addressOf(d mail.Domain) (netip.Addr, bool) {
	if ip, ok := d.Literal(); ok {
		return ip, true
	}
	ip, err := netip.ParseAddr(d.String())
	return ip, err == nil
}

// Own returns what is configured for a domain we receive for. The slices are not to be changed.
func (t *Table) Own(d mail.Domain) (Own, bool) {
	o, ok := t.own[d]
	return o, ok
}

// OwnDomains lists the domains we receive for, sorted.
func (t *Table) OwnDomains() []mail.Domain {
	return slices.SortedFunc(maps.Keys(t.own), func(a, b mail.Domain) int { return strings.Compare(a.String(), b.String()) })
}

// Serves reports whether we receive for d.
func (t *Table) Serves(d mail.Domain) bool {
	_, ok := t.own[d]
	return ok
}

// Leg returns the leg that mail for d travels.
func (t *Table) Leg(d mail.Domain) event.Leg {
	if t.Serves(d) {
		return event.OutOwn
	}
	return event.OutWorld
}

// named returns the hosts an administrator named for d and how the choice is called in NextHop; nil where MX decides.
func (t *Table) named(d mail.Domain) (how string, to []HostPort) {
	if o, ok := t.own[d]; ok && len(o.To) > 0 {
		return "own:", o.To
	}
	if to, ok := t.exact[d]; ok {
		return "to:", to
	}
	for _, w := range t.wild {
		if d.Below(w.parent) {
			return "to:", w.to
		}
	}
	if t.any != nil {
		return "to:", t.any
	}
	return "mx:", nil
}

// NextHop names where mail for d goes under r, without any I/O: "mx:clinic.test", "to:mx.partner.test:25,..." or
// "own:mail.internal:25,..."; deliveries with the same NextHop may share connections. Where r demands proof of the
// recipient domain's own name, the domain is part of it ("to:relay.test:25@clinic.test").
func (t *Table) NextHop(d mail.Domain, r policy.Requirement) string {
	how, to := t.named(d)
	if to == nil {
		return how + d.String()
	}
	var hosts []string
	for _, h := range to {
		hosts = append(hosts, h.String())
	}
	key := how + strings.Join(hosts, ",")
	if slices.ContainsFunc(r.Demands(), func(p policy.PeerDemand) bool { return p.Names.Domain }) {
		key += "@" + d.String()
	}
	return key
}
