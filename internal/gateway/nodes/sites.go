package nodes

import (
	"context"
	"time"
)

// siteTurn is the name of the turn of a failing site.
func siteTurn(site string) string { return "site " + site }

// Probe asks for the right to probe a failing site, for a lease; asked again it is prolonged. With now somebody wants
// it tried, whatever was planned. wait is 0 when it was given, else for how long still another probes, or nobody may.
func (n *Node) Probe(ctx context.Context, site string, now bool) (wait time.Duration, err error) {
	if n.alone() {
		return 0, nil
	}
	return n.cfg.Registry.Take(ctx, Turn{Name: siteTurn(site), Session: n.cfg.Session, For: n.cfg.Lease, Wake: now})
}

// Failed tells that a site failed here, and that nobody is to probe it for a while.
func (n *Node) Failed(ctx context.Context, site string, rest time.Duration) error {
	if n.alone() {
		return nil
	}
	return n.cfg.Registry.Rest(ctx, Turn{Name: siteTurn(site), Session: n.cfg.Session, For: rest})
}

// Passed tells that a site that failed took a connection here.
func (n *Node) Passed(ctx context.Context, site string) error {
	if n.alone() {
		return nil
	}
	return n.cfg.Registry.Drop(ctx, siteTurn(site))
}

// Failing returns, of some sites, those that all gateways know as failing, with for how long still nobody may probe
// them. Of one that is left out somebody said that it passed, or nobody yet that it failed.
func (n *Node) Failing(ctx context.Context, sites []string) (map[string]time.Duration, error) {
	if n.alone() || len(sites) == 0 {
		return nil, nil
	}
	names := make([]string, len(sites))
	for i, s := range sites {
		names[i] = siteTurn(s)
	}
	turns, err := n.cfg.Registry.Turns(ctx, names)
	if err != nil {
		return nil, err
	}
	out := make(map[string]time.Duration, len(turns))
	for i, s := range sites {
		if wait, there := turns[names[i]]; there {
			out[s] = wait
		}
	}
	return out, nil
}

// Shared reports whether there can be other gateways.
func (n *Node) Shared() bool { return !n.alone() }
