package config

import (
	"strings"
	"time"
)

// leastLease is the shortest lease: a renewal has a third of it, over a network, and beside everything else that the
// machine does.
const leastLease = 3 * time.Second

// completeCluster names a gateway that shares its store.
func (c *Config) completeCluster(machine string) {
	if c.Store.Shared() && c.Cluster.Node == "" {
		c.Cluster.Node = machine
	}
}

// checkCluster examines how this gateway stands among others. Where there can be none nothing but what holds anyway may
// be said of it: it would be believed.
func (c *Config) checkCluster(d *decoder) {
	if !c.Store.Shared() {
		alone := Default().Cluster
		for key, said := range map[string]bool{"cluster.node": c.Cluster.Node != alone.Node,
			"cluster.lease":      c.Cluster.Lease != alone.Lease,
			"cluster.apply_wait": c.Cluster.ApplyWait != alone.ApplyWait} {
			if said {
				d.fail(key, "there is no other gateway: the store is this one's alone",
					`leave it out, or have the gateways share a database: store = "postgres://..."`)
			}
		}
		return
	}
	if n := c.Cluster.Node; n == "" || len(n) > 100 ||
		strings.ContainsFunc(n, func(r rune) bool { return r <= ' ' || r > '~' }) {
		d.fail("cluster.node", "must be a name of printable ASCII without blanks, at most 100 long",
			`write node = "gw1"`)
	}
	if c.Cluster.Lease.Duration < leastLease {
		d.fail("cluster.lease", "must be at least "+leastLease.String(), `write lease = "30s"`)
	}
	if w := c.Cluster.ApplyWait.Duration; w != 0 && w < c.Cluster.Lease.Duration {
		d.fail("cluster.apply_wait", "must be at least the lease: a gateway that is gone is waited for that long",
			"leave it out")
	}
}
