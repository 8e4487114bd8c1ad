package intake

import (
	"net/netip"
	"time"
)

// Heard is a message in plaintext that a rule forces onward.
func Heard(c *Clients, at time.Time, ip netip.Addr, rule string) {
	c.heard(&handIn{at: at, client: ip, rules: []string{rule}})
}
