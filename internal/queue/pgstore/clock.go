package pgstore

import "time"

// Leases of deliveries run by the clock of the database: gateways whose own clocks differ must not take what another is
// at, nor wait for one that is gone. Who claims says the times by its own clock, and they are turned into the
// database's here, as far as the renewals of the gateway's own lease tell (see pgnodes). A process that renews none has
// no other to disagree with, and its clock is taken for the database's.

// leaseTime is a time by this machine's clock, as it stands in a lease.
func (s *Store) leaseTime(t time.Time) int64 {
	if r := s.nodes.Load(); r != nil {
		t = t.Add(-r.Ahead())
	}
	return t.UnixMicro()
}
