package mailhosts

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"postern/internal/attempt"
	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/operator/trace"
	"postern/internal/policy"
	"postern/internal/policy/mxpins"
	"postern/internal/queue"
)

// Candidate is a name below which mail hosts of a domain lie, and that a rule of the domain does not trust yet.
type Candidate struct {
	Name string `json:"name"` // a registrable domain
	// Hosts are the mail hosts below it that DNS names now; none where it names none, or was not asked.
	Hosts []string `json:"hosts"`
	// Rules are those that remember other names and would have it from an approval.
	Rules []string `json:"rules"`
	// SeenAt is when a rule saw it beside the name it used first.
	SeenAt *time.Time `json:"seen_at,omitempty"`
	// Waiting counts deliveries that were put off because of it, of the newest looked at; WaitingSince is when the
	// oldest of them was accepted, and MetAt when a delivery last met it.
	Waiting      int        `json:"waiting"`
	WaitingSince *time.Time `json:"waiting_since,omitempty"`
	MetAt        *time.Time `json:"met_at,omitempty"`
}

// Candidates are the names that could be approved for a domain.
type Candidates struct {
	Domain     string      `json:"domain"`
	Candidates []Candidate `json:"candidates"`
	// Known are the names that every rule of the domain trusts already.
	Known []string `json:"known"`
	// Problem is why DNS could not be asked, "" where it was, or was not to be.
	Problem string `json:"problem,omitempty"`
}

// candidatesLook bounds how many waiting deliveries are looked at for the names they met.
const candidatesLook = 1000

// Candidates lists what could be approved for a domain: what DNS names now if ask is true, what was seen at a first
// use, what waiting deliveries met. It changes nothing.
func (d HostDesk) Candidates(ctx context.Context, domain string, ask bool) (Candidates, error) {
	if err := d.who.Wide(access.ReadPeers); err != nil {
		return Candidates{}, err
	}
	return d.s.candidates(ctx, domain, ask)
}

func (s *Service) candidates(ctx context.Context, domain string, ask bool) (Candidates, error) {
	d, err := s.pinned(domain)
	if err != nil {
		return Candidates{}, err
	}
	pins, err := s.cfg.Pins.Pins(ctx, d.String())
	if err != nil {
		return Candidates{}, fmt.Errorf("cannot read the names of mail hosts: %w", err)
	}
	c := gathering{pins: pins, found: map[string]*Candidate{}}
	for _, p := range pins {
		if at := c.at(p.Name); !p.Trusted() && (at.SeenAt == nil || p.Since.Before(*at.SeenAt)) {
			at.SeenAt = trace.Instant(p.Since)
		}
	}
	if err := c.waiting(ctx, s.cfg.Store, d.String()); err != nil {
		return Candidates{}, err
	}
	out := Candidates{Domain: d.String()}
	if ask {
		hosts, err := s.mailHosts(ctx, d)
		if err != nil {
			out.Problem = err.Error()
		}
		for _, h := range hosts {
			at := c.at(mxpins.Registrable(h))
			at.Hosts = append(at.Hosts, h.String())
		}
	}
	out.Candidates, out.Known = c.sorted()
	return out, nil
}

// gathering collects candidates by name.
type gathering struct {
	pins  []mxpins.Pin
	found map[string]*Candidate
}

func (g *gathering) at(name string) *Candidate {
	if g.found[name] == nil {
		g.found[name] = &Candidate{Name: name, Hosts: []string{}}
	}
	return g.found[name]
}

// waiting looks for names that deliveries met and may not use.
func (g *gathering) waiting(ctx context.Context, store queue.Store, domain string) error {
	looked := 0
	f := queue.AllWaiting()
	f.Domain, f.Limit = domain, candidatesLook
	for rec, err := range store.List(ctx, f) {
		if unfinished := (*queue.Unfinished)(nil); errors.As(err, &unfinished) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("cannot look at what waits: %w", err)
		}
		g.record(&rec)
		if looked++; looked == candidatesLook {
			return nil
		}
	}
	return nil
}

// record notes what one delivery met.
func (g *gathering) record(rec *queue.Record) {
	met := map[string]time.Time{}
	note := func(a *attempt.Attempt) {
		for name, at := range unknownHosts(a) {
			if at.After(met[name]) {
				met[name] = at
			}
		}
	}
	for i := range rec.History {
		note(&rec.History[i])
	}
	if rec.SiteState.Last != nil {
		note(rec.SiteState.Last)
	}
	for name, at := range met {
		c := g.at(name)
		c.Waiting++
		if c.WaitingSince == nil || rec.AcceptedAt.Before(*c.WaitingSince) {
			c.WaitingSince = trace.Instant(rec.AcceptedAt)
		}
		if c.MetAt == nil || at.After(*c.MetAt) {
			c.MetAt = trace.Instant(at)
		}
	}
}

// unknownHosts are the names of an attempt's hosts that fell short of being known, and when.
func unknownHosts(a *attempt.Attempt) map[string]time.Time {
	out := map[string]time.Time{}
	for _, try := range a.Tries {
		changed := slices.ContainsFunc(try.Shortfalls,
			func(s policy.Shortfall) bool { return s.Reason == policy.MXChanged })
		host, err := mail.ParseDomain(try.Host)
		if changed && err == nil {
			out[mxpins.Registrable(host)] = try.At
		}
	}
	return out
}

// sorted splits what was found into what some rule does not trust and what all do.
func (g *gathering) sorted() (open []Candidate, known []string) {
	open, known = []Candidate{}, []string{}
	all, trusting := rulesOf(g.pins), map[string][]string{}
	for _, p := range g.pins {
		if p.Trusted() {
			trusting[p.Name] = append(trusting[p.Name], p.Rule)
		}
	}
	for name, c := range g.found {
		c.Rules = slices.DeleteFunc(slices.Clone(all),
			func(rule string) bool { return slices.Contains(trusting[name], rule) })
		if len(all) > 0 && len(c.Rules) == 0 {
			known = append(known, name)
			continue
		}
		open = append(open, *c)
	}
	slices.Sort(known)
	slices.SortFunc(open, func(a, b Candidate) int { return strings.Compare(a.Name, b.Name) })
	return open, known
}

// rulesOf lists the rules that remember something, each once.
func rulesOf(pins []mxpins.Pin) (out []string) {
	for _, p := range pins {
		out = append(out, p.Rule)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// chosen holds the names that are to be approved against the hosts that DNS names now, and returns the hosts below
// them. A name is a registrable domain or a mail host. One that DNS does not bear out refuses the whole.
func chosen(d mail.Domain, names []string, found []mail.Domain) (hosts []mail.Domain, err error) {
	var now []string
	for _, h := range found {
		now = append(now, mxpins.Registrable(h)+" ("+h.String()+")")
	}
	slices.Sort(now)
	says := "DNS names " + strings.Join(slices.Compact(now), ", ")
	if len(names) == 0 {
		return nil, access.BadRequest("name what you approve for %s: %s", d, says)
	}
	for _, text := range names {
		name, err := mail.ParseDomain(text)
		if err != nil {
			return nil, access.BadRequest("%w", err)
		}
		n := len(hosts)
		for _, h := range found {
			if h == name || mxpins.Registrable(h) == name.String() {
				hosts = append(hosts, h)
			}
		}
		if len(hosts) == n {
			return nil, access.BadRequest("nothing was approved: %s is no mail host of %s now; %s", name, d, says)
		}
	}
	return hosts, nil
}
