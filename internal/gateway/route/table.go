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
	"postern/internal/platform/publicaddr"
)

// Table answers where mail goes. It is immutable and safe for concurrent use.
type Table struct {
	cfg     Config
	own     map[mail.Domain]Own
	hosted  matches[[]HostPort]
	manners matches[Manner]
	called  map[string]Route // by its name
	// excepted says why what is published is set aside, by kind, and exceptedUntil until when; see Except.
	excepted      map[string]string
	exceptedUntil time.Time
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
	cfg.DenyNetworks = publicaddr.Unmapped(cfg.DenyNetworks)
	cfg.LocalAddrs = slices.Clone(cfg.LocalAddrs)
	t := &Table{cfg: cfg, own: map[mail.Domain]Own{}, called: map[string]Route{}}
	var errs []error
	for _, o := range cfg.Own {
		errs = append(errs, t.addOwn(o))
	}
	for _, r := range cfg.Routes {
		errs = append(errs, t.addRoute(r))
	}
	t.cfg.Own, t.cfg.Routes = nil, nil // kept in the maps
	return t, errors.Join(errs...)
}

func orDefault[T int | time.Duration](v, def T) T {
	if v <= 0 {
		return def
	}
	return v
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
	if len(r.Match) == 0 && r.Name == "" {
		return errors.New("a route that matches nothing")
	}
	if len(r.To) == 0 && r.Manner.zero() {
		return fmt.Errorf("route for %s: it names no host", name)
	}
	to, err := t.hosts(r.To)
	if err != nil {
		return fmt.Errorf("route for %s: %w", name, err)
	}
	if err := t.addNamed(r, to); err != nil {
		return err
	}
	for _, m := range r.Match {
		var errs [2]error
		if len(to) > 0 {
			errs[0] = t.hosted.add(m, to)
		}
		if !r.Manner.zero() {
			errs[1] = t.manners.add(m, r.Manner)
		}
		if err := errors.Join(errs[:]...); err != nil {
			return fmt.Errorf("route for %s: %w", name, err)
		}
	}
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
	return slices.SortedFunc(maps.Keys(t.own),
		func(a, b mail.Domain) int { return strings.Compare(a.String(), b.String()) })
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

// named returns the hosts an administrator named for d and by what; nil where MX decides.
func (t *Table) named(d mail.Domain) (by By, to []HostPort) {
	if o, ok := t.own[d]; ok && len(o.To) > 0 {
		return ByOwn, o.To
	}
	if to, ok := t.hosted.of(d); ok {
		return ByRoute, to
	}
	return ByMX, nil
}

// manner is how the servers for d are spoken to.
func (t *Table) manner(d mail.Domain) Manner {
	m, _ := t.manners.of(d)
	m = m.over(t.cfg.Manner)
	m.Source = t.Source(d)
	return m
}
