package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"postern/cmd/postern/internal/cli"
	"postern/cmd/postern/internal/storage"
	"postern/internal/event/metrics"
	"postern/internal/gateway/dispatch"
	"postern/internal/gateway/nodes"
)

// shares makes this gateway one of those of its store. It comes before everything that asks whether it may do
// something; what it calls is there when it runs.
func (g *Gateway) shares(registry nodes.Registry) *nodes.Node {
	c := &g.cfg.Cluster
	return nodes.New(nodes.Config{
		Registry: registry, Session: g.store.Session, Name: c.Node, Release: cli.ThisBuild().Version,
		API: g.cfg.Admin.Listen, Ahead: g.store.Ahead, Off: g.tellClock,
		Lease: c.Lease.Duration, Wait: c.ApplyWait.Duration, InForce: g.mark,
		Reload: func(ctx context.Context) error {
			err := g.rules.Reload(ctx)
			if err == nil {
				g.dispatch.Changed()
			}
			return err
		},
		Held:    func() int { return g.dispatch.Claimed() },
		Resumed: func() { g.dispatch.Resumed() },
		Lost: func(err error) {
			hint := "look at the database, its log and its disk, at the way to it, and at `postern nodes` of another " +
				"gateway; mail is answered 451 and nothing is sent until it can be reached"
			if errors.Is(err, nodes.ErrClock) {
				hint = storage.ClockHint + "; mail is answered 451 and nothing is sent until then"
			}
			g.warn("nodes", err, hint)
		},
	})
}

// joins keeps this gateway among those of its store.
func (g *Gateway) joins(ctx context.Context) error {
	err := g.nodes.Run(ctx)
	if errors.Is(err, nodes.ErrOutdated) {
		return cli.WithHint(err, "install the newer release here too")
	}
	return err
}

// tellClock warns of clocks that differ.
func (g *Gateway) tellClock(by time.Duration) {
	if by != 0 {
		g.warn("clock", fmt.Errorf("the clock of this gateway is %s of the database's: times of mail are turned "+
			"from one to the other, and certificates are judged by this one", nodes.Apart(by)), storage.ClockHint)
	}
}

// mark is what this gateway judges by, the zero Mark while that is not known.
func (g *Gateway) mark() nodes.Mark {
	v := g.rules.Now()
	if v.Err != nil {
		return nodes.Mark{}
	}
	return nodes.Mark{Rules: v.Revision, Number: v.Number}
}

// besideSending are the other gateways as sending mail has to mind them; nil where there are none.
func (g *Gateway) besideSending() dispatch.Others {
	if !g.nodes.Shared() {
		return nil
	}
	return g.nodes
}

// standing is how this gateway stands with its store, for monitoring.
func (g *Gateway) standing() metrics.Node {
	p, shared := g.nodes.Pulse()
	return metrics.Node{Up: p.State == nodes.Live, Shared: shared, LeaseAge: p.Age, Latency: p.Latency}
}
