package route

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"postern/internal/mail"
	"postern/internal/policy"
)

// A route with a name is where rules redirect mail to, whatever its domain. The next hop of such mail has that name and
// not the hosts: what is in force when it is sent says which they are. While no route has the name the mail waits; it
// never goes to its domain's own servers instead.

// addNamed takes a route with a name and these hosts.
func (t *Table) addNamed(r Route, to []HostPort) error {
	if r.Name == "" {
		return nil
	}
	if len(to) == 0 {
		return fmt.Errorf("route %s: it names no host", r.Name)
	}
	if _, twice := t.called[r.Name]; twice {
		return errors.New("two routes have the name " + r.Name)
	}
	r.To = to
	t.called[r.Name] = r
	return nil
}

// Called reports whether there is a route of a name.
func (t *Table) Called(name string) bool {
	_, ok := t.called[name]
	return ok
}

// Names lists the names of routes, sorted.
func (t *Table) Names() []string { return slices.Sorted(maps.Keys(t.called)) }

// NextHopCalled says where mail for d goes that is redirected to a route, whether there is one of that name or not.
func (t *Table) NextHopCalled(name string, d mail.Domain, r policy.Requirement) NextHop {
	out := NextHop{By: ByName, Hosts: name, Source: t.called[name].Manner.Source}
	if provesDomain(r) {
		out.Domain = d
	}
	return out
}

// PlanFor finds the hops for mail to d that waits at a next hop: those of Plan, or the hosts of the route that it
// names.
func (t *Table) PlanFor(ctx context.Context, at NextHop, d mail.Domain) (*Plan, *Problem) {
	if at.By != ByName {
		return t.Plan(ctx, d)
	}
	r, ok := t.called[at.Hosts]
	if !ok {
		return nil, &Problem{Reason: policy.PolicyUnavailable,
			Text: "a rule redirects this mail to the route " + at.Hosts + ", which is not in the configuration: it " +
				"waits until it is"}
	}
	ctx, cancel := context.WithTimeout(ctx, t.cfg.Timeout)
	defer cancel()
	plan := &Plan{Domain: d, Leg: t.Leg(d), Manner: r.Manner.over(t.cfg.Manner), ByAdmin: true}
	plan.Manner.Source = t.SourceFor(at, d)
	plan.Hops = t.namedHops(ctx, r.To)
	if problem := nothingUsable(plan); problem != nil {
		return nil, problem
	}
	return plan, nil
}

// SourceFor is where connections to a next hop come from; see Source.
func (t *Table) SourceFor(at NextHop, d mail.Domain) Source {
	if at.By != ByName {
		return t.Source(d)
	}
	return t.called[at.Hosts].Manner.Source.over(t.cfg.Manner.Source)
}
